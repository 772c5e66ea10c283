//! The reader that goes from section to section.

use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{LogIdentity, Notification, Position};

use crate::prefetch::Prefetch;
use crate::{
    LogDescription, LogError, NotificationLog, ReaderBounds, Section, SectionId, SectionLink,
};

/// How often in a row a log may say that it has something new, and have nothing, before that is an error.
const MAX_FALSE_ALARMS: u32 = 5;

/// How long a log is left alone after the first false alarm; twice as long after each further one.
const FALSE_ALARM_PAUSE: Duration = Duration::from_millis(100);

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

/// Goes from section to section and hands out every notification once, in order.
///
/// It trusts no log: it checks that ids are dense, that the epoch stays the same, that the log does not end
/// before its position, and, whenever it resumes (at the start, after an error, after a wait), that the notification at
/// its position is still the one that was read, as far as the position has the id of its event. After an error its position is what it was, and it can be asked again; whether that makes
/// sense is said by [`LogError::is_transient`]. It saves nothing: the position belongs into the transaction of
/// what the notifications caused.
///
/// How it learns where the log ends: an archived section says only that the log goes on; the section after the
/// position, empty or not, says where the log ends. So at the end each call of
/// [`next_batch`](Self::next_batch) costs one request, and while catching up there is one for each section, and
/// one [`describe`](NotificationLog::describe) for the whole way (a further one for each stretch by which the log
/// grew in the meantime). A position at the end of a section costs one request more when reading resumes. A section
/// that is larger than the log can hand over at once is read by its single notifications.
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
    /// Whether the position is known to be one of this history.
    is_checked: bool,
    /// The section that is read by its single notifications.
    oversized: Option<SectionId>,
    /// About how many bytes a section has: the largest of late.
    section_bytes: usize,
    /// Whether the last wait ended because there was something.
    is_announced: bool,
    n_false_alarms: u32,
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
            is_checked: false,
            oversized: None,
            section_bytes: 0,
            is_announced: false,
            n_false_alarms: 0,
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
        self.known_last > self.last_read() || self.next.is_some() || self.oversized.is_some()
    }

    /// What comes after the position, at most to the end of one section; empty at the end of the log. The
    /// position moves to the last one handed out.
    ///
    /// # Errors
    ///
    /// The position is unchanged, nothing was skipped:
    /// - [`LogError::Unavailable`], [`LogError::Garbage`], [`LogError::Forbidden`], [`LogError::TooLarge`]: ask again later.
    /// - [`LogError::Gap`], [`LogError::AheadOfLog`], [`LogError::EpochChanged`], [`LogError::HistoryReplaced`],
    ///   [`LogError::Pruned`]: stop; asked again it says the same, unless the log was repaired.
    pub async fn next_batch(&mut self) -> Result<Vec<Notification>, LogError> {
        let batch = self.read_on().await;
        match &batch {
            Err(_) => self.is_checked = false,
            Ok(batch) if batch.is_empty() => self.count_false_alarm()?,
            Ok(_) => self.n_false_alarms = 0,
        }
        self.is_announced = false;
        batch
    }

    async fn read_on(&mut self) -> Result<Vec<Notification>, LogError> {
        if let Some(id) = self.oversized {
            return self.read_singly(id).await;
        }
        let fetched = match self.navigation {
            Navigation::Jump => self.jump().await,
            Navigation::Links => self.follow_links().await,
        };
        match fetched {
            Err(LogError::TooLarge { .. }) => {
                let page_size = self.identity().await?.page_size;
                let id = SectionId::containing(self.last_read().saturating_add(1), page_size);
                self.read_singly(id).await
            }
            fetched => {
                let section = fetched?;
                section.check()?;
                self.recognise(&section)?;
                section.continues(Position::new(section.log.epoch, self.last_read()))?;
                self.check_position(&section.items).await?;
                self.take(section)
            }
        }
    }

    /// The log said that there was something, and there is nothing. Once that may be, where one replica answers for
    /// another; a log that goes on like this contradicts itself.
    fn count_false_alarm(&mut self) -> Result<(), LogError> {
        if !self.is_announced {
            return Ok(());
        }
        self.n_false_alarms += 1;
        if self.n_false_alarms < MAX_FALSE_ALARMS {
            return Ok(());
        }
        self.n_false_alarms = 0;
        self.is_announced = false;
        Err(LogError::Garbage {
            reason: format!(
                "the log says time and again that it has something after notification {}, and has nothing",
                self.last_read()
            ),
        })
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
        self.is_checked = false;
        if let Some(doublings) = self.n_false_alarms.checked_sub(1) {
            let pause = FALSE_ALARM_PAUSE.saturating_mul(2_u32.saturating_pow(doublings));
            tokio::time::sleep(pause.min(timeout)).await;
        }
        self.is_announced = self.log.wait(self.last_read(), timeout).await?;
        Ok(self.is_announced)
    }

    /// The id of the last notification that was handed out, 0 for none.
    fn last_read(&self) -> u64 {
        self.position.map_or(0, |position| position.id)
    }

    async fn jump(&mut self) -> Result<Section, LogError> {
        let page_size = self.identity().await?.page_size;
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

    /// How many sections may be fetched ahead. Until the first one is there, nothing is known of their sizes.
    fn max_prefetch(&self) -> usize {
        match self
            .bounds
            .max_prefetch_bytes
            .checked_div(self.section_bytes)
        {
            Some(by_bytes) => self.bounds.max_prefetch.min(by_bytes).max(1),
            None => 1,
        }
    }

    /// Asks for the sections from `id` on that are known to be archived, up to what the bounds allow.
    fn fill_prefetch(&mut self, id: SectionId) {
        let max = self.max_prefetch();
        while let Some(wanted) = self.prefetch.wants(id, max)
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

    async fn identity(&mut self) -> Result<LogIdentity, LogError> {
        match &self.identity {
            Some(log) => Ok(log.clone()),
            None => Ok(self.describe().await?.log),
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

    /// Whether the notification at the position is still the one that was read.
    ///
    /// `items` are those of the section that was read last: usually it holds the position as well.
    async fn check_position(&mut self, items: &[Notification]) -> Result<(), LogError> {
        let at = self.position.filter(|position| position.id > 0);
        let Some((position, expected)) = at.and_then(|at| Some((at, at.event_id?))) else {
            self.is_checked = true;
            return Ok(());
        };
        if self.is_checked {
            return Ok(());
        }
        let Position { epoch, id, .. } = position;
        let found = match items.iter().find(|item| item.id == id) {
            Some(item) => self.log.fingerprint(item),
            None => match self.log.notification(id, epoch).await {
                Ok(Some(item)) if item.id == id => self.log.fingerprint(&item),
                Ok(_) => {
                    return Err(LogError::Garbage {
                        reason: format!("the log continues after notification {id}, and has none"),
                    });
                }
                // What was removed can't be compared, and need not be read again.
                Err(LogError::Pruned { .. }) => None,
                Err(error) => return Err(error),
            },
        };
        if let Some(found) = found.filter(|found| *found != expected) {
            let log = self.identity().await?.name;
            return Err(LogError::HistoryReplaced {
                log,
                id,
                expected,
                found,
            });
        }
        self.is_checked = true;
        Ok(())
    }

    /// Moves the position over a section that was checked.
    fn take(&mut self, mut section: Section) -> Result<Vec<Notification>, LogError> {
        let after = self.last_read();
        let bytes = n_bytes(&section.items);
        self.section_bytes = bytes.max(self.section_bytes / 2).max(1);
        section.items.retain(|item| item.id > after);
        let items = self.hand_out(section.log.clone(), section.items)?;
        if let Some(last) = section.last {
            self.known_last = last;
        }
        self.next = section.next;
        Ok(items)
    }

    /// Moves the position over these, if they are what comes next.
    fn hand_out(
        &mut self,
        log: LogIdentity,
        items: Vec<Notification>,
    ) -> Result<Vec<Notification>, LogError> {
        let mut expected = self.last_read();
        for item in &items {
            expected = expected.saturating_add(1);
            if item.id != expected {
                return Err(LogError::Gap {
                    expected,
                    found: item.id,
                });
            }
        }
        let before = self.position.and_then(|position| position.event_id);
        let event_id = match items.last() {
            Some(last) => self.log.fingerprint(last),
            None => before,
        };
        self.position = Some(Position::new(log.epoch, expected).with_event_id(event_id));
        self.identity = Some(log);
        Ok(items)
    }

    /// What comes after the position in a section that can't be read as a whole: one by one, up to the bound.
    async fn read_singly(&mut self, id: SectionId) -> Result<Vec<Notification>, LogError> {
        let log = self.identity().await?;
        self.check_position(&[]).await?;
        let mut items = Vec::new();
        let (mut next, mut bytes) = (self.last_read().saturating_add(1), 0);
        while next <= id.high() && (items.is_empty() || bytes < self.bounds.max_batch_bytes) {
            let Some(item) = self.log.notification(next, log.epoch).await? else {
                break;
            };
            bytes += n_bytes(std::slice::from_ref(&item));
            items.push(item);
            next = next.saturating_add(1);
        }
        if items.is_empty() {
            // The end of the log, or a log that was cut.
            let last = self.describe().await?.last;
            if last < self.last_read() {
                return Err(LogError::AheadOfLog {
                    position: self.last_read(),
                    last,
                });
            }
        }
        let is_whole = next > id.high();
        let is_end = items.is_empty();
        let items = self.hand_out(log, items)?;
        self.oversized = (!is_whole && !is_end).then_some(id);
        self.known_last = self.known_last.max(self.last_read());
        self.next = None;
        Ok(items)
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

/// About how many bytes they take.
fn n_bytes(items: &[Notification]) -> usize {
    items.iter().map(Notification::n_bytes).sum()
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
