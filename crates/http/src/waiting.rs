//! Requests that wait for something new.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use boxes_notification_log::{LogDescription, NotificationLog};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::entity_tag::any_is_known;
use crate::log_problem::to_problem;
use crate::prefer::{PREFERENCE_APPLIED, applied, preferred_wait};
use crate::waiting_places::{WaitingPlace, WaitingPlaces};
use crate::{Problem, ProblemKind};

/// When those who found no room to wait may come back.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long it takes before a log is asked again that said it had something new and had not.
pub(crate) const FALSE_ALARM_PAUSE: Duration = Duration::from_millis(50);

/// Room for a bounded number of requests that wait. What waits holds no connection of the store.
#[derive(Debug)]
pub(crate) struct Waiters {
    places: WaitingPlaces,
    shutdown: CancellationToken,
}

/// A request that has begun to wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    _place: WaitingPlace,
    wait: Duration,
    until: Instant,
    /// The newest notification, and how much was redacted, when it waited last.
    waited_from: Option<(u64, u64)>,
}

impl Waiting {
    /// What the answer says of the request's preference.
    pub(crate) fn applied(&self) -> (HeaderName, HeaderValue) {
        (PREFERENCE_APPLIED, applied(self.wait))
    }
}

/// The outcome of waiting.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is worth while to look again.
    News,
    /// There is nothing new, and nothing more to wait for; with what to say of the request's preference.
    NoNews {
        applied: Option<(HeaderName, HeaderValue)>,
    },
}

impl Waiters {
    pub(crate) const fn new(places: WaitingPlaces, shutdown: CancellationToken) -> Self {
        Self { places, shutdown }
    }

    /// Waits until the log has something after `known.last`, or more of it is redacted, if the request prefers to, at most
    /// as long as it may.
    ///
    /// `waiting` is kept by the caller from one call to the next: room and time are given once for a request.
    pub(crate) async fn wait(
        &self,
        log: &dyn NotificationLog,
        known: &LogDescription,
        request: &HeaderMap,
        waiting: &mut Option<Waiting>,
    ) -> Result<Outcome, Problem> {
        let waiting = match waiting {
            Some(waiting) => waiting,
            // A request that knows every state by `*` names none from which something could be new.
            None if any_is_known(request) => return Ok(Outcome::NoNews { applied: None }),
            None => match preferred_wait(request) {
                None => return Ok(Outcome::NoNews { applied: None }),
                Some(wait) => waiting.insert(self.begin(wait)?),
            },
        };
        let from = (known.last, known.n_redacted);
        if waiting.waited_from.replace(from) == Some(from) {
            let end = waiting.until.min(Instant::now() + FALSE_ALARM_PAUSE);
            tokio::time::sleep_until(end).await;
        }
        let remaining = waiting.until.saturating_duration_since(Instant::now());
        let woken = !remaining.is_zero()
            && tokio::select! {
                biased;
                () = self.shutdown.cancelled() => false,
                woken = log.wait_for_change(known, remaining) => woken.map_err(|error| to_problem(&error))?,
            };
        if woken {
            return Ok(Outcome::News);
        }
        let applied = Some(waiting.applied());
        Ok(Outcome::NoNews { applied })
    }

    /// Waits until the log has something after `last`, at most until `until`, or the process stops; says whether it
    /// is worth while to look again.
    ///
    /// `room` is kept by the caller from one call to the next; a second call means that the first was a false alarm.
    pub(crate) async fn wait_until(
        &self,
        log: &dyn NotificationLog,
        last: u64,
        until: Instant,
        room: &mut Option<WaitingPlace>,
    ) -> Result<bool, Problem> {
        if room.is_none() {
            *room = Some(self.room()?);
        } else {
            tokio::time::sleep_until(until.min(Instant::now() + FALSE_ALARM_PAUSE)).await;
        }
        let remaining = until.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Ok(false);
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(false),
            woken = log.wait(last, remaining) => woken.map_err(|error| to_problem(&error)),
        }
    }

    /// Room for one that waits as long as it is connected.
    pub(crate) fn room(&self) -> Result<WaitingPlace, Problem> {
        let refusal = || Problem::new(&ProblemKind::TOO_MANY_WAITERS).with_retry_after(RETRY_AFTER);
        self.places.take().ok_or_else(refusal)
    }

    pub(crate) const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    fn begin(&self, wait: Duration) -> Result<Waiting, Problem> {
        Ok(Waiting {
            _place: self.room()?,
            wait,
            until: Instant::now() + wait,
            waited_from: None,
        })
    }
}
