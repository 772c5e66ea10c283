//! Aggregates from their events, with a cache.

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boxes_domain::{Aggregate, Id, Root};
use boxes_mapper::{Mapper, Topics};
use boxes_recorder::{Recorder, RecorderError, StoredEvent, StreamRange};
use quick_cache::sync::Cache;

use crate::holder::Key;
use crate::pending::Pending;
use crate::snapshots::Due;
use crate::{Edge, Error, Snapshots, SubjectKeys};

/// Events that are read from the store at a time, so that a long stream needs bounded memory.
const EVENTS_PER_READ: u64 = 1_000;

/// Aggregates from their events.
///
/// Those that were used lately are kept and brought forward by the events since. A kept one may be behind
/// what another process wrote; so what is decided on it counts only once it is committed, where the version
/// is checked, or once [`refresh`](Self::refresh) found nothing newer.
#[derive(Debug)]
pub(crate) struct Repository {
    recorder: Arc<dyn Recorder>,
    mapper: Mapper,
    topics: Topics,
    keys: SubjectKeys,
    snapshots: Snapshots,
    edge: Arc<dyn Edge>,
    cache: Cache<Key, Arc<dyn Any + Send + Sync>>,
    /// The generation of keys with which those in the cache were read.
    generation: AtomicU64,
}

/// An aggregate as it is kept, with the generation of keys with which it was read: when a newer one begins, somebody was
/// forgotten, and the aggregate may know of it still.
struct Kept<A: Aggregate> {
    generation: u64,
    root: Root<A>,
}

/// The aggregate's name as a person would say it: its type without the path.
pub(crate) fn aggregate_name<A>() -> &'static str {
    let name = type_name::<A>();
    name.rsplit("::").next().unwrap_or(name)
}

impl Repository {
    pub(crate) fn new(
        recorder: Arc<dyn Recorder>,
        mapper: Mapper,
        topics: Topics,
        keys: SubjectKeys,
        snapshots: Snapshots,
        edge: Arc<dyn Edge>,
        max_cached: usize,
    ) -> Self {
        Self {
            recorder,
            mapper,
            topics,
            generation: AtomicU64::new(keys.generation()),
            keys,
            snapshots,
            edge,
            cache: Cache::new(max_cached),
        }
    }

    /// The aggregate as it was last seen, from the cache if it is there: second, whether it was. What is read is kept as of
    /// `generation`, which is no later than the caller's beginning.
    pub(crate) async fn load<A: Aggregate>(
        &self,
        id: Id<A>,
        generation: u64,
    ) -> Result<(Root<A>, bool), Error> {
        self.keys.refresh().await?;
        self.forget();
        match self.cached(id) {
            Some(root) => Ok((root, true)),
            None => self.read(id, generation).await.map(|root| (root, false)),
        }
    }

    /// The aggregate as it is recorded now, from its snapshot if there is one.
    async fn read<A: Aggregate>(&self, id: Id<A>, generation: u64) -> Result<Root<A>, Error> {
        let root = match self.restored(id).await? {
            Some(root) => {
                self.keep(root.clone(), generation);
                root
            }
            None => Root::new(id),
        };
        self.refresh(root, generation).await.map(|(root, _)| root)
    }

    /// The aggregate as its snapshot has it, if there is one that can be understood and that its events lead to.
    async fn restored<A: Aggregate>(&self, id: Id<A>) -> Result<Option<Root<A>>, Error> {
        if !self.snapshots.has::<A>() {
            return Ok(None);
        }
        let snapshot = match self.recorder.key_value_store() {
            Some(beside) => self.snapshots.kept(id, &*beside).await?,
            None => None,
        };
        let Some(snapshot) = snapshot else {
            return Ok(None);
        };
        let version = snapshot.originator_version;
        let restore = || self.snapshots.restore(id, &snapshot, &self.mapper);
        let root = match self.keys.map(restore).await {
            Ok(root) => root,
            Err(Error::Mapper(error)) => {
                tracing::warn!(%error, %id, "a snapshot can't be understood, and is left out of account");
                None
            }
            Err(error) => return Err(error),
        };
        // A store that was put back to an earlier state may have forgotten what the snapshot includes.
        let last = StreamRange {
            until: version,
            ..StreamRange::after(version.saturating_sub(1))
        };
        if root.is_some()
            && self
                .recorder
                .select_events(id.uuid(), last)
                .await?
                .is_empty()
        {
            tracing::warn!(%id, version, "a snapshot includes what was never recorded, and is left out of account");
            return Ok(None);
        }
        Ok(root)
    }

    pub(crate) fn recorder(&self) -> &dyn Recorder {
        &*self.recorder
    }

