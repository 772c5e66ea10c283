//! Reads another box's log and runs the policies on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_mapper::Mapper;
use boxes_notification_log::NotificationLog;
use boxes_recorder::{Notification, Position, RecorderError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hold_up::HoldUp;
use crate::policy::Policy;
use crate::reading::Reading;
use crate::step::Steps;
use crate::{App, FollowerError, FollowerOptions, FollowerState, FollowerStatus, Policies};

/// Reads another box's log and runs this box's policies on it.
///
/// The position is recorded in the transaction of the policies' events, so their results are there exactly
/// once, whatever crashes when. Consecutive notifications share a transaction while there are many, which nothing shows:
/// each sees what those before it did, and one that fails leaves nothing behind, while those before it are recorded.
/// Notifications that no policy handles move the position, too.
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
        let mapper = app.mapper_of(of_box);
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
        self.reading.as_ref().is_none_or(Reading::has_more)
    }

    /// Runs the policies on what was read, and records what they did together with the position. Returns how many
    /// notifications that were.
    async fn handle(&mut self, batch: &[Notification]) -> Result<u64, FollowerError> {
        if batch.is_empty() {
            return Ok(0);
        }
        let is_starting = matches!(self.status.borrow().state, FollowerState::Starting);
        if is_starting {
            self.report(FollowerState::CatchingUp);
        }
        let error = match self.apply(batch).await {
            Ok(()) => return Ok(u64::try_from(batch.len()).unwrap_or(u64::MAX)),
            Err(error) => error,
        };
        let recorded = self.reading.take().and_then(|reading| reading.recorded);
        // Another instance has made this step; or it is unknown whether this one did. The record tells. What a policy ran into
        // may be what the other instance recorded.
        let is_moved = match &error {
            FollowerError::Store(RecorderError::TrackingMoved { .. }) => true,
            error => error.is_of_policy() && self.has_moved_from(recorded).await,
        };
        if !is_moved {
            return Err(error);
        }
        tracing::info!(
            upstream = self.upstream,
            "the position was moved by another instance of this follower"
        );
        Ok(1)
    }

    /// Whether the recorded position is another one; not if that can't be found out now.
    async fn has_moved_from(&self, recorded: Option<Position>) -> bool {
        let found = self.app.inner.writer.recorder().tracking(&self.upstream);
        found.await.is_ok_and(|found| {
            let place = |position: Option<Position>| position.map(|p| (p.epoch, p.id));
            place(found) != place(recorded)
        })
    }

    /// Runs the policies on consecutive notifications, in as few steps as possible.
    async fn apply(&mut self, mut batch: &[Notification]) -> Result<(), FollowerError> {
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        let Some(Position { epoch, .. }) = reading.position() else {
            return Ok(());
        };
        let steps = Steps {
            app: &self.app,
            upstream: &self.upstream,
            log: &*self.log,
            mapper: &self.mapper,
            policies: &self.policies,
        };
        while !batch.is_empty() {
            // Who is to be forgotten is forgotten before anything follows.
            let finished = self.app.finish().await;
            finished.map_err(|error| RecorderError::unavailable("forgetting a subject", error))?;
            let taken = steps.take(reading.recorded, epoch, batch).await?;
            reading.recorded = Some(taken.position);
            self.status.send_modify(|status| {
                status.position = taken.position.id;
                status.last_success = Instant::now();
                // What was in the way is gone, though the end may still be far.
                if matches!(
                    status.state,
                    FollowerState::Retrying { .. } | FollowerState::Stopped { .. }
                ) {
                    status.state = FollowerState::CatchingUp;
                }
            });
            if let Some(failure) = taken.failure {
                return Err(failure);
            }
            batch = batch.get(taken.n_notifications..).unwrap_or_default();
        }
        Ok(())
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
            self.reading = Some(Reading::new(Arc::clone(&self.log), recorded));
        }
        let Some(reading) = &mut self.reading else {
            return Ok(Vec::new());
        };
        let (max, max_bytes) = (self.options.max_batch, self.options.max_batch_bytes);
        Ok(reading.next_batch(max, max_bytes).await?)
    }

    async fn wait(&mut self, timeout: Duration) -> Result<bool, FollowerError> {
        match &mut self.reading {
            Some(reading) => Ok(reading.wait(timeout).await?),
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
