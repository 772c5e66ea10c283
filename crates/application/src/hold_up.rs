//! How long a follower waits at the place where it is held up.

use std::time::Duration;

use boxes_notification_log::Backoff;

use crate::{FollowerError, FollowerOptions};

/// Counts the failures at one position, and says how long to wait after each.
///
/// An outage and a notification that can't be handled are counted apart: when a store that was away is back, the
/// notification that fails then is tried again soon. A step forward ends both counts.
#[derive(Debug)]
pub(crate) struct HoldUp {
    position: u64,
    outage: Backoff,
    failure: Backoff,
}

impl HoldUp {
    pub(crate) const fn new(options: &FollowerOptions) -> Self {
        Self {
            position: 0,
            outage: Backoff::new(options.first_retry, options.max_retry),
            failure: Backoff::new(options.first_retry, options.max_failure_retry),
        }
    }

    /// How long to wait after this failure, with `position` as the last notification whose effects are recorded.
    pub(crate) fn next_wait(&mut self, error: &FollowerError, position: u64) -> Duration {
        if position != self.position {
            self.end();
            self.position = position;
        }
        let backoff = if error.is_outage() {
            &mut self.outage
        } else {
            &mut self.failure
        };
        backoff.next_wait(error.retry_after())
    }

    /// How many failures there were since the last step forward.
    pub(crate) const fn n_failures(&self) -> u32 {
        let (outages, failures) = (self.outage.n_failures(), self.failure.n_failures());
        outages.saturating_add(failures)
    }

    /// Something went well: the next failure is the first one.
    pub(crate) const fn end(&mut self) {
        self.outage.reset();
        self.failure.reset();
    }
}

#[cfg(test)]
mod tests {
    use boxes_recorder::RecorderError;

    use super::*;
    use crate::Error;

    fn failure() -> FollowerError {
        FollowerError::Panicked {
            id: 1,
            topic: "t".to_owned(),
        }
    }

    fn outage() -> FollowerError {
        RecorderError::unavailable("away", std::fmt::Error).into()
    }

    #[test]
    fn waits_grow_up_to_their_bounds_and_begin_again_elsewhere() {
        let options = FollowerOptions::default();
        let mut hold_up = HoldUp::new(&options);
        let longest = |hold_up: &mut HoldUp, error: &FollowerError| {
            let waits = (0..40).map(|_| hold_up.next_wait(error, 7));
            waits.max().unwrap()
        };
        let waited = longest(&mut hold_up, &failure());
        let bound = FollowerOptions::DEFAULT_MAX_FAILURE_RETRY;
        assert!(waited <= bound && waited >= bound / 2, "{waited:?}");
        assert_eq!(hold_up.n_failures(), 40);
        // What is away then is asked again soon, and a policy that waits for something counts as away.
        let not_yet = FollowerError::Policy {
            id: 8,
            topic: "t".to_owned(),
            source: Error::not_yet("the other box is behind"),
        };
        assert!(hold_up.next_wait(&not_yet, 7) <= options.first_retry);
        let waited = longest(&mut hold_up, &outage());
        let bound = FollowerOptions::DEFAULT_MAX_RETRY;
        assert!(waited <= bound && waited >= bound / 2, "{waited:?}");
        assert!(hold_up.next_wait(&failure(), 8) <= options.first_retry);
        assert_eq!(hold_up.n_failures(), 1);
        hold_up.end();
        assert_eq!(hold_up.n_failures(), 0);
    }
}
