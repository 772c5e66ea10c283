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
use crate::foreign_dialect::{ForeignContent, ForeignDialect, ForeignItem};
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
/// give it, and the epoch follows from the name, because there is none. A history that was replaced by another one is
/// noticed by what the notification at the reader's position says. A gap of more than a million ids stops a reader, and so
/// does any in version 8, which has none.
///
/// Ids may appear late, behind higher ones, where transactions overlap: so a gap is waited for until what follows it has been there for
/// [`max_gap_wait`](RemoteOptions::max_gap_wait), and taken for one then. An event that appears later still is not read.
///
/// An item that can't be read is a notification all the same, of its topic: only a policy that handles it is held up by it.
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
    settled: Mutex<Settled>,
}

/// Through which id gaps are taken for gaps.
#[derive(Debug, Default)]
struct Settled {
    /// Through this one.
    through: u64,
    /// The newest id that was there when it was seen.
    next: Option<(u64, Instant)>,
}

impl Settled {
    /// Whether `id` has been there for as long as gaps before it are waited for; `seen` is the newest one that is.
    fn covers(&mut self, id: u64, seen: u64, max_gap_wait: Duration) -> bool {
        if let Some((next, since)) = self.next
            && since.elapsed() >= max_gap_wait
        {
            self.through = self.through.max(next);
            self.next = None;
        }
        if id <= self.through {
            return true;
        }
        // What is seen later waits for its own time after this one's.
        self.next
            .get_or_insert_with(|| (seen.max(id), Instant::now()));
        max_gap_wait.is_zero()
    }
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
            settled: Mutex::default(),
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

    /// Whether what is missing before `id` is a gap, and not what may still appear.
    fn is_settled(&self, id: u64) -> bool {
        if self.dialect == ForeignDialect::Eventsourcing8 {
            return true;
        }
        let seen = self.seen.load(Ordering::Acquire);
        let max_gap_wait = self.fetcher.options().max_gap_wait;
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.covers(id, seen, max_gap_wait)
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
            *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Settled::default();
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
        if let Some((_, end)) = known_gap
            && self.is_settled(end.saturating_add(1))
        {
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
            let first = found.first().map_or(next, |item| item.id);
            let missing_before = std::iter::once((next, first)).chain(found.windows(2).filter_map(
                |pair| match pair {
                    [before, after] => Some((before.id.saturating_add(1), after.id)),
                    _ => None,
                },
            ));
            let fresh_gap = missing_before
                .filter(|(expected, found)| expected < found && *expected <= id.high())
                .find(|(_, found)| !self.is_settled(*found))
                .map(|(expected, _)| expected);
            let end = fresh_gap.unwrap_or(u64::MAX);
            for item in found {
                if item.id > id.high() || item.id >= end {
                    break;
                }
                self.fill(&mut items, next..item.id)?;
                next = item.id.saturating_add(1);
                items.push(self.notification_of(item));
            }
            if let Some(end) = fresh_gap {
                // As if the log ended there: what is missing may still appear.
                return Section::new(self.log.clone(), id, items, end.saturating_sub(1));
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

    fn notification_of(&self, item: ForeignItem) -> Notification {
        let ForeignItem {
            id,
            topic,
            content,
            raw,
        } = item;
        let event = match content {
            Ok(ForeignContent {
                originator_id,
                originator_version,
                state,
            }) => StoredEvent {
                event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
                originator_id,
                originator_version,
                topic: topic.into(),
                schema_version: 1,
                encoding: self.dialect.encoding(&state),
                occurred_on: (self.time_of)(&state).unwrap_or(Timestamp::UNIX_EPOCH),
                state,
                metadata: Bytes::from_static(b"{}"),
            },
            // Kept as it came, under a mark that no one can read and that says why.
            Err(reason) => StoredEvent {
                event_id: Uuid::new_v5(&self.log.epoch, &id.to_be_bytes()),
                originator_id: Uuid::nil(),
                originator_version: id,
                topic: topic.into(),
                schema_version: 1,
                encoding: Encoding::new(format!("unreadable: {reason}")),
                state: raw,
                metadata: Bytes::from_static(b"{}"),
                occurred_on: Timestamp::UNIX_EPOCH,
            },
        };
        Notification { id, event }
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

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        if epoch != self.log.epoch {
            return Err(LogError::EpochChanged {
                log: self.log.name.clone(),
                expected: epoch,
                found: self.log.epoch,
            });
        }
        let Some(found) = self.ask(id).await?.into_iter().next() else {
            return Ok(None);
        };
        if found.id == id {
            return Ok(Some(self.notification_of(found)));
        }
        let mut missing = Vec::new();
        self.fill(&mut missing, id..id.saturating_add(1))?;
        Ok(missing.pop())
    }

    /// A digest of what makes it up, because the id of its event follows from aggregate and version alone. None for an id
    /// that the other system left out: something may appear there.
    fn fingerprint(&self, notification: &Notification) -> Option<Uuid> {
        let event = &notification.event;
        if event.topic == MISSING_TOPIC {
            return None;
        }
        let mut bytes = Vec::with_capacity(24 + event.topic.len() + 1 + event.state.len());
        bytes.extend_from_slice(event.originator_id.as_bytes());
        bytes.extend_from_slice(&event.originator_version.to_be_bytes());
        bytes.extend_from_slice(event.topic.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&event.state);
        Some(Uuid::new_v5(&self.log.epoch, &bytes))
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        let asked = Instant::now();
        loop {
            // From the notification that was read last: so a log that was cut is noticed as well.
            let found = self.ask(after.max(1)).await?;
            let mut ids = found.iter().map(|item| item.id);
            let next = match ids.next() {
                Some(first) if first == after => ids.next(),
                // It is not there any more: the sections tell.
                None if after > 0 => return Ok(true),
                first => first,
            };
            if next.is_some_and(|next| next == after.saturating_add(1) || self.is_settled(next)) {
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
