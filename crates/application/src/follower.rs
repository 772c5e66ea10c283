//! Reads another box's log and runs the policies on it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_mapper::{Mapper, Metadata};
use boxes_notification_log::{NotificationLog, NotificationLogReader};
use boxes_recorder::{Append, Notification, Position, RecorderError, Tracking};
use futures::FutureExt;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::conflict::{conflict_backoff, wait_after_conflict};
use crate::hold_up::HoldUp;
use crate::policy::Policy;
use crate::{App, FollowerError, FollowerOptions, FollowerState, FollowerStatus, Policies};

/// Reads another box's log and runs this box's policies on it.
///
/// The position is recorded in the transaction of the policies' events, so their results are there exactly
/// once, whatever crashes when. Consecutive notifications share a transaction while there are many; if that
/// fails they are taken one by one. Notifications that no policy handles move the position, too.
///
/// A second instance of the same follower does no harm: whichever records a step first has made it, and the
/// other one goes on from there.
#[derive(Debug)]
pub struct Follower {
    app: App,
    upstream: String,
    /// Reads the events of the upstream.
    mapper: Mapper,
    policies: Vec<Arc<dyn Policy>>,
    log: Arc<dyn NotificationLog>,
    options: FollowerOptions,
    /// There once the recorded position is known; gone when that has to be looked up again.
    reading: Option<Reading>,
    hold_up: HoldUp,
    status: watch::Sender<FollowerStatus>,
}

#[derive(Debug)]
struct Reading {
    reader: NotificationLogReader,
    recorded: Option<Position>,
}

impl Reading {
    /// Whether more was read than is recorded.
    fn is_ahead(&self) -> bool {
        let id = |position: Option<Position>| position.map_or(0, |p| p.id);
        id(self.reader.position()) > id(self.recorded)
    }
}

impl Follower {
    /// A follower of the box `upstream`, whose log is `log`, that runs what `policies` has for it.
    #[must_use]
    pub fn new(
        app: App,
        upstream: impl Into<String>,
        policies: &Policies,
        log: Arc<dyn NotificationLog>,
        options: FollowerOptions,
    ) -> Self {
        let upstream = upstream.into();
        let policies = policies.of(&upstream);
        // A log beside the box's own one has events of that box.
        let of_box = upstream.split('/').next().unwrap_or_default();
        let mapper = app.mapper().clone().of_box(of_box);
        let status = watch::Sender::new(FollowerStatus::starting());
        Self {
            app,
            upstream,
            mapper,
            policies,
            log,
            hold_up: HoldUp::new(&options),
            options,
            reading: None,
            status,
        }
    }

