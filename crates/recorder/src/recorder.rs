//! The port that an engine implements.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Append, KeyValueStore, LogIdentity, Notification, Position, RecorderError, StoredEvent,
};

/// Which events of one aggregate, and in what order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRange {
    /// Only versions greater than this; 0 for all.
    pub after: u64,
    /// Only versions up to and including this; `u64::MAX` for all.
    pub until: u64,
    /// At most so many.
    pub limit: u64,
    /// Newest first, instead of oldest first.
    pub descending: bool,
}

impl StreamRange {
    /// Every event, oldest first.
    pub const ALL: Self = Self {
        after: 0,
        until: u64::MAX,
        limit: u64::MAX,
        descending: false,
    };

    /// Every event with a version greater than `after`, oldest first.
    #[must_use]
    pub const fn after(after: u64) -> Self {
        Self { after, ..Self::ALL }
    }
}

/// A store of one box: the events in commit order, and the positions of its followers.
///
/// The contract, held by the suite in `boxes-testing` that every engine runs:
///
/// - Notification ids are 1, 2, 3, …: dense, in commit order, never reused; id n + 1 becomes visible only
///   after id n, also to other processes.
/// - What [`record`](Self::record) accepted is durable when it returns.
/// - Reading never writes.
/// - Several recorders, in several processes, may work on one store.
///
/// An engine that has transactions takes its log's lock first, then checks versions and tracking, then
/// inserts. One that has only a conditional append makes the batch and the log's head one conditional write;
/// for both, [`record`](Self::record) is one attempt that is wholly there or wholly not.
///
/// Callers append through a [`GroupCommit`](crate::GroupCommit), which calls [`record`](Self::record) with
/// all that is waiting.
#[async_trait]
pub trait Recorder: Debug + Send + Sync + 'static {
    /// Which log it keeps.
    fn log(&self) -> &LogIdentity;

    /// Records the requests in their order, in one transaction; refuses those that conflict one by one.
    ///
    /// For each request, in the order given: the notification ids of its events, ascending and consecutive
    /// (an empty range that starts at the id that comes next for a request without events), or why it alone
    /// was refused. A request sees those before it in the batch. When this returns `Ok`, all accepted requests
    /// are durable.
    ///
    /// A caller that goes away while it waits leaves the batch wholly there or wholly not.
    ///
    /// # Errors
    ///
    /// For one request:
    /// - [`RecorderError::VersionConflict`] if a version does not follow the recorded one: load again, decide again.
    /// - [`RecorderError::TrackingMoved`] if the follower is not where the step begins: go on from there.
    /// - [`RecorderError::Invalid`] if no store could record it.
    ///
    /// For the whole batch, none of which is recorded then:
    /// - [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Range<u64>, RecorderError>>, RecorderError>;

    /// The events of one aggregate.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError>;

    /// The notifications with ids from `first` on, ascending, at most `limit`; fewer only at the head.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError>;

    /// The id of the newest notification, 0 for none.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn head(&self) -> Result<u64, RecorderError>;

    /// The recorded position of a follower, if it has one.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError>;

    /// Lets go of the store, after what is being read and written; afterwards everything is answered with
    /// [`RecorderError::Closed`]. A recorder that holds nothing open has nothing to do, and goes on answering.
    ///
    /// Without it a store is let go of when its recorder is dropped, a little later.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store failed meanwhile. What was recorded is safe.
    async fn close(&self) -> Result<(), RecorderError> {
        Ok(())
    }

    /// What is kept beside the log, in the same database, if the engine has a place for it: all that come with the kit do.
    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        None
    }

    /// Heads that other processes say they have committed, if the store can pass such word on.
    ///
    /// Hints, several at once as one, and some of them lost: each is a reason to ask for the [`head`](Self::head)
    /// now instead of a little later, and nothing else. A store without them is asked from time to time.
    fn head_hints(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}
