//! One step of a follower: policies on some notifications, and one append.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use boxes_mapper::{Mapper, Metadata};
use boxes_notification_log::NotificationLog;
use boxes_recorder::{Notification, Position, RecorderError, Tracking};
use futures::FutureExt;
use uuid::Uuid;

use crate::app::OpenTransaction;
use crate::commands::Outcome;
use crate::conflict::{conflict_backoff, wait_after_conflict};
use crate::pending::Pending;
use crate::policy::Policy;
use crate::transaction::Transaction;
use crate::{App, Error, FollowerError, TraceParent};

/// What runs the policies of one follower.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    pub(crate) app: &'a App,
    pub(crate) upstream: &'a str,
    pub(crate) log: &'a dyn NotificationLog,
    /// Reads the events of the upstream.
    pub(crate) mapper: &'a Mapper,
    pub(crate) policies: &'a [Arc<dyn Policy>],
}

/// A step that was recorded.
#[derive(Debug)]
pub(crate) struct Taken {
    /// How many notifications it has.
    pub(crate) n_notifications: usize,
    /// Where the follower is now.
    pub(crate) position: Position,
    /// Why the next notification is not part of it, if it could not be handled.
    pub(crate) failure: Option<FollowerError>,
}

/// What policies did, before it is recorded.
#[derive(Debug, Default)]
struct Done {
    pending: Pending,
    n_notifications: usize,
    failure: Option<FollowerError>,
}

impl Steps<'_> {
    /// Runs the policies on the first of consecutive notifications, as many as fit into one append, and records what they did
    /// with the position: from `from`, in the history `epoch`.
    ///
    /// Each notification sees what those before it did, and is undone alone if it fails: then the step ends before it.
    ///
    /// # Errors
    ///
    /// If nothing is recorded: because the first notification can't be handled, or because of the store.
    pub(crate) async fn take(
        &self,
        from: Option<Position>,
        epoch: Uuid,
        notifications: &[Notification],
    ) -> Result<Taken, FollowerError> {
        let mut backoff = conflict_backoff();
        let mut max_notifications = notifications.len();
        let mut begin: fn(&App) -> Transaction = App::begin;
        loop {
            let generation = self.app.inner.subject_keys.generation();
            let notifications = notifications.get(..max_notifications).unwrap_or_default();
            let done = self.run(notifications, begin).await;
            let handled = notifications.get(..done.n_notifications);
            let Some(last) = handled.and_then(<[_]>::last) else {
                return Err(done
                    .failure
                    .unwrap_or(FollowerError::Store(nothing_to_do())));
            };
            let of_policy = |source| FollowerError::of_policy(last, source);
            let tracking = Tracking {
                follower: self.upstream.to_owned(),
                epoch,
                from,
                to: last.id,
                event_id: self.log.fingerprint(last),
            };
            let position = tracking.position();
            let recording = self
                .app
                .record(done.pending, generation, Some(tracking), None);
            match recording.await {
                Ok(Outcome::Recorded(_)) => {
                    return Ok(Taken {
                        n_notifications: done.n_notifications,
                        position,
                        failure: done.failure,
                    });
                }
                Ok(Outcome::Conflict(originator_id)) => {
                    let waited = wait_after_conflict(&mut backoff, originator_id).await;
                    waited.map_err(of_policy)?;
                    begin = |app| app.begin().looking_before_creating();
                }
                // What no store can record is what a policy wrote: it is to be seen which.
                Err(Error::Store(RecorderError::Invalid { .. })) if done.n_notifications > 1 => {
                    max_notifications = 1;
                }
                Err(Error::Store(error)) if !matches!(error, RecorderError::Invalid { .. }) => {
                    return Err(error.into());
                }
                Err(error) => return Err(of_policy(error)),
            }
        }
    }

    /// Runs the policies on notifications, until the append is complete or a notification can't be handled.
    async fn run(&self, notifications: &[Notification], begin: fn(&App) -> Transaction) -> Done {
        let mut done = Done::default();
        for notification in notifications {
            let is_first = done.n_notifications == 0;
            let (app, open) = self.app.within(begin(self.app).after(done.pending));
            let handled = self.run_policies(notification, &app, &open).await;
            let mut transaction = open.transaction.lock().await;
            // What came before must be recorded for this one, so it begins the next step.
            if !is_first && open.has_asked_for_log.load(Ordering::SeqCst) {
                done.pending = transaction.undo();
                return done;
            }
            if let Err(failure) = handled {
                done.pending = transaction.undo();
                done.failure = Some(failure);
                return done;
            }
            done.pending = transaction.end();
            done.n_notifications += 1;
            if done.pending.is_complete() {
                return done;
            }
        }
        done
    }

    async fn run_policies(
        &self,
        notification: &Notification,
        app: &App,
        open: &OpenTransaction,
    ) -> Result<(), FollowerError> {
        let stored = &notification.event;
        let is_interested = |policy: &&Arc<dyn Policy>| policy.handles(&stored.topic);
        for policy in self.policies.iter().filter(is_interested) {
            let of_event = Metadata::from_bytes(&stored.metadata);
            // Another box wrote it: what is no trace is not passed on.
            let trace = of_event.traceparent.as_deref().and_then(TraceParent::new);
            let cause = Metadata {
                correlation_id: Some(of_event.correlation_id.unwrap_or(stored.event_id)),
                causation_id: Some(stored.event_id),
                traceparent: trace.map(|trace| trace.as_str().to_owned()),
                ..Metadata::default()
            };
            open.transaction.lock().await.set_cause(cause);
            let handled = policy.handle(notification, self.mapper, app.clone());
            match AssertUnwindSafe(handled).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(source)) => return Err(FollowerError::of_policy(notification, source)),
                Err(_) => {
                    return Err(FollowerError::Panicked {
                        id: notification.id,
                        topic: stored.topic.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn nothing_to_do() -> RecorderError {
    RecorderError::Invalid {
        reason: "a step of a follower has at least one notification".to_owned(),
    }
}
