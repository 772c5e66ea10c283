//! A new epoch for a log that was restored.

use boxes_recorder::RecorderError;
use uuid::Uuid;

/// What became of a log that got a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEpoch {
    /// The epoch that it had.
    pub before: Uuid,
    /// The epoch that it has now.
    pub now: Uuid,
    /// The id of its newest notification, 0 for none.
    pub head: u64,
}

/// There is no log to give a new epoch to.
pub(crate) fn no_log(name: &str) -> RecorderError {
    RecorderError::Mismatch {
        reason: format!("there is no log of box `{name}` here: restore it first"),
    }
}

/// There is a log of another box.
pub(crate) fn other_log(name: &str, found: &str) -> RecorderError {
    RecorderError::Mismatch {
        reason: format!("the database holds the log of box `{found}`, not of `{name}`"),
    }
}
