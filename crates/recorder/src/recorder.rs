//! The port that an engine implements.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::deletion::one_deletion;
use crate::{
    Append, Appended, Deletion, KeyValueStore, LogIdentity, Notification, Position, RecorderError,
    StoredEvent, StreamRange,
};

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
    /// For each request, in the order given: the notification ids of its events and what became of its deletions,
    /// or why it alone was refused. A request sees those before it in the batch, also what they delete and write
    /// beside the log. When this returns `Ok`, all accepted requests are durable.
    ///
    /// A caller that goes away while it waits leaves the batch wholly there or wholly not.
    ///
    /// # Errors
    ///
    /// For one request:
    /// - [`RecorderError::VersionConflict`] if a version does not follow the recorded one: load again, decide again.
    /// - [`RecorderError::TrackingMoved`] if the follower is not where the step begins: go on from there.
    /// - [`RecorderError::StreamDeleted`] if the stream of one of its events [was deleted](Self::delete_stream): take
    ///   another id.
    /// - [`RecorderError::KeyValueConflict`] if a value beside the log is not as the request expects: read it again.
    /// - [`RecorderError::Invalid`] if no store could record it, or this one can't: it names what.
    ///
    /// For the whole batch:
    /// - [`RecorderError::Unavailable`] if the store does not answer, and none of the batch is recorded: try later.
    /// - [`RecorderError::Broken`] if the store was lost or is damaged, and with it whatever was recorded: an administrator has
    ///   to see to it.
    /// - [`RecorderError::OutcomeUnknown`] if the transaction was to be committed, and nobody could say whether it was:
    ///   all accepted requests are recorded, or none of them. Asking again is safe: requests that are recorded are
    ///   refused then by their versions, their steps and their values. One that has nothing but deletions says the same
    ///   again.
    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError>;

    /// The events of one aggregate: its stream, or the part of it that `range` names. None for one that has no events.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::StreamDeleted`] if the stream [was deleted](Self::delete_stream), whatever the range.
    /// - [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError>;

    /// The event with this id, in its place in the log, if there is one: what a `causation_id` refers to.
    ///
    /// A store does not hold that event ids differ; of several with one id it is the oldest.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError>;

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

    /// Deletes the stream of one aggregate, for good, in one transaction under the log's lock.
    ///
    /// What its events said is gone: each stays in its place in the log as a
    /// [redacted](StoredEvent::to_redacted) one, so that ids stay dense, with its topic, its time, its version and its
    /// ids, but without state and metadata. From then on the stream is neither read nor written: its id and its versions are
    /// never used again.
    ///
    /// Doing it again changes nothing and says the same. Deleting what has no events does nothing, and does not keep
    /// the id from being used later.
    ///
    /// It is an [append with a deletion](Append::deletions) and nothing else, and an engine that keeps nothing of the past
    /// in its own files needs nothing more. Callers delete through a [`GroupCommit`](crate::GroupCommit), as they append.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] or [`RecorderError::OutcomeUnknown`] if the store does not answer: do it again,
    /// also where it may have been done.
    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        let batch = [Append::default().with_deletion(originator_id)];
        let appended = self.record(&batch).await?.pop().transpose()?;
        one_deletion(&appended.unwrap_or_default())
    }

    /// Waits until what was [deleted](Self::delete_stream) before this call is in none of the files that the engine has in its own
    /// hands, as far as it has any.
    ///
    /// A deletion is done when it is committed; taking what it deleted out of the files may have to wait for those who read
    /// an older state of the store, such as a backup. Neither holds up those who record. The engine goes on with it also
    /// when nobody waits.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if something was in the way for too long: what was deleted is deleted, and still in
    /// the files.
    async fn erase_deleted(&self) -> Result<(), RecorderError> {
        Ok(())
    }

    /// Writes something that changes nothing, durably: whether the store takes writes again after one failed.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    async fn check_writable(&self) -> Result<(), RecorderError> {
        self.record(&[]).await.map(drop)
    }

    /// How many notifications of the log are redacted. It only grows, and an answer costs the store next to nothing:
    /// by it other processes notice that a stream was deleted.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn n_redacted(&self) -> Result<u64, RecorderError>;

    /// How many of the notifications from `first` to `last`, both included, are redacted. Their state is not read.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError>;

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
