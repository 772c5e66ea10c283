//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from try to try up to a bound, with jitter, and honour what the other side asked for.
///
/// The n-th wait is drawn between half of and the whole of `base · 2ⁿ`, at most `max`: so that many who
/// failed together don't come back together.
///
/// ```
/// use boxes_notification_log::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
/// assert!(backoff.next_wait(None) <= Duration::from_millis(100));
/// assert!(backoff.next_wait(None) <= Duration::from_millis(200));
/// assert_eq!(backoff.next_wait(Some(Duration::from_secs(3))), Duration::from_secs(3));
/// backoff.reset();
/// assert!(backoff.next_wait(None) <= Duration::from_millis(100));
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    n_failures: u32,
}

impl Backoff {
    /// The first wait is at most `base`, none is longer than `max`.
    #[must_use]
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, n_failures: 0 }
    }

    /// How often it was asked since the last success.
    #[must_use]
    pub const fn n_failures(&self) -> u32 {
        self.n_failures
    }

    /// How long to wait now, after one more failure: at least what the other side asked for, which is bounded
    /// by `max` as well.
    #[must_use]
    pub fn next_wait(&mut self, retry_after: Option<Duration>) -> Duration {
        let wait = self.base.saturating_mul(2_u32.saturating_pow(self.n_failures)).min(self.max);
        self.n_failures = self.n_failures.saturating_add(1);
        let wait = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        wait.max(retry_after.unwrap_or_default()).min(self.max)
    }

    /// It went well: the next failure starts from the beginning.
    pub const fn reset(&mut self) {
        self.n_failures = 0;
    }
}
