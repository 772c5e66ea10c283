//! What a follower is doing, and where it is.

use std::time::Instant;

/// What a follower is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowerState {
    /// It has not yet reached the upstream.
    Starting,
    /// It reads what is there already.
    CatchingUp,
    /// It has seen everything, and waits for more.
    Following,
    /// Something is in the way. It tries again, with growing waits, for as long as it takes.
    Retrying {
        /// What is in the way.
        error: String,
    },
    /// The log contradicts what was read of it before: a gap, a rewind, another history. It records nothing; it
    /// looks at the log again now and then, and continues by itself once the contradiction is gone.
    Stopped {
        /// Why.
        error: String,
    },
}

/// Where a follower is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerStatus {
    /// What it is doing.
    pub state: FollowerState,
    /// The last notification whose effects are recorded, 0 for none.
    pub position: u64,
    /// How many attempts have failed since it was made, repeated ones included.
    pub n_failures: u64,
    /// When it last recorded a step, or found that there was nothing new; when it was made, before the first time.
    pub last_success: Instant,
}

impl FollowerStatus {
    pub(crate) fn starting() -> Self {
        Self {
            state: FollowerState::Starting,
            position: 0,
            n_failures: 0,
            last_success: Instant::now(),
        }
    }
}
