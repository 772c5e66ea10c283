//! What a log may answer instead of a section.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use uuid::Uuid;

use crate::SectionIdError;

/// What a log may answer instead of a section, by what the reader does next.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The section id is malformed, of the wrong length, or off the grid: mend the request.
    #[error(transparent)]
    SectionId(#[from] SectionIdError),
    /// The log can't be reached, or not now: try later.
    #[error("the log is unavailable: {reason}")]
    Unavailable {
        /// What was tried, and what came of it.
        reason: String,
        /// How long to wait before the next try, if the log said.
        retry_after: Option<Duration>,
        /// What the layer below said.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// What came is no page of a notification log, or was cut short: try again, and look at it if it stays so.
    #[error("the answer is not a page of a notification log: {reason}")]
    Garbage {
        /// What is wrong with it.
        reason: String,
    },
    /// What came is larger than the reader takes. A section is read by its single notifications then; for one of those, raise
    /// the bound.
    #[error("{reason}")]
    TooLarge {
        /// What was too large, and the bound.
        reason: String,
    },
    /// The credentials are missing, wrong, or not enough: mend the configuration.
    #[error("the log refuses access: {reason}")]
    Forbidden {
        /// What the log said.
        reason: String,
    },
    /// The log has another epoch: its history was rewritten. Stop: what was read may not have happened.
    #[error("the log `{log}` has epoch {found}, expected {expected}: its history was rewritten")]
    EpochChanged {
        /// The log's name.
        log: String,
        /// The epoch that was followed so far.
        expected: Uuid,
        /// The epoch that the log has now.
        found: Uuid,
    },
    /// The notification at the reader's position is another one than the one that was read: the history was replaced, under
    /// the same epoch. Stop: what was read may not have happened, and what happened in its place was not read.
    #[error(
        "notification {id} of the log `{log}` is not the one that was read: expected {expected}, found {found}; its history was replaced"
    )]
    HistoryReplaced {
        /// The log's name.
        log: String,
        /// The reader's position.
        id: u64,
        /// What the notification was recognised by.
        expected: Uuid,
        /// What the notification that is there now is recognised by.
        found: Uuid,
    },
    /// The log ends before the reader's position: its history was cut. Stop.
    #[error("the position {position} is ahead of the log, which ends at {last}")]
    AheadOfLog {
        /// The reader's position.
        position: u64,
        /// The id of the newest notification, 0 for none.
        last: u64,
    },
    /// A notification is missing, twice there, or out of order. Stop.
    #[error("expected notification {expected}, found {found}: the log has a gap")]
    Gap {
        /// The id that had to come.
        expected: u64,
        /// The id that came.
        found: u64,
    },
    /// Retention removed the section: start from `first_available`, if that is good enough.
    #[error(
        "the section was removed by retention; the first available notification is {first_available}"
    )]
    Pruned {
        /// The oldest notification that is still there, 0 if the log did not say.
        first_available: u64,
    },
}

impl LogError {
    /// Whether trying again may help, so that a follower waits instead of stopping.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Garbage { .. } | Self::Forbidden { .. }
        )
    }

    /// Whether the log contradicts what was read of it before, so that reading on might skip or repeat something.
    #[must_use]
    pub const fn is_contradiction(&self) -> bool {
        matches!(
            self,
            Self::EpochChanged { .. }
                | Self::HistoryReplaced { .. }
                | Self::AheadOfLog { .. }
                | Self::Gap { .. }
                | Self::Pruned { .. }
        )
    }

    /// How long the log asked to be left alone, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
