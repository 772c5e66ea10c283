//! Which log is expected.

use std::num::NonZeroU32;

use uuid::Uuid;

/// Which log is expected in a database, and what a new one gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLog {
    /// The name of the box: a log of another name is refused.
    pub name: String,
    /// How many notifications a page holds: a log that was made with another number is refused. `None` takes what
    /// the log has, and [`DEFAULT_PAGE_SIZE`](boxes_recorder::DEFAULT_PAGE_SIZE) for a new one.
    pub page_size: Option<NonZeroU32>,
    /// The epoch that the log must have: another one is refused, and so is making a new log. `None` takes what the log
    /// has.
    pub epoch: Option<Uuid>,
    /// The epoch of the log if it has to be made; one that is there keeps its own.
    pub new_epoch: Uuid,
}

impl OpenLog {
    /// The log of the box of this name, whatever its page size; a new one gets a random epoch.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "a store is an edge: the one place where the epoch of a log comes from"
    )]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            page_size: None,
            epoch: None,
            new_epoch: Uuid::new_v4(),
        }
    }

    /// The same with this page size, or not at all.
    #[must_use]
    pub const fn with_page_size(mut self, page_size: NonZeroU32) -> Self {
        self.page_size = Some(page_size);
        self
    }

    /// The same with this epoch, or not at all: for those who know which history they go on in.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: Uuid) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The same with this epoch for a log that has to be made.
    #[must_use]
    pub const fn with_new_epoch(mut self, epoch: Uuid) -> Self {
        self.new_epoch = epoch;
        self
    }
}
