//! The log, near or far.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{LogIdentity, Notification, Position};
use uuid::Uuid;

use crate::{LogError, Section, SectionId, SectionLink, WITHHELD_TOPIC};

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDescription {
    /// Its name, epoch and page size.
    pub log: LogIdentity,
    /// The oldest notification that it still has: 1, unless retention removed some.
    pub first_available: u64,
    /// The newest notification, 0 for none.
    pub last: u64,
    /// How many of its notifications are redacted, because their streams were deleted. While it stays the same, so does
    /// every archived section.
    pub n_redacted: u64,
}

/// A notification log, near or far.
///
/// Whether it is in this process or behind HTTP can't be told from what it gives: sections, ids, emptiness
/// and errors are the same. The suite in `boxes-testing` runs over both.
#[async_trait]
pub trait NotificationLog: Debug + Send + Sync + 'static {
    /// What the log says of itself, now.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] if it can't be reached, [`LogError::Garbage`] if it answers nonsense.
    async fn describe(&self) -> Result<LogDescription, LogError>;

    /// The section that holds the newest notification: the first one when the log is empty, and the last
    /// full one at an exact multiple of the page size.
    ///
    /// # Errors
    ///
    /// As [`describe`](Self::describe).
    async fn current(&self) -> Result<Section, LogError>;

    /// One section. Past the end, but on the grid, it is empty.
    ///
    /// # Errors
    ///
    /// - [`LogError::SectionId`] if it is not on the grid.
    /// - [`LogError::Pruned`] if retention removed it.
    /// - Otherwise as [`describe`](Self::describe).
    async fn section(&self, link: &SectionLink) -> Result<Section, LogError>;

    /// The same for a reader that continues after `position`: the section may lie anywhere, but the position
    /// must be one of this log's history.
    ///
    /// A log that is far tells it the position, and is spared sending what the reader could not use.
    ///
    /// # Errors
    ///
    /// - [`LogError::EpochChanged`] if the position belongs to another history: stop.
    /// - [`LogError::AheadOfLog`] if the log is known to end before the position: stop. (An archived section
    ///   does not say where the log ends; one at or after the position does.)
    /// - Otherwise as [`section`](Self::section).
    async fn section_after(
        &self,
        link: &SectionLink,
        position: Position,
    ) -> Result<Section, LogError> {
        let section = self.section(link).await?;
        section.continues(position)?;
        Ok(section)
    }

    /// One notification of the history that `epoch` names; `None` if the log has not come to it.
    ///
    /// This reads the section that holds it; a log that can do with less does better.
    ///
    /// # Errors
    ///
    /// - [`LogError::EpochChanged`] if the log has another history: stop.
    /// - Otherwise as [`section`](Self::section).
    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        let log = self.describe().await?.log;
        if log.epoch != epoch {
            return Err(LogError::EpochChanged {
                log: log.name,
                expected: epoch,
                found: log.epoch,
            });
        }
        let section = SectionId::containing(id, log.page_size);
        let section = self.section(&section.into()).await?;
        Ok(section.items.into_iter().find(|item| item.id == id))
    }

    /// What a reader recognises a notification by when it resumes: two histories have different ones at the same place.
    /// `None` if there is nothing that stays the same for as long as the history does.
    ///
    /// This is the id of the event, which stays when the event is redacted. Not so of one that is
    /// [withheld](crate::WITHHELD_TOPIC): whether something is published in its place may change when it is redacted.
    fn fingerprint(&self, notification: &Notification) -> Option<Uuid> {
        let event = &notification.event;
        (event.topic != WITHHELD_TOPIC).then_some(event.event_id)
    }

    /// How many notifications of a section are redacted: with its id, what tells the states of an archived one apart.
    ///
    /// What is redacted stays so, and nothing else of an archived section changes; so two answers that are the same mean
    /// the same section. This counts what [`section`](Self::section) gives; a log that knows it without reading
    /// events does better.
    ///
    /// # Errors
    ///
    /// As [`section`](Self::section).
    async fn n_redacted_in(&self, id: SectionId) -> Result<u64, LogError> {
        Ok(self.section(&id.into()).await?.n_redacted())
    }

    /// Waits until the log has a notification after `after`, at most `timeout`; says whether it has.
    ///
    /// A hint: it may return early, and `true` promises nothing but that a look is worth while.
    ///
    /// # Errors
    ///
    /// As [`describe`](Self::describe).
    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError>;

    /// Waits until the log is another than `known` says, at most `timeout`; says whether it is: because it has a newer
    /// notification, or because more of it is redacted. Only [`last`](LogDescription::last) and
    /// [`n_redacted`](LogDescription::n_redacted) are looked at.
    ///
    /// A hint, as [`wait`](Self::wait), which this is for a log that does not hear of redactions: there one is seen when
    /// somebody looks. A log that passes on another one passes this on as well.
    ///
    /// # Errors
    ///
    /// As [`describe`](Self::describe).
    async fn wait_for_change(
        &self,
        known: &LogDescription,
        timeout: Duration,
    ) -> Result<bool, LogError> {
        self.wait(known.last, timeout).await
    }
}
