//! The reader that goes from section to section.

use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{LogIdentity, Notification, Position};

use crate::prefetch::Prefetch;
use crate::{LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink};

/// How the reader finds its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Navigation {
    /// By links alone: current, back by `previous` to where it left off, then on by `next`.
    ///
    /// For logs that only promise links. A reader that is far behind fetches each section twice.
    Links,
    /// Straight to the section after its position, by the grid that the log describes; prefetches.
    #[default]
    Jump,
}

/// Bounds of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderBounds {
    /// Sections that are being fetched, or are there and not yet handed out, at most; 0 counts as 1.
    pub max_prefetch: usize,
}

impl ReaderBounds {
    /// Enough to keep one connection's round trips from showing, and two cores busy.
    pub const DEFAULT_MAX_PREFETCH: usize = 8;
}

impl Default for ReaderBounds {
    fn default() -> Self {
        Self {
            max_prefetch: Self::DEFAULT_MAX_PREFETCH,
        }
    }
}

/// Goes from section to section and hands out every notification once, in order.
///
/// It trusts no log: it checks that ids are dense, that the epoch stays the same, and that the log does not end
/// before its position. After an error its position is what it was, and it can be asked again; whether that makes
/// sense is said by [`LogError::is_transient`]. It saves nothing: the position belongs into the transaction of
/// what the notifications caused.
///
/// How it learns where the log ends: an archived section says only that the log goes on; the section after the
/// position, empty or not, says where the log ends. So at the end each call of
/// [`next_batch`](Self::next_batch) costs one request, and while catching up there is one for each section, and
/// one [`describe`](NotificationLog::describe) for the whole way (a further one for each stretch by which the log
/// grew meanwhile).
///
/// Dropping the future of [`next_batch`](Self::next_batch) or [`wait`](Self::wait) loses nothing.
///
/// ```
/// # use boxes_notification_log::{LogError, NotificationLog, NotificationLogReader};
/// # use std::{sync::Arc, time::Duration};
/// # async fn example(log: Arc<dyn NotificationLog>) -> Result<(), LogError> {
/// let mut reader = NotificationLogReader::new(log, None);
/// loop {
///     for notification in reader.next_batch().await? {
///         println!("{} {}", notification.id, notification.event.topic);
///     }
///     if !reader.has_more() {
///         reader.wait(Duration::from_secs(20)).await?;
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct NotificationLogReader {
    log: Arc<dyn NotificationLog>,
    position: Option<Position>,
    navigation: Navigation,
    bounds: ReaderBounds,
    identity: Option<LogIdentity>,
    /// The newest id that is known: sections up to it may be fetched ahead.
    known_last: u64,
    prefetch: Prefetch,
    /// By links: the section that comes after the one that was handed out, or how far back it has come.
    next: Option<SectionLink>,
}

impl NotificationLogReader {
    /// A reader that continues after `position`; from the beginning for `None`.
    #[must_use]
    pub fn new(log: Arc<dyn NotificationLog>, position: Option<Position>) -> Self {
        Self {
            log,
            position,
            navigation: Navigation::default(),
            bounds: ReaderBounds::default(),
            identity: None,
            known_last: 0,
            prefetch: Prefetch::default(),
            next: None,
        }
    }

    /// The same, finding its way like this.
    #[must_use]
    pub const fn with_navigation(mut self, navigation: Navigation) -> Self {
        self.navigation = navigation;
        self
    }

    /// The same with these bounds.
    #[must_use]
    pub const fn with_bounds(mut self, bounds: ReaderBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The identity of the log, known once something was asked of it.
    #[must_use]
    pub const fn log_identity(&self) -> Option<&LogIdentity> {
        self.identity.as_ref()
    }

    /// After which notification it continues: `None` before the first answer of a log read from the beginning.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Whether more is known to be there after the position. If not, the last answer reached the end of the
    /// log, and there is nothing to do but to [`wait`](Self::wait).
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.known_last > self.last_read() || self.next.is_some()
    }

    /// What comes after the position, at most to the end of one section; empty at the end of the log. The
    /// position moves to the last one handed out.
    ///
    /// # Errors
    ///
    /// The position is unchanged, nothing was skipped:
    /// - [`LogError::Unavailable`], [`LogError::Garbage`], [`LogError::Forbidden`]: ask again later.
    /// - [`LogError::Gap`], [`LogError::AheadOfLog`], [`LogError::EpochChanged`], [`LogError::Pruned`]: stop;
    ///   asked again it says the same, unless the log was mended.
    pub async fn next_batch(&mut self) -> Result<Vec<Notification>, LogError> {
        let fetched = match self.navigation {
            Navigation::Jump => self.jump().await,
            Navigation::Links => self.follow_links().await,
        };
        self.take(fetched?)
    }

