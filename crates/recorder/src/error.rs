//! What can keep a recorder from doing as asked.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use uuid::Uuid;

use crate::Position;

/// What can keep a recorder from doing as asked, by what the caller does next.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The version is taken, or the one before it does not exist: load the aggregate again, decide again.
    #[error("version {version} of {originator_id} does not follow the recorded version {recorded}")]
    VersionConflict {
        /// The aggregate.
        originator_id: Uuid,
        /// The version that was to be recorded.
        version: u64,
        /// The newest version that is recorded, 0 for none.
        recorded: u64,
    },
    /// The follower's position is not where the step begins, because another instance moved it: read it
    /// again and go on from there.
    #[error("the position of follower `{follower}` has moved to {}", recorded.map_or(0, |p| p.id))]
    TrackingMoved {
        /// The follower.
        follower: String,
        /// Where it is.
        recorded: Option<Position>,
    },
    /// The stream was deleted: nothing can be read of it, and nothing can follow. Take another id, or let it be.
    #[error("{originator_id} was deleted, and its id is not used again")]
    StreamDeleted {
        /// The aggregate.
        originator_id: Uuid,
    },
    /// An entry beside the log is not as the append expects: read it again, decide again.
    #[error("the value of `{}` in `{space}` is not as expected", key.escape_ascii())]
    KeyValueConflict {
        /// The space of the entry: its kind.
        space: String,
        /// The key of the entry.
        key: Bytes,
    },
    /// What was asked can't be recorded by any store: mend the caller.
    #[error("what was asked is invalid: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The log that is there is not the one that was expected: mend the configuration.
    #[error("{reason}")]
    Mismatch {
        /// What was found, what was expected, and what to do.
        reason: String,
    },
    /// The store does not answer, or not now, and nothing was changed: try later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What was tried.
        reason: String,
        /// What the store said.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The store did not say what became of the change, and could not be asked: it was made as a whole, or not at all.
    /// What is there now shows it, when the store answers again. What was asked may be asked again as it is: a version, a
    /// step or a value that was recorded is refused then.
    #[error("it is not known whether it is recorded: {reason}")]
    OutcomeUnknown {
        /// What was tried.
        reason: String,
        /// What the store said.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The store can't be used any more, because its file was removed, replaced or damaged, or holds what no program
    /// wrote. Trying again changes nothing: an administrator has to see to the store.
    #[error("the store is broken: {reason}")]
    Broken {
        /// What was found, and what to do.
        reason: String,
    },
    /// The recorder was closed.
    #[error("the recorder is closed")]
    Closed,
}

impl RecorderError {
    /// The store did not answer while `reason`.
    pub fn unavailable(
        reason: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            source: Some(Arc::new(source)),
        }
    }

    /// The store did not say what became of a change while `reason`.
    pub fn outcome_unknown(
        reason: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::OutcomeUnknown {
            reason: reason.into(),
            source: Some(Arc::new(source)),
        }
    }
}
