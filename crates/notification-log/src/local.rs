//! The log of a box in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{GroupCommit, LogIdentity, Notification, Recorder, RecorderError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink};

/// The log of a box in this process: what its recorder holds, in sections.
///
/// Reading never writes. What this process appended is seen at once, what another process appended to the same
/// store within the poll interval of the [`GroupCommit`], or earlier where a section had to be read: the newest
/// id that was ever seen is remembered, so the log never appears to shrink.
///
/// An archived section costs one range read, a growing one as well, and
/// [`describe`](NotificationLog::describe), [`wait`](NotificationLog::wait) and
/// [`wait_for_change`](NotificationLog::wait_for_change) cost the store nothing. What is redacted
/// of a section is counted without reading events, and not at all while nothing of the log is.
///
/// Clones are the same log. It watches the head as long as it lives, and does not keep the writer alive.
#[derive(Debug, Clone)]
pub struct LocalNotificationLog {
    recorder: Arc<dyn Recorder>,
    head: watch::Receiver<u64>,
    n_redacted: watch::Receiver<u64>,
    /// The newest id that a read has shown, which may be ahead of the watch when another process wrote it.
    seen: Arc<AtomicU64>,
}

impl LocalNotificationLog {
    /// The log of what is recorded there.
    #[must_use]
    pub fn new(writer: &GroupCommit) -> Self {
        Self {
            recorder: Arc::clone(writer.recorder()),
            head: writer.watch_head(),
            n_redacted: writer.watch_redacted(),
            seen: Arc::default(),
        }
    }

    fn log(&self) -> &LogIdentity {
        self.recorder.log()
    }

    /// The newest id that is known without asking the store.
    fn known_head(&self) -> u64 {
        let watched = *self.head.borrow();
        watched.max(self.seen.load(Ordering::Acquire))
    }

    fn saw(&self, id: u64) {
        self.seen.fetch_max(id, Ordering::AcqRel);
    }

    async fn ask_head(&self) -> Result<u64, LogError> {
        let asked = self.recorder.head().await;
        let head =
            asked.map_err(|error| unavailable("asking for the newest notification", error))?;
        self.saw(head);
        Ok(self.known_head())
    }

    async fn read(&self, id: SectionId, limit: u64) -> Result<Vec<Notification>, LogError> {
        let read = self.recorder.select_notifications(id.low(), limit).await;
        read.map_err(|error| unavailable(&format!("reading section {id}"), error))
    }

    fn closed(&self) -> LogError {
        LogError::Unavailable {
            reason: format!("the box `{}` is closed", self.log().name),
            retry_after: None,
            source: None,
        }
    }

    /// A section on the grid.
    async fn read_section(&self, id: SectionId) -> Result<Section, LogError> {
        let page_size = u64::from(self.log().page_size.get());
        let mut known = self.known_head();
        if id.low() > known {
            // Perhaps another process has come that far; if not, the store need not look for what it has not.
            known = self.ask_head().await?;
        }
        if id.low() > known {
            return Section::new(self.log().clone(), id, Vec::new(), known);
        }
        if id.high() < known {
            let items = self.read(id, page_size).await?;
            return Section::new(self.log().clone(), id, items, known);
        }
        // One more than a section holds: what comes tells whether the section is archived, in the same read.
        let mut items = self.read(id, page_size.saturating_add(1)).await?;
        let last = items.last().map_or(0, |item| item.id);
        items.retain(|item| item.id <= id.high());
        let section = Section::new(self.log().clone(), id, items, known.max(last))?;
        self.saw(last);
        Ok(section)
    }
}

#[async_trait]
impl NotificationLog for LocalNotificationLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        Ok(LogDescription {
            log: self.log().clone(),
            first_available: 1,
            last: self.known_head(),
            n_redacted: *self.n_redacted.borrow(),
        })
    }

    async fn current(&self) -> Result<Section, LogError> {
        let page_size = self.log().page_size;
        let section = self
            .read_section(SectionId::containing(self.known_head(), page_size))
            .await?;
        if !section.archived {
            return Ok(section);
        }
        // Others wrote beyond it. As of this head the section that holds it is the current one, whatever is
        // appended while it is read: what is newer is left out, so that this ends under any load.
        let head = self.ask_head().await?;
        let id = SectionId::containing(head, page_size);
        let mut items = self.read(id, u64::from(page_size.get())).await?;
        items.retain(|item| item.id <= head);
        Section::new(self.log().clone(), id, items, head)
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        let id = link.id.on_grid(self.log().page_size)?;
        self.read_section(id).await
    }

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        let log = self.log();
        if log.epoch != epoch {
            return Err(LogError::EpochChanged {
                log: log.name.clone(),
                expected: epoch,
                found: log.epoch,
            });
        }
        let read = self.recorder.select_notifications(id, 1).await;
        let read =
            read.map_err(|error| unavailable(&format!("reading notification {id}"), error))?;
        Ok(read.into_iter().find(|item| item.id == id))
    }

    async fn n_redacted_in(&self, id: SectionId) -> Result<u64, LogError> {
        let id = id.on_grid(self.log().page_size)?;
        if *self.n_redacted.borrow() == 0 {
            return Ok(0);
        }
        let counted = self.recorder.n_redacted_in(id.low(), id.high()).await;
        counted.map_err(|error| {
            unavailable(&format!("counting what is redacted of section {id}"), error)
        })
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        if self.known_head() > after {
            return Ok(true);
        }
        let mut head = self.head.clone();
        let moved = head.wait_for(|newest| *newest > after);
        match tokio::time::timeout(timeout, moved).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) => Err(self.closed()),
            Err(_) => Ok(false),
        }
    }

    async fn wait_for_change(
        &self,
        known: &LogDescription,
        timeout: Duration,
    ) -> Result<bool, LogError> {
        let mut n_redacted = self.n_redacted.clone();
        let redacted = async {
            let more = n_redacted.wait_for(|n_redacted| *n_redacted != known.n_redacted);
            more.await.map(drop)
        };
        tokio::select! {
            waited = self.wait(known.last, timeout) => waited,
            redacted = redacted => redacted.map(|()| true).map_err(|_| self.closed()),
        }
    }
}

/// A read has one way to fail: whatever the recorder says, the reader can only try later.
fn unavailable(what: &str, error: RecorderError) -> LogError {
    LogError::Unavailable {
        reason: format!("{what}: {error}"),
        retry_after: None,
        source: Some(Arc::new(error)),
    }
}
