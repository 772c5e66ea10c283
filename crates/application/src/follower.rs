//! Reads another box's log and runs the policies on it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use boxes_mapper::{Mapper, Metadata};
use boxes_notification_log::{Backoff, LogError, NotificationLog, NotificationLogReader};
use boxes_recorder::{Append, Notification, Position, RecorderError, Tracking};
use futures::FutureExt;
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::conflict::{conflict_backoff, wait_after_conflict};
use crate::policy::Policy;
use crate::{App, Error, Policies};

/// How a follower works.
#[derive(Debug, Clone)]
pub struct FollowerOptions {
    /// How long it waits for news before it looks for itself: the slow poll beneath prompts and long polls.
    pub poll_interval: Duration,
    /// How many notifications share a transaction while it catches up, at most (and one section more).
    pub max_batch: usize,
    /// The first wait after a failure.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub max_retry: Duration,
    /// How often a policy that fails is tried before the follower stops. Failures of the store or of the
    /// other box are no failures of the policy: they are waited out.
    pub max_attempts: u32,
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(20),
            max_batch: 256,
            first_retry: Duration::from_millis(100),
            max_retry: Duration::from_secs(30),
            max_attempts: 5,
        }
    }
}

/// What a follower is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowerState {
    /// It has not yet been in touch with the other box.
    Starting,
    /// It reads what is there already.
    CatchingUp,
    /// It has seen everything, and waits for more.
    Following,
    /// Something is in the way, and it tries again.
    Retrying {
        /// What is in the way.
        error: String,
    },
    /// It has stopped, for a person to look at it; after that, start the box again.
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
}

/// What can keep a follower from going on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowerError {
    /// The other box's log can't be read, or must not be read on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// This box's own store can't be used now.
    #[error(transparent)]
    Store(#[from] RecorderError),
    /// A policy failed on a notification.
    #[error("notification {id} ({topic}) can't be handled: {source}")]
    Policy {
        /// The notification.
        id: u64,
        /// Its topic.
        topic: String,
        /// What the policy returned.
        source: Error,
    },
    /// A policy panicked on a notification.
    #[error("notification {id} ({topic}) can't be handled: the policy panicked")]
    Panicked {
        /// The notification.
        id: u64,
        /// Its topic.
        topic: String,
    },
    /// Boxes kept reacting to each other, and it was given up in one process.
    #[error("after {n_rounds} rounds the boxes still react to each other")]
    Endless {
        /// How many rounds were tried.
        n_rounds: u32,
    },
}

impl FollowerError {
    /// Whether it is waited out for as long as it takes.
    fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Store(error) => matches!(
                error,
                RecorderError::Unavailable { .. } | RecorderError::OutcomeUnknown { .. }
            ),
            Self::Policy { source, .. } => source.is_transient(),
            Self::Panicked { .. } | Self::Endless { .. } => false,
        }
    }

    /// Whether it is the policy's own failure, which is tried a few times.
    const fn is_of_policy(&self) -> bool {
        matches!(self, Self::Policy { .. } | Self::Panicked { .. })
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Log(LogError::Unavailable { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

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
    /// How often in a row a policy failed; what was waited out in between counts neither way.
    n_policy_failures: u32,
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
        let status = watch::Sender::new(FollowerStatus {
            state: FollowerState::Starting,
            position: 0,
        });
        Self {
            app,
            upstream,
            mapper,
            policies,
            log,
            options,
            reading: None,
            n_policy_failures: 0,
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

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.status.borrow().state, FollowerState::Stopped { .. })
    }

    /// Follows until it is cancelled or has to stop; between two transactions, never within one.
    ///
    /// What fails is tried again, as the options say; what must not be read on stops it. Then it says so in
    /// its status and in the log, and returns.
    pub async fn run(mut self, cancelled: CancellationToken) {
        let mut backoff = self.backoff();
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
                self.report(FollowerState::Following);
                result = tokio::select! {
                    () = cancelled.cancelled() => return,
                    waited = self.wait(self.options.poll_interval) => waited.map(|_| 0),
                };
            }
            let Err(error) = result else {
                backoff.reset();
                self.n_policy_failures = 0;
                continue;
            };
            let Some(wait) = self.wait_after(&error, &mut backoff) else {
                return;
            };
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Follows to the end of the log. Returns how many notifications it has come on.
    ///
    /// # Errors
    ///
    /// What stopped it, after the retries that the options allow. For what `run` would wait out for as long as
    /// it takes, that is the same number of retries.
    pub async fn catch_up(&mut self) -> Result<u64, FollowerError> {
        let mut backoff = self.backoff();
        let mut n_handled = 0;
        loop {
            let result = match self.has_news().await {
                Ok(true) => match self.read().await {
                    Ok(batch) => self.handle(&batch).await,
                    Err(error) => Err(error),
                },
                Ok(false) => {
                    self.report(FollowerState::Following);
                    return Ok(n_handled);
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(n) => {
                    n_handled += n;
                    backoff.reset();
                    self.n_policy_failures = 0;
                }
                Err(error) => match self.wait_after(&error, &mut backoff) {
                    Some(wait) if backoff.n_failures() < self.options.max_attempts => {
                        tokio::time::sleep(wait).await;
                    }
                    _ => return Err(error),
                },
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
                        // What was in the way is so no more, though the end may still be far.
                        if matches!(status.state, FollowerState::Retrying { .. }) {
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

    /// How long to wait after a failure; `None` if it must stop. Says which in status and log.
    fn wait_after(&mut self, error: &FollowerError, backoff: &mut Backoff) -> Option<Duration> {
        let wait = backoff.next_wait(error.retry_after());
        let is_tried_again =
            error.is_transient() || (error.is_of_policy() && self.may_fail_again());
        let text = chain(error);
        if is_tried_again {
            tracing::warn!(name = self.app.name(), upstream = self.upstream, error = text, retry_in = ?wait, "following is held up");
            self.report(FollowerState::Retrying { error: text });
            return Some(wait);
        }
        tracing::error!(
            name = self.app.name(),
            upstream = self.upstream,
            error = text,
            "following has stopped"
        );
        self.report(FollowerState::Stopped { error: text });
        None
    }

    /// Counts a failure of a policy, and says whether the policy is tried again after it.
    const fn may_fail_again(&mut self) -> bool {
        self.n_policy_failures = self.n_policy_failures.saturating_add(1);
        self.n_policy_failures < self.options.max_attempts
    }

    fn report(&self, state: FollowerState) {
        self.status.send_if_modified(|status| {
            let is_new = status.state != state;
            status.state = state;
            is_new
        });
    }

    const fn backoff(&self) -> Backoff {
        Backoff::new(self.options.first_retry, self.options.max_retry)
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

/// An error with its causes, in one line.
fn chain(error: &FollowerError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
