//! Logs for tests: a small one that grows on request, and ones that fail on request.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_notification_log::{
    LocalNotificationLog, LogDescription, LogError, NotificationLog, Section, SectionId,
    SectionLink,
};
use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Notification,
    StoredEvent,
};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

/// The epoch of every [`SmallLog`].
pub const EPOCH: Uuid = Uuid::from_u128(0x5b0c_0000_0000_4000_8000_0000_0000_0001);

/// A log in memory that grows on request.
#[derive(Debug)]
pub struct SmallLog {
    writer: GroupCommit,
    local: Arc<dyn NotificationLog>,
    appended: AtomicU64,
}

impl SmallLog {
    /// An empty log named `orders` with sections of `page_size`.
    pub async fn new(page_size: u32) -> Self {
        let recorder = MemoryRecorder::new(LogIdentity {
            name: "orders".to_owned(),
            epoch: EPOCH,
            page_size: NonZeroU32::new(page_size).expect("a page size above 0"),
        });
        let writer = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default())
            .await
            .expect("memory answers");
        let local = Arc::new(LocalNotificationLog::new(&writer));
        Self {
            writer,
            local,
            appended: AtomicU64::new(0),
        }
    }

    /// One that has `count` notifications.
    pub async fn with(page_size: u32, count: u64) -> Self {
        let log = Self::new(page_size).await;
        log.append(count).await;
        log
    }

    /// The log as this process has it.
    #[must_use]
    pub fn near(&self) -> Arc<dyn NotificationLog> {
        Arc::clone(&self.local)
    }

    /// What writes it.
    #[must_use]
    pub const fn writer(&self) -> &GroupCommit {
        &self.writer
    }

    /// Appends `count` small events, each of an aggregate of its own.
    pub async fn append(&self, count: u64) {
        let first = self.appended.fetch_add(count, Ordering::Relaxed) + 1;
        self.append_events((first..first + count).map(small_event).collect())
            .await;
    }

    /// Deletes the stream of the `n`-th event that was appended: the notification is redacted.
    pub async fn delete(&self, n: u64) {
        let originator_id = small_event(n).originator_id;
        let deleted = self.writer.delete_stream(originator_id).await;
        assert_eq!(deleted.expect("memory answers").n_events, 1);
    }

    /// Appends these events.
    pub async fn append_events(&self, events: Vec<StoredEvent>) {
        let appended = self.writer.append(Append::new(events)).await;
        appended.expect("nothing conflicts");
    }
}

/// The `n`-th event of a [`SmallLog`]: the first version of an aggregate of its own.
#[must_use]
pub fn small_event(n: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128((1 << 100) | u128::from(n)),
        originator_id: Uuid::from_u128((2 << 100) | u128::from(n)),
        originator_version: 1,
        topic: Cow::Borrowed("orders.order.placed"),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from(format!(r#"{{"customer":"ALFKI","n":{n}}}"#)),
        metadata: Bytes::from(format!(r#"{{"correlation_id":"{n}"}}"#)),
        occurred_on: Timestamp::from_microsecond(1_795_446_000_123_456)
            .expect("a time in the year 2026"),
    }
}

/// A log that fails with what is planned, and otherwise is the log behind it; and that counts what it is asked.
#[derive(Debug)]
pub struct FailingLog {
    inner: Arc<dyn NotificationLog>,
    plan: Plan,
    /// How often sections were asked for, the current one included.
    pub sections_read: AtomicUsize,
    /// How often a description was asked for.
    pub descriptions_read: AtomicUsize,
}

/// When a [`FailingLog`] fails, and how.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Never.
    Never,
    /// Every section, with this error.
    Sections(LogError),
    /// Every second time that something is read, by being unavailable.
    EverySecondTime,
    /// Sections below this notification are gone.
    PrunedBefore(u64),
    /// The item with this id is missing.
    WithoutItem(u64),
    /// It has another epoch.
    Epoch(Uuid),
}

impl FailingLog {
    /// `inner` with these failures.
    #[must_use]
    pub fn new(inner: Arc<dyn NotificationLog>, plan: Plan) -> Self {
        Self {
            inner,
            plan,
            sections_read: AtomicUsize::new(0),
            descriptions_read: AtomicUsize::new(0),
        }
    }

    /// What being unavailable looks like here.
    #[must_use]
    pub fn unavailable() -> LogError {
        LogError::Unavailable {
            reason: "a failure as planned".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
            source: None,
        }
    }

    fn fail(&self) -> Result<(), LogError> {
        let sections = self.sections_read.fetch_add(1, Ordering::Relaxed);
        match &self.plan {
            Plan::Sections(error) => Err(error.clone()),
            Plan::EverySecondTime if sections.is_multiple_of(2) => Err(Self::unavailable()),
            _ => Ok(()),
        }
    }

    fn bend(&self, mut section: Section) -> Result<Section, LogError> {
        match self.plan {
            Plan::PrunedBefore(first_available) if section.id.low() < first_available => {
                Err(LogError::Pruned { first_available })
            }
            Plan::WithoutItem(id) => {
                section.items.retain(|item| item.id != id);
                Ok(section)
            }
            Plan::Epoch(epoch) => {
                section.log.epoch = epoch;
                Ok(section)
            }
            _ => Ok(section),
        }
    }
}

#[async_trait]
impl NotificationLog for FailingLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.descriptions_read.fetch_add(1, Ordering::Relaxed);
        let mut description = self.inner.describe().await?;
        match self.plan {
            Plan::PrunedBefore(id) => description.first_available = id,
            Plan::Epoch(epoch) => description.log.epoch = epoch,
            _ => {}
        }
        Ok(description)
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.fail()?;
        self.bend(self.inner.current().await?)
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.fail()?;
        self.bend(self.inner.section(link).await?)
    }

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        self.inner.notification(id, epoch).await
    }

    async fn n_redacted_in(&self, id: SectionId) -> Result<u64, LogError> {
        self.inner.n_redacted_in(id).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.inner.wait(after, timeout).await
    }
}