    /// Waits until there is something after the position, at most `timeout`; says whether a look is worth while.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    pub async fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        if self.has_more() {
            return Ok(true);
        }
        self.log.wait(self.last_read(), timeout).await
    }

    /// The id of the last notification that was handed out, 0 for none.
    fn last_read(&self) -> u64 {
        self.position.map_or(0, |position| position.id)
    }

    async fn jump(&mut self) -> Result<Section, LogError> {
        let page_size = match &self.identity {
            Some(log) => log.page_size,
            None => self.describe().await?.log.page_size,
        };
        let id = SectionId::containing(self.last_read().saturating_add(1), page_size);
        if id.high() < self.known_last {
            self.fill_prefetch(id);
        } else {
            self.prefetch.clear();
        }
        let section = match self.prefetch.next(id).await {
            Some(fetched) => fetched?,
            None => fetch(&*self.log, &id.into(), self.position).await?,
        };
        if section.id != id {
            return Err(garbage(&section, &format!("asked for section {id}")));
        }
        if section.archived && id.high() >= self.known_last {
            self.look_ahead(id).await;
        }
        Ok(section)
    }

    /// Asks for the sections from `id` on that are known to be archived, as many as the bounds allow.
    fn fill_prefetch(&mut self, id: SectionId) {
        while let Some(wanted) = self.prefetch.wants(id, self.bounds.max_prefetch.max(1))
            && wanted.high() < self.known_last
        {
            let (log, position) = (Arc::clone(&self.log), self.position);
            let fetching = async move { fetch(&*log, &wanted.into(), position).await };
            self.prefetch.push(wanted, fetching);
        }
    }

    /// The log grew beyond what was known. Once that may be by a single section; when it happens again, the
    /// reader is behind, and one question pays for a whole stretch of sections fetched ahead.
    async fn look_ahead(&mut self, archived: SectionId) {
        let again = self.known_last == archived.low();
        self.known_last = archived.high().saturating_add(1);
        if again && let Ok(description) = self.log.describe().await {
            // A hint: where it is wrong, the sections themselves say so.
            self.known_last = self.known_last.max(description.last);
        }
    }

    async fn describe(&mut self) -> Result<LogDescription, LogError> {
        let description = self.log.describe().await?;
        let log = &description.log;
        if let Some(position) = self.position
            && log.epoch != position.epoch
        {
            return Err(LogError::EpochChanged {
                log: log.name.clone(),
                expected: position.epoch,
                found: log.epoch,
            });
        }
        if description.first_available > self.last_read().saturating_add(1) {
            return Err(LogError::Pruned {
                first_available: description.first_available,
            });
        }
        // That the log may end before the position is left to the section, which is read, not remembered.
        self.identity = Some(log.clone());
        self.known_last = description.last;
        Ok(description)
    }

    async fn follow_links(&mut self) -> Result<Section, LogError> {
        let wanted = self.last_read().saturating_add(1);
        let mut section = match self.next.clone() {
            Some(link) => self.follow(&link).await?,
            None => self.log.current().await?,
        };
        loop {
            section.check()?;
            if let Some(position) = self.position {
                section.continues(position)?;
            }
            // Each step leads to a lower section, or ends: `check` has compared the link with the grid.
            let behind = section.id.low() > wanted;
            let Some(link) = section.previous.clone().filter(|_| behind) else {
                return Ok(section);
            };
            // Where this fails, the way back goes on from here.
            self.next = Some(link.clone());
            section = self.follow(&link).await?;
        }
    }

    async fn follow(&self, link: &SectionLink) -> Result<Section, LogError> {
        let section = fetch(&*self.log, link, self.position).await?;
        if section.id != link.id {
            let expected = format!("followed a link to section {}", link.id);
            return Err(garbage(&section, &expected));
        }
        Ok(section)
    }

    /// Checks the section and moves the position over it.
    fn take(&mut self, mut section: Section) -> Result<Vec<Notification>, LogError> {
        section.check()?;
        self.recognise(&section)?;
        let after = self.last_read();
        let position = Position::new(section.log.epoch, after);
        section.continues(position)?;
        section.items.retain(|item| item.id > after);
        let first = section.items.first().map(|item| item.id);
        if let Some(found) = first.filter(|first| *first != after.saturating_add(1)) {
            return Err(LogError::Gap {
                expected: after.saturating_add(1),
                found,
            });
        }
        let id = section.items.last().map_or(after, |item| item.id);
        if let Some(last) = section.last {
            self.known_last = last;
        }
        self.next = section.next;
        self.position = Some(Position::new(position.epoch, id));
        self.identity = Some(section.log);
        Ok(section.items)
    }

    /// Whether the section is of the log that the reader follows.
    fn recognise(&mut self, section: &Section) -> Result<(), LogError> {
        let followed = self.position.map(|position| position.epoch);
        let known = self.identity.as_ref().map(|log| log.epoch);
        let found = section.log.epoch;
        match followed.or(known) {
            Some(expected) if expected != found => {
                // A reader that has read nothing yet may begin with the new history.
                self.identity = None;
                self.prefetch.clear();
                Err(LogError::EpochChanged {
                    log: section.log.name.clone(),
                    expected,
                    found,
                })
            }
            _ => match &self.identity {
                Some(log) if *log != section.log => Err(garbage(
                    section,
                    &format!("expected `{}` with sections of {}", log.name, log.page_size),
                )),
                _ => Ok(()),
            },
        }
    }
}

async fn fetch(
    log: &dyn NotificationLog,
    link: &SectionLink,
    position: Option<Position>,
) -> Result<Section, LogError> {
    match position {
        Some(position) => log.section_after(link, position).await,
        None => log.section(link).await,
    }
}

fn garbage(section: &Section, expected: &str) -> LogError {
    LogError::Garbage {
        reason: format!(
            "{expected}, got section {} of `{}` with sections of {}",
            section.id, section.log.name, section.log.page_size
        ),
    }
}
