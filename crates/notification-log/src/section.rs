//! A part of a log.

use boxes_recorder::{LogIdentity, Notification, Position};

use crate::{LogError, SectionId};

/// A part of a log: the notifications of one place on the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Which log it is of.
    pub log: LogIdentity,
    /// Its place.
    pub id: SectionId,
    /// Whether the log has gone beyond it, so that it will never change again, but for what is redacted.
    pub archived: bool,
    /// Its notifications, ascending by id, without holes.
    pub items: Vec<Notification>,
    /// The section before it: there exactly when `low > 1`.
    pub previous: Option<SectionLink>,
    /// The section after it: there exactly when it is archived.
    pub next: Option<SectionLink>,
    /// The id of the newest notification of the log: there exactly when it is not archived.
    pub last: Option<u64>,
}

/// A way to another section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionLink {
    /// Which section.
    pub id: SectionId,
    /// Where it is, as the log said; `None` for a log in this process, or where the caller counted.
    pub href: Option<String>,
}

impl Section {
    /// The section at `id` of a log that ends at `last`, with everything that follows from that.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), so that what a store gives wrongly is not passed on.
    pub fn new(
        log: LogIdentity,
        id: SectionId,
        items: Vec<Notification>,
        last: u64,
    ) -> Result<Self, LogError> {
        let archived = id.high() < last;
        let section = Self {
            log,
            id,
            archived,
            items,
            previous: id.previous().map(SectionLink::from),
            next: archived.then(|| id.next().into()),
            last: (!archived).then_some(last),
        };
        section.check()?;
        Ok(section)
    }

    /// Whether the section is all that it says it is.
    ///
    /// # Errors
    ///
    /// - [`LogError::Gap`] if a notification is missing, also at the end, or is there twice, or out of order.
    /// - [`LogError::Garbage`] if the section contradicts itself: it is not on its log's grid, leads elsewhere
    ///   than to its neighbours, or is archived and has a `last`, and the like.
    pub fn check(&self) -> Result<(), LogError> {
        let Self { id, archived, .. } = self;
        let on_grid = id.on_grid(self.log.page_size);
        on_grid.map_err(|error| self.garbage(&error.to_string()))?;
        let mut expected = id.low();
        for item in &self.items {
            if item.id != expected || expected > id.high() {
                return Err(LogError::Gap {
                    expected,
                    found: item.id,
                });
            }
            expected = expected.saturating_add(1);
        }
        // In an archived section the first id of the next one follows, in a growing one the newest id.
        let follows = match (archived, self.last) {
            (true, None) => id.high().saturating_add(1),
            (false, Some(last)) if last <= id.high() => last.saturating_add(1),
            (false, Some(last)) => {
                return Err(
                    self.garbage(&format!("it is not archived, but the log ends at {last}"))
                );
            }
            (true, Some(_)) => {
                return Err(self.garbage("it is archived, but says where the log ends"));
            }
            (false, None) => return Err(self.garbage("it does not say where the log ends")),
        };
        if !self.items.is_empty() && follows < expected {
            return Err(self.garbage("it goes on beyond the end of the log"));
        }
        if expected < follows {
            return Err(LogError::Gap {
                expected,
                found: follows - 1,
            });
        }
        if self.previous.as_ref().map(|link| link.id) != id.previous() {
            return Err(self.garbage("its previous section is not the one before it"));
        }
        if self.next.as_ref().map(|link| link.id) != archived.then(|| id.next()) {
            return Err(self.garbage("its next section is not the one after it, or not due"));
        }
        Ok(())
    }

    /// How many of its notifications are redacted.
    #[must_use]
    pub fn n_redacted(&self) -> u64 {
        let redacted = self.items.iter().filter(|item| item.event.is_redacted());
        u64::try_from(redacted.count()).unwrap_or(u64::MAX)
    }

    /// Whether a reader can continue after `position` with what this section says of its log.
    ///
    /// # Errors
    ///
    /// - [`LogError::EpochChanged`] if the position belongs to another history.
    /// - [`LogError::AheadOfLog`] if the log ends before the position.
    pub fn continues(&self, position: Position) -> Result<(), LogError> {
        if self.log.epoch != position.epoch {
            return Err(LogError::EpochChanged {
                log: self.log.name.clone(),
                expected: position.epoch,
                found: self.log.epoch,
            });
        }
        match self.last {
            Some(last) if last < position.id => Err(LogError::AheadOfLog {
                position: position.id,
                last,
            }),
            _ => Ok(()),
        }
    }

    fn garbage(&self, reason: &str) -> LogError {
        LogError::Garbage {
            reason: format!("section {} of `{}`: {reason}", self.id, self.log.name),
        }
    }
}

impl From<SectionId> for SectionLink {
    fn from(id: SectionId) -> Self {
        Self { id, href: None }
    }
}