    /// The box that it follows.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The box that follows.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Where it is and what it does, from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<FollowerStatus> {
        self.status.subscribe()
    }

    /// Follows until it is cancelled; that takes effect between two transactions, never within one.
    ///
    /// No failure is final: what fails is tried again for as long as it takes, with growing, jittered waits that
    /// the options bound, and each failure is in the status and in the log. Where the log contradicts what was
    /// read of it before, nothing is recorded until the contradiction is gone.
    pub async fn run(mut self, cancelled: CancellationToken) {
        while !cancelled.is_cancelled() {
            // A read may take as long as the other box does, and loses nothing when it is dropped.
            let read = tokio::select! {
                () = cancelled.cancelled() => return,
                read = self.read() => read,
            };
            let mut result = match read {
                Ok(batch) => self.handle(&batch).await,
                Err(error) => Err(error),
            };
            if result.is_ok() && !self.has_more() {
                self.succeeded(FollowerState::Following);
                result = tokio::select! {
                    () = cancelled.cancelled() => return,
                    waited = self.wait(self.options.poll_interval) => waited.map(|_| 0),
                };
            }
            let Err(error) = result else {
                self.hold_up.end();
                continue;
            };
            let wait = self.held_up(&error);
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Follows to the end of the log. Returns how many notifications it has taken.
    ///
    /// # Errors
    ///
    /// A contradiction of the log at once, and anything else after as many failures in a row as
    /// [`max_attempts`](FollowerOptions::max_attempts). Called again, it tries once more, and goes on from where it is.
    pub async fn catch_up(&mut self) -> Result<u64, FollowerError> {
        let mut n_handled = 0;
        loop {
            let result = match self.has_news().await {
                Ok(true) => match self.read().await {
                    Ok(batch) => self.handle(&batch).await,
                    Err(error) => Err(error),
                },
                Ok(false) => {
                    self.hold_up.end();
                    self.succeeded(FollowerState::Following);
                    return Ok(n_handled);
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(n) => {
                    n_handled += n;
                    self.hold_up.end();
                }
                Err(error) => {
                    let wait = self.held_up(&error);
                    let is_last = self.hold_up.n_failures() >= self.options.max_attempts;
                    if is_last || error.is_contradiction() {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Whether a look into the log is worth while: without asking the store, for a box of this process.
    async fn has_news(&mut self) -> Result<bool, FollowerError> {
        let is_behind = self.reading.as_ref().is_none_or(Reading::is_ahead);
        Ok(is_behind || self.has_more() || self.wait(Duration::ZERO).await?)
    }

    fn has_more(&self) -> bool {
        self.reading
            .as_ref()
            .is_none_or(|reading| reading.reader.has_more())
    }

    /// Runs the policies on what was read, in one transaction, or one by one if that fails. Returns how many
    /// notifications that were.
    async fn handle(&mut self, batch: &[Notification]) -> Result<u64, FollowerError> {
        if batch.is_empty() {
            return Ok(0);
        }
        let is_starting = matches!(self.status.borrow().state, FollowerState::Starting);
        if is_starting {
            self.report(FollowerState::CatchingUp);
        }
        let result = match self.apply(batch).await {
            Err(error) if batch.len() > 1 && error.is_of_policy() => {
                tracing::debug!(%error, upstream = self.upstream, "a batch failed; its notifications are taken one by one");
                self.apply_one_by_one(batch).await
            }
            done => done,
        };
        match result {
            Ok(()) => Ok(u64::try_from(batch.len()).unwrap_or(u64::MAX)),
            // Another instance has made this step; or it is unknown whether this one did. The record tells.
            Err(FollowerError::Store(RecorderError::TrackingMoved { .. })) => {
                tracing::info!(
                    upstream = self.upstream,
                    "the position was moved by another instance of this follower"
                );
                self.reading = None;
                Ok(1)
            }
            Err(error) => {
                self.reading = None;
                Err(error)
            }
        }
    }

    /// The next notifications, as many as may share a transaction; none at the end of the log.
    async fn read(&mut self) -> Result<Vec<Notification>, FollowerError> {
        // A step that was dropped half-way, with its caller, has read on and recorded nothing.
        if self.reading.as_ref().is_some_and(Reading::is_ahead) {
            self.reading = None;
        }
        if self.reading.is_none() {
            let recorded = self
                .app
                .inner
                .writer
                .recorder()
                .tracking(&self.upstream)
                .await?;
            self.status
                .send_modify(|status| status.position = recorded.map_or(0, |p| p.id));
            let reader = NotificationLogReader::new(Arc::clone(&self.log), recorded);
            self.reading = Some(Reading { reader, recorded });
        }
        let Some(Reading { reader, .. }) = &mut self.reading else {
            return Ok(Vec::new());
        };
        let mut batch = reader.next_batch().await?;
        while !batch.is_empty() && batch.len() < self.options.max_batch && reader.has_more() {
            match reader.next_batch().await {
                Ok(more) if more.is_empty() => break,
                Ok(more) => batch.extend(more),
                // What is there already is good. The error comes again with the next step.
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    async fn apply_one_by_one(&mut self, batch: &[Notification]) -> Result<(), FollowerError> {
        for notification in batch {
            self.apply(std::slice::from_ref(notification)).await?;
        }
        Ok(())
    }

    /// Runs the policies on consecutive notifications, and records what they did together with the position.
    async fn apply(&mut self, batch: &[Notification]) -> Result<(), FollowerError> {
        let (Some(last), Some(reading)) = (batch.last(), &mut self.reading) else {
            return Ok(());
        };
        let Some(Position { epoch, .. }) = reading.reader.position() else {
            return Ok(());
        };
        let as_policy_error = |source| FollowerError::Policy {
            id: last.id,
            topic: last.event.topic.to_string(),
            source,
        };
        let mut backoff = conflict_backoff();
        let mut begun = self.app.begin();
        loop {
            let transaction = Arc::new(Mutex::new(begun));
            for notification in batch {
                let (policies, mapper) = (&self.policies, &self.mapper);
                run_policies(policies, notification, mapper, &self.app, &transaction).await?;
            }
            let mut transaction = transaction.lock().await;
            let tracking = Tracking {
                follower: self.upstream.clone(),
                epoch,
                from: reading.recorded,
                to: last.id,
                event_id: None,
            };
            let append = Append::new(transaction.end()).with_tracking(tracking);
            match self.app.inner.writer.append(append).await {
                Ok(_) => {
                    transaction.keep_all().await;
                    reading.recorded = Some(Position::new(epoch, last.id));
                    self.status.send_modify(|status| {
                        status.position = last.id;
                        status.last_success = Instant::now();
                        // What was in the way is gone, though the end may still be far.
                        if matches!(
                            status.state,
                            FollowerState::Retrying { .. } | FollowerState::Stopped { .. }
                        ) {
                            status.state = FollowerState::CatchingUp;
                        }
                    });
                    return Ok(());
                }
                // A policy that is run again on what was deleted meanwhile finds it so.
                Err(
                    RecorderError::VersionConflict { originator_id, .. }
                    | RecorderError::StreamDeleted { originator_id },
                ) => {
                    wait_after_conflict(&mut backoff, originator_id)
                        .await
                        .map_err(as_policy_error)?;
                    transaction.refresh_all().await.map_err(as_policy_error)?;
                    begun = self.app.begin().looking_before_creating();
                }
                // What no store could record is what the policies wrote.
                Err(error @ RecorderError::Invalid { .. }) => {
                    return Err(as_policy_error(error.into()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn wait(&mut self, timeout: Duration) -> Result<bool, FollowerError> {
        match &mut self.reading {
            Some(Reading { reader, .. }) => Ok(reader.wait(timeout).await?),
            None => Ok(true),
        }
    }

    /// Says in status and log what is in the way, and returns how long to wait.
    fn held_up(&mut self, error: &FollowerError) -> Duration {
        let position = self.status.borrow().position;
        let wait = self.hold_up.next_wait(error, position);
        let (name, upstream, text) = (self.app.name(), &self.upstream, error.chain());
        let state = if error.is_contradiction() {
            tracing::error!(name, upstream, error = text, look_again_in = ?wait, "following has stopped");
            FollowerState::Stopped { error: text }
        } else {
            tracing::warn!(name, upstream, error = text, retry_in = ?wait, "following is held up");
            FollowerState::Retrying { error: text }
        };
        // Whatever was known of the log or of the own position may be what is wrong.
        self.reading = None;
        self.status.send_modify(|status| {
            status.state = state;
            status.n_failures = status.n_failures.saturating_add(1);
        });
        wait
    }

    fn succeeded(&self, state: FollowerState) {
        self.report(state);
        // Not worth waking anyone for.
        self.status.send_if_modified(|status| {
            status.last_success = Instant::now();
            false
        });
    }

    fn report(&self, state: FollowerState) {
        self.status.send_if_modified(|status| {
            let is_new = status.state != state;
            status.state = state;
            is_new
        });
    }
}

async fn run_policies(
    policies: &[Arc<dyn Policy>],
    notification: &Notification,
    mapper: &Mapper,
    app: &App,
    transaction: &Arc<Mutex<crate::transaction::Transaction>>,
) -> Result<(), FollowerError> {
    let stored = &notification.event;
    for policy in policies
        .iter()
        .filter(|policy| policy.handles(&stored.topic))
    {
        let correlation_id = Metadata::from_bytes(&stored.metadata)
            .correlation_id
            .unwrap_or(stored.event_id);
        let cause = Metadata {
            correlation_id: Some(correlation_id),
            causation_id: Some(stored.event_id),
            ..Metadata::default()
        };
        transaction.lock().await.set_cause(cause);
        let handled = policy.handle(notification, mapper, app.within(transaction));
        let topic = || stored.topic.to_string();
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(done) => done.map_err(|source| FollowerError::Policy {
                id: notification.id,
                topic: topic(),
                source,
            })?,
            Err(_) => {
                return Err(FollowerError::Panicked {
                    id: notification.id,
                    topic: topic(),
                });
            }
        }
    }
    Ok(())
}
