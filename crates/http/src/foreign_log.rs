//! A log that another system serves, followed as if it were a box's.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::HeaderMap;
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink,
};
use boxes_recorder::{Encoding, LogIdentity, Notification, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::fetch::{Answer, Fetcher};
use crate::foreign_dialect::{ForeignDialect, ForeignItem};
use crate::{RemoteError, RemoteOptions};

/// The topic of a notification that stands for an id that the other system does not have. Its state is an empty object.
pub const MISSING_TOPIC: &str = "boxes.missing";

/// Notifications of a section: a place of the other system's log that one of its answers holds.
const PAGE_SIZE: NonZeroU32 = NonZeroU32::new(10).expect("more than none");

/// The widest gap that is taken for one. What is wider was not left out by transactions that failed.
const MAX_GAP: u64 = 1_000_000;

/// Stands for the histories of systems that have no epochs.
const EPOCHS: Uuid = Uuid::from_u128(0x4e11_a6f0_3c55_4dd4_8a0e_52b6_0e9d_71c8);

/// The log of an application of the Python library `eventsourcing`, at a URL that serves the library's own sections.
///
/// It is followed as if it were the log of a box: in sections, from any position, exactly once. What the other system does
/// not have is supplied: ids that it left out (a rolled back insert does that) are filled with notifications of the topic
/// [`MISSING_TOPIC`], the id of an event follows from its aggregate and version as an import of the same application would
/// give it, and the epoch follows from the name, because there is none. So a history that was replaced by another one is
/// noticed only if it is shorter. A gap of more than a million ids stops a reader, and so does any in version 8, which has none.
///
/// There is nothing to wait for in its answers: the log is asked every
/// [`poll_interval`](RemoteOptions::poll_interval).
///
/// ```
/// use boxes_http::{ForeignDialect, ForeignNotificationLog, RemoteOptions};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://kennel.example/notifications".parse()?;
/// let options = RemoteOptions::default();
/// let kennel = ForeignNotificationLog::new("kennel", url, ForeignDialect::Eventsourcing9, options)?;
/// # Ok(())
/// # }
/// ```
pub struct ForeignNotificationLog {
    fetcher: Fetcher,
    dialect: ForeignDialect,
    log: LogIdentity,
    time_of: fn(&[u8]) -> Option<Timestamp>,
    /// The newest id that was ever seen.
    seen: AtomicU64,
    /// The first and the last id of the newest gap: what lies within it need not be asked for.
    gap: Mutex<Option<(u64, u64)>>,
}

impl ForeignNotificationLog {
    /// The log that is called `name` here, whose sections are at `url`, as in `{url}/1,10`.
    ///
    /// # Errors
    ///
    /// As [`RemoteNotificationLog::new`](crate::RemoteNotificationLog::new).
    pub fn new(
        name: impl Into<String>,
        url: Url,
        dialect: ForeignDialect,
        options: RemoteOptions,
    ) -> Result<Self, RemoteError> {
        let name = name.into();
        Ok(Self {
            log: LogIdentity {
                epoch: Uuid::new_v5(&EPOCHS, name.as_bytes()),
                name,
                page_size: PAGE_SIZE,
            },
            fetcher: Fetcher::of_log(url, options)?.taking_any_type(),
            dialect,
            time_of: |_| None,
            seen: AtomicU64::new(0),
            gap: Mutex::default(),
        })
    }

    /// The same, where `time_of` finds in a state when the event happened. Without it, or where it finds nothing, an event
    /// has the time 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn with_times(mut self, time_of: fn(&[u8]) -> Option<Timestamp>) -> Self {
        self.time_of = time_of;
        self
    }

    /// What the log has from `first` on: in order, at least one unless it ends before, and not more than one answer holds.
    async fn ask(&self, first: u64) -> Result<Vec<ForeignItem>, LogError> {
        let segment = self.dialect.segment(first, PAGE_SIZE);
        let url = self.fetcher.below(&segment);
        let answer = self.fetcher.get(url, HeaderMap::new(), Duration::ZERO);
        let Answer::Document { body, .. } = answer.await? else {
            return Err(self.garbage("says that nothing has changed, and was not asked"));
        };
        let mut items = self
            .dialect
            .read(&body)
            .map_err(|what| self.garbage(&format!("answered {segment} with {what}")))?;
        // Version 8 answers with the section around it.
        items.retain(|item| item.id >= first);
        if !items.is_sorted_by(|a, b| a.id < b.id) {
            return Err(self.garbage(&format!("answered {segment} with ids that do not ascend")));
        }
        if let Some(last) = items.last() {
            self.seen.fetch_max(last.id, Ordering::AcqRel);
        }
        if let Some(next) = items.first().filter(|next| next.id > first) {
            *self.gap() = Some((first, next.id - 1));
        }
        Ok(items)
    }

    fn gap(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        // It is written in one go.
        self.gap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest id. Nobody says where the log ends, so that is looked for from where it ended before: in steps that
    /// double, then between what is there and what is not.
    async fn head(&self) -> Result<u64, LogError> {
        let mut head = self.seen.load(Ordering::Acquire);
        if head > 0 && self.ask(head).await?.is_empty() {
            // It was made anew, and is shorter.
            self.seen.store(0, Ordering::Release);
            *self.gap() = None;
            head = 0;
        }
        let mut step = 1;
        let mut beyond = loop {
            let probe = head.saturating_add(step);
            match self.ask(probe).await?.last() {
                Some(last) => head = last.id,
                None => break probe,
            }
            step = step.saturating_mul(2).max(PAGE_SIZE.get().into());
        };
        while beyond - head > 1 {
            let probe = head.midpoint(beyond);
            match self.ask(probe).await?.last() {
                Some(last) => head = last.id,
                None => beyond = probe,
            }
        }
        Ok(head)
    }

    /// A section on the grid.
    async fn read_section(&self, id: SectionId) -> Result<Section, LogError> {
        let mut items: Vec<Notification> = Vec::new();
        let within = |gap: &(u64, u64)| gap.0 <= id.low() && id.high() <= gap.1;
        let known_gap = self.gap().filter(within);
        if let Some((_, end)) = known_gap {
            self.fill(&mut items, id.low()..id.high().saturating_add(1))?;
            return Section::new(self.log.clone(), id, items, end.saturating_add(1));
        }
        let mut next = id.low();
        let mut newest = None;
        while next <= id.high() {
            let found = self.ask(next).await?;
            let Some(last) = found.last().map(|item| item.id) else {
                break;
            };
            newest = Some(last);
            for item in found {
                if item.id > id.high() {
                    break;
                }
                self.fill(&mut items, next..item.id)?;
                next = item.id.saturating_add(1);
                items.push(self.notification(item)?);
            }
            if last > id.high() {
                self.fill(&mut items, next..id.high().saturating_add(1))?;
                break;
            }
        }
        let last = match newest {
            // Full: one more question tells whether it is archived, unless that is known.
            Some(newest) if newest == id.high() => {
                let seen = self.seen.load(Ordering::Acquire);
                if seen > newest {
                    seen
                } else {
                    let beyond = self.ask(newest.saturating_add(1)).await?;
                    beyond.last().map_or(newest, |item| item.id)
                }
            }
            Some(newest) => newest,
            None => self.end_before(id.low()).await?,
        };
        Section::new(self.log.clone(), id, items, last)
    }

    /// The newest id, as of when there was nothing at `low` or after it.
    async fn end_before(&self, low: u64) -> Result<u64, LogError> {
        let before = low.saturating_sub(1);
        // Where a reader waits at the end of a section, this is all that is asked.
        let seen = self.seen.load(Ordering::Acquire);
        let is_there = seen == before && before > 0 && !self.ask(before).await?.is_empty();
        if is_there {
            return Ok(before);
        }
        Ok(self.head().await?.min(before))
    }

    /// Stands for ids that the other system left out.
    ///
    /// # Errors
    ///
    /// [`LogError::Gap`] if it can't have left them out.
    fn fill(
        &self,
        items: &mut Vec<Notification>,
        missing: std::ops::Range<u64>,
    ) -> Result<(), LogError> {
        if missing.is_empty() {
            return Ok(());
        }
        let is_too_wide = |gap: &(u64, u64)| {
            gap.1 - gap.0 >= MAX_GAP && gap.0 < missing.end && missing.start <= gap.1
        };
        let too_wide = self.gap().filter(is_too_wide);
        if too_wide.is_some() || self.dialect == ForeignDialect::Eventsourcing8 {
            return Err(LogError::Gap {
                expected: missing.start,
                found: too_wide.map_or(missing.end, |(_, end)| end.saturating_add(1)),
            });
        }
        let after = items.last().map(|item| item.event.occurred_on);
        items.extend(missing.map(|id| Notification {
            id,
            event: StoredEvent {
                event_id: Uuid::new_v5(&self.log.epoch, &id.to_be_bytes()),
                originator_id: Uuid::nil(),
                originator_version: id,
                topic: Cow::Borrowed(MISSING_TOPIC),
                schema_version: 1,
                encoding: Encoding::JSON,
                state: Bytes::from_static(b"{}"),
                metadata: Bytes::from_static(b"{}"),
                occurred_on: after.unwrap_or(Timestamp::UNIX_EPOCH),
            },
        }));
        Ok(())
    }

    fn notification(&self, item: ForeignItem) -> Result<Notification, LogError> {
        let ForeignItem {
            id,
            originator_id,
            originator_version,
            topic,
            state,
        } = item;
        let originator_id = Uuid::try_parse(&originator_id).map_err(|_| {
            self.garbage(&format!(
                "names an aggregate, in notification {id}, that is no UUID"
            ))
        })?;
        let time = (self.time_of)(&state).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Notification {
            id,
            event: StoredEvent {
                event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
                originator_id,
                originator_version,
                topic: topic.into(),
                schema_version: 1,
                encoding: self.dialect.encoding(&state),
                state,
                metadata: Bytes::from_static(b"{}"),
                occurred_on: time,
            },
        })
    }

    fn garbage(&self, what: &str) -> LogError {
        LogError::Garbage {
            reason: format!("{} {what}", self.fetcher),
        }
    }
}

#[async_trait]
impl NotificationLog for ForeignNotificationLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        Ok(LogDescription {
            log: self.log.clone(),
            first_available: 1,
            last: self.head().await?,
            // Older systems know of no redacted notifications.
            n_redacted: 0,
        })
    }

    async fn current(&self) -> Result<Section, LogError> {
        loop {
            let newest = SectionId::containing(self.head().await?, PAGE_SIZE);
            let section = self.read_section(newest).await?;
            // It may have grown beyond this one meanwhile.
            if !section.archived {
                return Ok(section);
            }
        }
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.read_section(link.id.on_grid(PAGE_SIZE)?).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        let asked = Instant::now();
        loop {
            if !self.ask(after.saturating_add(1)).await?.is_empty() {
                return Ok(true);
            }
            let remaining = timeout.saturating_sub(asked.elapsed());
            if remaining.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(self.fetcher.options().poll_interval.min(remaining)).await;
        }
    }
}

/// By its address, in which there are no credentials.
impl fmt::Debug for ForeignNotificationLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignNotificationLog")
            .field("name", &self.log.name)
            .field("url", &self.fetcher.base().as_str())
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}