    /// How many events are recorded of the aggregate, or were when it was deleted; 0 if the id is of another kind.
    pub(crate) async fn n_events<A: Aggregate>(&self, id: Id<A>) -> Result<u64, Error> {
        let uuid = id.uuid();
        let newest = self.recorder.select_events(uuid, StreamRange::newest(1));
        match newest.await {
            Ok(newest) => Ok(newest
                .first()
                .filter(|newest| self.other_kind::<A>(newest).is_none())
                .map_or(0, |newest| newest.originator_version)),
            // Again: that changes nothing.
            Err(RecorderError::StreamDeleted { .. }) => {
                Ok(self.recorder.delete_stream(uuid).await?.n_events)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The kind of the aggregate to which the event belongs, if that is another one than `A`.
    pub(crate) fn other_kind<A: Aggregate>(&self, stored: &StoredEvent) -> Option<&'static str> {
        self.topics.other_kind::<A::Event>(&stored.topic)
    }

    /// Whether there are snapshots of `A`.
    pub(crate) fn has_snapshots<A: Aggregate>(&self) -> bool {
        self.snapshots.has::<A>()
    }

    /// A snapshot of what was recorded just now, if one is due.
    pub(crate) fn due<A: Aggregate>(&self, root: &Root<A>, n_recorded: u64) -> Option<Due<A>> {
        self.snapshots.due(root, n_recorded)
    }

    /// A snapshot of what is recorded, due or not.
    pub(crate) fn due_on_demand<A: Aggregate>(&self, root: &Root<A>) -> Option<Due<A>> {
        self.snapshots.on_demand(root)
    }

    /// Takes a snapshot. That it can't be taken is no obstacle to anything.
    pub(crate) async fn take_if_possible<A: Aggregate>(&self, due: Due<A>) {
        let id = due.id();
        if let Err(error) = self.take(due).await {
            tracing::warn!(%error, %id, "a snapshot can't be taken");
        }
    }

    /// Takes a snapshot of what is recorded, due or not.
    pub(crate) async fn snapshot<A: Aggregate>(&self, root: &Root<A>) -> Result<(), Error> {
        match self.snapshots.on_demand(root) {
            Some(due) => self.take(due).await,
            None => Ok(()),
        }
    }

    async fn take<A: Aggregate>(&self, due: Due<A>) -> Result<(), Error> {
        let (event_id, now) = (self.edge.new_id(), self.edge.now());
        let write = || due.write(event_id, now, &self.mapper);
        let snapshot = self.keys.map(write).await?;
        let Some(beside) = self.recorder.key_value_store() else {
            let reason = "the store keeps nothing beside its log, so it has no snapshots";
            return Err(Error::Store(RecorderError::Invalid {
                reason: reason.to_owned(),
            }));
        };
        due.keep(&snapshot, &*beside).await?;
        // Who deletes the aggregate erases its snapshots afterwards, and may have looked for them before this one came.
        if let Err(deleted @ RecorderError::StreamDeleted { .. }) = self
            .recorder
            .select_events(due.id().uuid(), StreamRange::newest(1))
            .await
        {
            Snapshots::erase(due.id().uuid(), &*beside).await?;
            return Err(deleted.into());
        }
        Ok(())
    }

    /// What was pending is recorded: what was touched is as good as loaded with keys of `generation`, snapshots that are
    /// due are taken, and nothing stays of what was deleted.
    pub(crate) async fn keep_all(&self, recorded: &Pending, generation: u64) -> Result<(), Error> {
        recorded
            .roots()
            .for_each(|touched| touched.keep_in(self, generation));
        for deleted in recorded.deleted() {
            self.forget_deleted(deleted);
        }
        for touched in recorded.roots() {
            touched.snapshot_in(self).await;
        }
        if let Some(beside) = self.recorder.key_value_store() {
            for (_, id) in recorded.deleted() {
                Snapshots::erase(id, &*beside).await?;
            }
        }
        Ok(())
    }

    /// Others recorded something concurrently: what was decided may be wrong. The touched aggregates are brought up to
    /// date where they are kept, so that the next transaction decides on the newest state.
    pub(crate) async fn refresh_all(
        &self,
        refused: &Pending,
        generation: u64,
    ) -> Result<(), Error> {
        for touched in refused.roots() {
            touched.refresh_in(self, generation).await?;
        }
        Ok(())
    }

    /// The aggregate brought up to what is recorded now: second, whether there was anything newer.
    ///
    /// What is pending in `root` must have been taken out.
    pub(crate) async fn refresh<A: Aggregate>(
        &self,
        mut root: Root<A>,
        generation: u64,
    ) -> Result<(Root<A>, bool), Error> {
        let before = root.version();
        loop {
            let range = StreamRange {
                limit: EVENTS_PER_READ,
                ..StreamRange::after(root.version())
            };
            let events = self.recorder.select_events(root.id().uuid(), range).await;
            let events = events.map_err(|error| self.unless_deleted(root.id(), error))?;
            let n_events = u64::try_from(events.len()).unwrap_or(u64::MAX);
            if root.version() == 0
                && let Some(found) = events.first().and_then(|first| self.other_kind::<A>(first))
            {
                return Err(Error::other_kind::<A>(root.id().uuid(), found));
            }
            for stored in events {
                let read = || self.mapper.to_own_event::<A::Event>(&stored);
                let event = self.keys.map(read).await?;
                root.replay(stored.originator_version, &event)
                    .map_err(|e| Error::Damaged {
                        aggregate: aggregate_name::<A>(),
                        id: root.id().uuid(),
                        reason: e.to_string(),
                    })?;
            }
            if n_events < EVENTS_PER_READ {
                break;
            }
        }
        let is_newer = root.version() > before;
        if is_newer {
            self.keep(root.clone(), generation);
        }
        Ok((root, is_newer))
    }

    /// Keeps the aggregate as it is, for the next one who asks: what it holds must be recorded, and was read with keys of
    /// `generation` or later.
    pub(crate) fn keep<A: Aggregate>(&self, root: Root<A>, generation: u64) {
        // Two commands may end in the other order than they committed: the newer one stays.
        let is_behind = self
            .peek(root.id())
            .is_some_and(|kept| kept.root.version() > root.version());
        if !is_behind {
            self.cache.insert(
                (TypeId::of::<A>(), root.id().uuid()),
                Arc::new(Kept { generation, root }),
            );
        }
    }

    /// Keeps nothing any more that was made with keys of those who were forgotten.
    pub(crate) fn forget(&self) {
        let current = self.keys.generation();
        if self.generation.swap(current, Ordering::SeqCst) != current {
            self.cache.clear();
        }
    }

    /// Keeps it no longer: it was deleted.
    pub(crate) fn forget_deleted(&self, aggregate: Key) {
        self.cache.remove(&aggregate);
    }

    /// What went wrong; what is kept goes with it if the store says that the aggregate was deleted.
    fn unless_deleted<A: Aggregate>(&self, id: Id<A>, error: RecorderError) -> Error {
        let error = Error::from(error);
        if matches!(error, Error::Deleted { .. }) {
            self.forget_deleted((TypeId::of::<A>(), id.uuid()));
        }
        error
    }

    pub(crate) fn is_kept<A: Aggregate>(&self, id: Id<A>) -> bool {
        self.peek(id).is_some()
    }

    fn cached<A: Aggregate>(&self, id: Id<A>) -> Option<Root<A>> {
        self.peek(id).map(|kept| kept.root.clone())
    }

    fn peek<A: Aggregate>(&self, id: Id<A>) -> Option<Arc<Kept<A>>> {
        self.cache
            .get(&(TypeId::of::<A>(), id.uuid()))?
            .downcast::<Kept<A>>()
            .ok()
            .filter(|kept| kept.generation == self.keys.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxes_domain::Event;
    use boxes_recorder::{DEFAULT_PAGE_SIZE, LogIdentity, MemoryRecorder};
    use serde::{Deserialize, Serialize};
    use uuid::Uuid;

    use crate::SystemEdge;
    use crate::subject_key_provider::NoSubjectKeys;

    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.counter", crate = "boxes_domain")]
    enum Counted {
        Once,
    }

    #[derive(Default, Clone)]
    struct Counter;

    impl Aggregate for Counter {
        type Event = Counted;
        fn apply(&mut self, _: &Counted) {}
    }

    /// Two commands may end in the other order than they were recorded.
    #[tokio::test]
    async fn what_is_kept_is_not_replaced_by_something_older() {
        let recorder = MemoryRecorder::new(LogIdentity {
            name: "t".to_owned(),
            epoch: Uuid::nil(),
            page_size: DEFAULT_PAGE_SIZE,
        });
        let keys = SubjectKeys::new(Arc::new(NoSubjectKeys));
        let repository = Repository::new(
            Arc::new(recorder),
            Mapper::default(),
            Topics::default(),
            keys,
            Snapshots::default(),
            Arc::new(SystemEdge),
            10,
        );
        let id = Id::<Counter>::named("counter");
        let at = |n: usize| {
            let mut root = Root::new(id);
            root.create(vec![Counted::Once; n]).unwrap();
            drop(root.take_pending());
            root
        };
        for (kept, expected) in [(2, 2), (1, 2), (3, 3), (2, 3)] {
            repository.keep(at(kept), 0);
            let (root, is_kept) = repository.load(id, 0).await.unwrap();
            assert_eq!((root.version(), is_kept), (expected, true));
        }
    }
}
