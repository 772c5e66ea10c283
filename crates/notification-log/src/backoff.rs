//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from try to try up to a bound, with jitter, and honour what the other side asked for.
///
/// The n-th wait is drawn between half of and the whole of `base · 2ⁿ`, at most `max`: so that many who
/// failed together don't come back together. What the other side asked for (`Retry-After`) comes on top,
/// whatever `max` is, because all who were sent away were told the same; it is itself bounded by
/// [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER).
///
/// ```
/// use boxes_notification_log::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
/// assert!(backoff.next_wait(None) <= Duration::from_millis(100));
/// assert!(backoff.next_wait(None) <= Duration::from_millis(200));
/// assert!(backoff.next_wait(Some(Duration::from_secs(3))) >= Duration::from_secs(3));
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
    /// The longest wait that the other side may ask for: longer ones are cut to this, so that a mistake there
    /// can't silence a follower for a day.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

    /// The first wait is at most `base`; none is longer than `max`, unless the other side asks for it.
    #[must_use]
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            n_failures: 0,
        }
    }

    /// How often it was asked since the last success.
    #[must_use]
    pub const fn n_failures(&self) -> u32 {
        self.n_failures
    }

    /// How long to wait now, after one more failure: longer than what the other side asked for.
    #[must_use]
    pub fn next_wait(&mut self, retry_after: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(self.n_failures);
        self.n_failures = self.n_failures.saturating_add(1);
        let own = self.base.saturating_mul(doubled).min(self.max);
        let asked = retry_after.unwrap_or_default().min(Self::MAX_RETRY_AFTER);
        asked.saturating_add(own.mul_f64(0.5 + fastrand::f64() / 2.0))
    }

    /// It went well: the next failure starts from the beginning.
    pub const fn reset(&mut self) {
        self.n_failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(BASE, MAX);
        for round in 0..10 {
            let mut most = BASE;
            for _ in 0..100 {
                let wait = backoff.next_wait(None);
                let bounds = most.div_f64(2.0)..=most;
                assert!(bounds.contains(&wait), "{wait:?}, not in {bounds:?}");
                most = (most * 2).min(MAX);
            }
            assert_eq!(backoff.n_failures(), 100, "round {round}");
            backoff.reset();
        }
    }

    #[test]
    fn those_who_failed_together_do_not_come_back_together() {
        let waits: Vec<_> = (0..64)
            .map(|_| Backoff::new(BASE, MAX).next_wait(None))
            .collect();
        assert!(waits.iter().any(|wait| wait != &waits[0]));
    }

    #[test]
    fn what_the_log_asks_for_is_honoured_beyond_the_own_longest_wait_and_within_a_bound() {
        let asked = MAX * 3;
        let wait = Backoff::new(BASE, MAX).next_wait(Some(asked));
        assert!(wait > asked && wait <= asked + BASE, "{wait:?}");
        let wait = Backoff::new(BASE, MAX).next_wait(Some(Duration::MAX));
        assert!(
            wait > Backoff::MAX_RETRY_AFTER && wait <= Backoff::MAX_RETRY_AFTER + BASE,
            "{wait:?}"
        );
    }
}
