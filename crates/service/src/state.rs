//! What runs in a service, for those who ask after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_application::{App, FollowerState, FollowerStatus};
use boxes_integrity::{SealerStatus, StoredSeals};
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionLink};
use boxes_recorder::{GroupCommit, LogIdentity, Position, RecorderError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
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
    /// What addresses in answers begin with, without a slash at the end; empty makes them paths.
    pub(crate) public_base: String,
    /// Cancelled when the service has been told to stop.
    pub(crate) stopping: CancellationToken,
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
}

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
    /// The newest notification of the upstream that is known of.
    pub(crate) newest: Newest,
}

impl RunningFollower {
    pub(crate) fn status(&self) -> FollowerStatus {
        self.status.borrow().clone()
    }
}

impl RunningBox {
    /// The newest notification, if the store tells it in time.
    pub(crate) async fn head(&self) -> Result<u64, RecorderError> {
        match tokio::time::timeout(STORE_TIMEOUT, self.writer.recorder().head()).await {
            Ok(head) => head,
            Err(_) => Err(RecorderError::Unavailable {
                reason: format!("it does not answer within {STORE_TIMEOUT:?}"),
                source: None,
            }),
        }
    }
}

/// How long a store may take to say that it is there.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The word for what a follower does, and what is in its way.
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

/// The newest notification of a log that anybody has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest(Arc<AtomicU64>);

impl Newest {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn saw(&self, id: u64) {
        self.0.fetch_max(id, Ordering::Relaxed);
    }

    fn saw_section(&self, section: &Section) {
        self.saw(
            section
                .last
                .unwrap_or_else(|| section.items.last().map_or(0, |item| item.id)),
        );
    }
}

/// A log that remembers the newest notification that it gave or told of: what a follower's lag is measured by.
#[derive(Debug)]
pub(crate) struct ObservedLog {
    log: Arc<dyn NotificationLog>,
    newest: Newest,
}

impl ObservedLog {
    pub(crate) fn new(log: Arc<dyn NotificationLog>) -> (Arc<Self>, Newest) {
        let newest = Newest::default();
        (
            Arc::new(Self {
                log,
                newest: newest.clone(),
            }),
            newest,
        )
    }
}

#[async_trait]
impl NotificationLog for ObservedLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        let description = self.log.describe().await?;
        self.newest.saw(description.last);
        Ok(description)
    }

    async fn current(&self) -> Result<Section, LogError> {
        let section = self.log.current().await?;
        self.newest.saw_section(&section);
        Ok(section)
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        let section = self.log.section(link).await?;
        self.newest.saw_section(&section);
        Ok(section)
    }

    async fn section_after(
        &self,
        link: &SectionLink,
        position: Position,
    ) -> Result<Section, LogError> {
        let section = self.log.section_after(link, position).await?;
        self.newest.saw_section(&section);
        Ok(section)
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.log.wait(after, timeout).await
    }
}
