//! What runs in a service, for those who ask after it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use boxes_application::{App, FollowerState, FollowerStatus};
use boxes_http::WaitingPlaces;
use boxes_integrity::{SealerStatus, StoredSeals};
use boxes_notification_log::NotificationLog;
use boxes_recorder::{GroupCommit, LogIdentity, RecorderError};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::observed_log::ObservedLog;
use crate::seats::Seats;
use crate::tokens::AcceptedTokens;
use crate::topics::LogTopics;

/// What runs in a service.
#[derive(Debug)]
pub(crate) struct State {
    /// The boxes, in the order in which they were declared.
    pub(crate) boxes: Vec<RunningBox>,
    /// The followers, in the order in which their boxes declare them.
    pub(crate) followers: Vec<RunningFollower>,
    /// Those that seal the logs of the boxes, in the order of the boxes, and of each first its own log.
    pub(crate) sealers: Vec<RunningSealer>,
    pub(crate) metrics: Metrics,
    pub(crate) tokens: AcceptedTokens,
    /// The places for connections.
    pub(crate) seats: Arc<Seats>,
    /// The places for requests that wait.
    pub(crate) waiting: Waiting,
    /// What addresses in answers begin with, without a slash at the end; empty makes them paths.
    pub(crate) public_base: String,
    /// Cancelled when the service has been told to stop.
    pub(crate) stopping: CancellationToken,
}

/// The places for requests that wait for news, by log.
#[derive(Debug, Default)]
pub(crate) struct Waiting(std::sync::Mutex<Vec<(String, WaitingPlaces)>>);

impl Waiting {
    /// So many places for a log.
    pub(crate) fn places_of(&self, log: &str, max: usize) -> WaitingPlaces {
        let places = WaitingPlaces::new(max);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((log.to_owned(), places.clone()));
        places
    }

    /// Those of all logs.
    pub(crate) fn all(&self) -> Vec<(String, WaitingPlaces)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }
}

/// One box.
#[derive(Debug)]
pub(crate) struct RunningBox {
    pub(crate) app: App,
    /// The logs that others may read, the one that is named after the box first.
    pub(crate) logs: Vec<PublishedLog>,
    /// Whether that one is the box's own, and not another in its place.
    pub(crate) publishes_own_log: bool,
    pub(crate) writer: GroupCommit,
    /// The newest notification when the service started.
    pub(crate) head_at_start: u64,
    /// What the store said last of its head.
    pub(crate) probe: StoreProbe,
}

/// What a store said last, and when: however often somebody asks after it, the store is asked now and then.
#[derive(Debug, Default)]
pub(crate) struct StoreProbe(Mutex<Option<Probed>>);

/// When a store said what its head is.
type Probed = (Instant, Result<u64, Arc<RecorderError>>);

/// How long what a store said holds for those who ask whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// One log.
#[derive(Debug, Clone)]
pub(crate) struct PublishedLog {
    /// That of its box, or `{box}/{log}`: its path as well.
    pub(crate) name: String,
    pub(crate) log: Arc<dyn NotificationLog>,
    pub(crate) identity: LogIdentity,
    /// Its seals, if its store has a place for some.
    pub(crate) seals: Option<StoredSeals>,
    pub(crate) topics: LogTopics,
    /// Whether aggregates of its box may be deleted, so that caches must not keep its pages for ever.
    pub(crate) is_redactable: bool,
    /// Whether it is made of another log, from which it withholds what it does not publish.
    pub(crate) withholds: bool,
}

/// One that seals a log of a box.
#[derive(Debug)]
pub(crate) struct RunningSealer {
    pub(crate) box_name: String,
    /// Which of its logs, if it is not its own one.
    pub(crate) public_log: Option<String>,
    pub(crate) status: watch::Receiver<SealerStatus>,
}

/// One follower.
#[derive(Debug)]
pub(crate) struct RunningFollower {
    pub(crate) box_name: String,
    pub(crate) upstream: String,
    pub(crate) status: watch::Receiver<FollowerStatus>,
    /// The upstream's log, as the follower reads it.
    pub(crate) log: Arc<ObservedLog>,
    /// How often that log is looked at, at least.
    pub(crate) poll_interval: Duration,
}

impl RunningFollower {
    pub(crate) fn status(&self) -> FollowerStatus {
        self.status.borrow().clone()
    }

    /// How many notifications of the upstream are known of and not yet handled.
    pub(crate) fn lag(&self, status: &FollowerStatus) -> u64 {
        self.log.newest().saturating_sub(status.position)
    }
}

impl RunningBox {
    /// The newest notification, if the store tells it in time; as of at most a quarter of a second ago.
    pub(crate) async fn head(&self) -> Result<u64, Arc<RecorderError>> {
        let recorder = self.writer.recorder();
        self.probe.head(Instant::now(), || recorder.head()).await
    }

    /// The newest notification, or why the store can't be used: it does not answer, or it did not take the last write.
    pub(crate) async fn head_if_usable(&self) -> Result<u64, (&'static str, Arc<RecorderError>)> {
        let head = self.head().await.map_err(|error| match &*error {
            RecorderError::Broken { .. } => ("broken", error),
            _ => ("unavailable", error),
        })?;
        match self.writer.write_failure() {
            None => Ok(head),
            Some(error @ RecorderError::Broken { .. }) => Err(("broken", Arc::new(error))),
            Some(error) => Err(("not-writable", Arc::new(error))),
        }
    }
}

impl StoreProbe {
    /// What the store said last, if that was just before `now`, or else what it answers.
    async fn head<F>(&self, now: Instant, ask: impl Fn() -> F) -> Result<u64, Arc<RecorderError>>
    where
        F: Future<Output = Result<u64, RecorderError>>,
    {
        // Held while the store is asked, so that all who come in the meantime get that answer.
        let mut last = self.0.lock().await;
        if let Some((at, head)) = &*last
            && now.saturating_duration_since(*at) < PROBE_INTERVAL
        {
            return head.clone();
        }
        let asked = tokio::time::timeout(STORE_TIMEOUT, ask()).await;
        let head = asked.unwrap_or_else(|_| {
            Err(RecorderError::Unavailable {
                reason: format!("it does not answer within {STORE_TIMEOUT:?}"),
                source: None,
            })
        });
        let head = head.map_err(Arc::new);
        *last = Some((now, head.clone()));
        head
    }
}

/// How long a store may take to say that it is there.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The words for what a follower does.
pub(crate) const FOLLOWER_STATES: [&str; 5] = [
    "starting",
    "catching-up",
    "following",
    "retrying",
    "stopped",
];

/// The word for what a follower does, one of [`FOLLOWER_STATES`], and what is in its way.
pub(crate) fn describe(state: &FollowerState) -> (&'static str, Option<&str>) {
    match state {
        FollowerState::Starting => ("starting", None),
        FollowerState::CatchingUp => ("catching-up", None),
        FollowerState::Following => ("following", None),
        FollowerState::Retrying { error } => ("retrying", Some(error)),
        FollowerState::Stopped { error } => ("stopped", Some(error)),
        _ => ("unknown", None),
    }
}
