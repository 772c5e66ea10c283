//! How a follower works.

use std::time::Duration;

/// How a follower works.
#[derive(Debug, Clone)]
pub struct FollowerOptions {
    /// How long it waits for news before it asks the log itself: the slow poll beneath prompts and long polls.
    pub poll_interval: Duration,
    /// The maximum number of notifications that share a transaction while it catches up (and one section more).
    pub max_batch: usize,
    /// About how many bytes these notifications may have; a single one may have more.
    pub max_batch_bytes: usize,
    /// The first wait after a failure. Each further wait is twice as long, with jitter, up to one of the two bounds below.
    pub first_retry: Duration,
    /// The longest wait while the store or the upstream does not answer, or a policy says
    /// [`Error::not_yet`](crate::Error::not_yet).
    pub max_retry: Duration,
    /// The longest wait before a notification that can't be handled is tried again, and before a stopped follower
    /// looks at the log again.
    pub max_failure_retry: Duration,
    /// How many failures in a row, without a step forward in between, [`catch_up`](crate::Follower::catch_up) bears
    /// before it returns the last one. [`run`](crate::Follower::run) has no such bound: it tries again for ever.
    pub max_attempts: u32,
}

impl FollowerOptions {
    /// 8 MiB.
    pub const DEFAULT_MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
    /// Long enough not to burden a log that has just come back.
    pub const DEFAULT_MAX_RETRY: Duration = Duration::from_secs(30);
    /// Short enough that a follower has continued before a person who fixed the cause looks again.
    pub const DEFAULT_MAX_FAILURE_RETRY: Duration = Duration::from_secs(300);
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(20),
            max_batch: 256,
            max_batch_bytes: Self::DEFAULT_MAX_BATCH_BYTES,
            first_retry: Duration::from_millis(100),
            max_retry: Self::DEFAULT_MAX_RETRY,
            max_failure_retry: Self::DEFAULT_MAX_FAILURE_RETRY,
            max_attempts: 5,
        }
    }
}
