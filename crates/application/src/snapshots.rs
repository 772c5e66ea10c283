//! Snapshots: aggregates as they were, so that not all of their events have to be read.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use boxes_domain::{Aggregate, Event, Id, Root};
use boxes_mapper::{Envelope, Mapper, MapperError, Metadata};
use boxes_recorder::{KeyValueStore, Recorder, RecorderError, StoredEvent, StreamRange};
use jiff::Timestamp;
use uuid::Uuid;

use crate::snapshot_record;

/// The kind of the entries beside the log.
pub(crate) const KIND: &str = "snapshot";

/// When a snapshot of an aggregate is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEvery(Option<NonZeroU64>);

impl SnapshotEvery {
    /// Only when [`App::take_snapshot`](crate::App::take_snapshot) is called.
    pub const ON_DEMAND: Self = Self(None);

    /// Each time that so many more events of the aggregate are recorded: with 100, at its versions 100, 200 and so on, or
    /// at the first one after it, where several events are recorded at once. 0 is taken for 1.
    #[must_use]
    pub fn events(n_events: u64) -> Self {
        Self(NonZeroU64::new(n_events.max(1)))
    }

    /// Whether one is due at `version`, when the last `n_recorded` events were recorded just now.
    fn is_due(self, version: u64, n_recorded: u64) -> bool {
        self.0
            .is_some_and(|every| version / every > version.saturating_sub(n_recorded) / every)
    }
}

/// The aggregates of which there are snapshots, and what a snapshot of each is.
///
/// A snapshot is an event of a type of its own, with one variant that holds the state (or what is needed to make it again): so
/// it has a topic, versions with upcasts, and is compressed as events are. It is encrypted if the box has keys, whatever its topic. It is kept beside the log, one for
/// each aggregate, and names the version that it includes. One that can't be understood any more is as good as none: the
/// aggregate is made of its events, and the next snapshot takes its place.
#[derive(Clone, Default)]
pub struct Snapshots {
    by_aggregate: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    topics: Vec<&'static str>,
}

/// How snapshots of one aggregate type are made and read.
struct Snapshotter<A> {
    every: SnapshotEvery,
    topic: &'static str,
    write: fn(A, &Envelope, &Mapper) -> Result<StoredEvent, MapperError>,
    read: fn(&StoredEvent, &Mapper) -> Result<Option<A>, MapperError>,
}

/// A snapshot that is to be written.
pub(crate) struct Due<A: Aggregate> {
    snapshotter: Arc<Snapshotter<A>>,
    root: Root<A>,
}

impl Snapshots {
    /// Lets snapshots of `A` be taken, as events of the type `S`.
    ///
    /// # Panics
    ///
    /// Never; a type that has no variants has no topic, and then nothing is taken.
    pub fn register<A, S>(&mut self, every: SnapshotEvery)
    where
        A: Aggregate + From<S>,
        S: Event + From<A>,
    {
        let Some(first) = S::TYPES.first() else {
            return;
        };
        let snapshotter = Snapshotter::<A> {
            every,
            topic: first.topic,
            write: |state, envelope, mapper| mapper.to_snapshot(&S::from(state), envelope),
            read: |stored, mapper| Ok(mapper.from_snapshot::<S>(stored)?.map(A::from)),
        };
        self.topics.push(first.topic);
        self.by_aggregate
            .insert(TypeId::of::<A>(), Arc::new(snapshotter));
    }

    /// Erases every snapshot of aggregates that were deleted: a crash may have come between a deletion and
    /// [`erase`](Self::erase), or between a snapshot that came late and the look whether it may stay. Says how many
    /// aggregates had some.
    ///
    /// It asks for nothing while nothing of the log is deleted; otherwise once for every aggregate that has a snapshot.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: do it again.
    pub async fn sweep(recorder: &dyn Recorder) -> Result<u64, RecorderError> {
        const AT_A_TIME: u64 = 100;
        let Some(beside) = recorder.key_value_store() else {
            return Ok(0);
        };
        if recorder.n_redacted().await? == 0 {
            return Ok(0);
        }
        let (mut after, mut n_swept) = (Vec::new(), 0);
        loop {
            let keys = beside.list_keys(KIND, &after, AT_A_TIME).await?;
            let Some(last) = keys.last() else {
                return Ok(n_swept);
            };
            after = last.to_vec();
            for key in &keys {
                let Some((id, _)) = key.split_first_chunk() else {
                    continue;
                };
                let id = Uuid::from_bytes(*id);
                let newest = recorder.select_events(id, StreamRange::newest(1)).await;
                if let Err(RecorderError::StreamDeleted { .. }) = newest {
                    Self::erase(id, &*beside).await?;
                    n_swept += 1;
                } else {
                    newest?;
                }
            }
        }
    }

    /// Erases every snapshot of an aggregate that was deleted, of whatever type: what its events said is in them, too.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: do it again.
    pub async fn erase(
        originator_id: Uuid,
        beside: &dyn KeyValueStore,
    ) -> Result<(), RecorderError> {
        // One for each type of aggregate that has this id: mostly none or one.
        const AT_A_TIME: u64 = 16;
        let of_aggregate = originator_id.as_bytes();
        loop {
            let keys = beside.list_keys(KIND, of_aggregate, AT_A_TIME).await?;
            let keys = keys.iter().filter(|key| key.starts_with(of_aggregate));
            let mut n_erased = 0;
            for key in keys {
                beside.erase(KIND, key).await?;
                n_erased += 1;
            }
            if n_erased < AT_A_TIME {
                return Ok(());
            }
        }
    }

    fn of<A: Aggregate>(&self) -> Option<Arc<Snapshotter<A>>> {
        let snapshotter = self.by_aggregate.get(&TypeId::of::<A>())?;
        Arc::clone(snapshotter).downcast::<Snapshotter<A>>().ok()
    }

    /// Whether there are snapshots of `A`.
    pub(crate) fn has<A: Aggregate>(&self) -> bool {
        self.by_aggregate.contains_key(&TypeId::of::<A>())
    }

    /// A snapshot of `root`, if one is due now that its last `n_recorded` events were recorded.
    pub(crate) fn due<A: Aggregate>(&self, root: &Root<A>, n_recorded: u64) -> Option<Due<A>> {
        let snapshotter = self.of::<A>()?;
        (root.exists() && snapshotter.every.is_due(root.version(), n_recorded)).then(|| Due {
            snapshotter,
            root: root.clone(),
        })
    }

    /// A snapshot of `root`, whether it is due or not.
    pub(crate) fn on_demand<A: Aggregate>(&self, root: &Root<A>) -> Option<Due<A>> {
        let snapshotter = self.of::<A>()?;
        root.exists().then(|| Due {
            snapshotter,
            root: root.clone(),
        })
    }

    /// What is kept of the aggregate, if there is anything; not understood yet.
    pub(crate) async fn kept<A: Aggregate>(
        &self,
        id: Id<A>,
        beside: &dyn KeyValueStore,
    ) -> Result<Option<StoredEvent>, RecorderError> {
        let Some(snapshotter) = self.of::<A>() else {
            return Ok(None);
        };
        let key = key(id.uuid(), snapshotter.topic);
        let record = beside.get(KIND, &key).await?;
        Ok(record.and_then(|record| snapshot_record::read(&record)))
    }

    /// The aggregate as the snapshot has it, or `None` if it is one of something else.
    pub(crate) fn restore<A: Aggregate>(
        &self,
        id: Id<A>,
        snapshot: &StoredEvent,
        mapper: &Mapper,
    ) -> Result<Option<Root<A>>, MapperError> {
        let Some(snapshotter) = self
            .of::<A>()
            .filter(|_| snapshot.originator_id == id.uuid())
        else {
            return Ok(None);
        };
        let state = (snapshotter.read)(snapshot, mapper)?;
        Ok(state.map(|state| Root::restored(id, snapshot.originator_version, state)))
    }
}

impl<A: Aggregate> Due<A> {
    /// Of which aggregate.
    pub(crate) const fn id(&self) -> Id<A> {
        self.root.id()
    }

    /// The snapshot as it is stored, under an id of its own.
    pub(crate) fn write(
        &self,
        event_id: Uuid,
        now: Timestamp,
        mapper: &Mapper,
    ) -> Result<StoredEvent, MapperError> {
        let envelope = Envelope {
            event_id,
            originator_id: self.root.id().uuid(),
            originator_version: self.root.version(),
            metadata: Metadata::default(),
            occurred_on: now,
        };
        (self.snapshotter.write)(self.root.state().clone(), &envelope, mapper)
    }

    /// Keeps it in the place of an older one.
    pub(crate) async fn keep(
        &self,
        snapshot: &StoredEvent,
        beside: &dyn KeyValueStore,
    ) -> Result<(), RecorderError> {
        let key = key(self.root.id().uuid(), self.snapshotter.topic);
        beside
            .put(KIND, &key, &snapshot_record::write(snapshot))
            .await
    }
}

/// Two types of aggregates may have the same id.
fn key(originator_id: Uuid, topic: &str) -> Vec<u8> {
    [originator_id.as_bytes(), topic.as_bytes()].concat()
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.topics).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_due_whenever_a_multiple_was_reached_or_passed() {
        let due = |every: u64, version, n| SnapshotEvery::events(every).is_due(version, n);
        assert!(due(100, 100, 1) && due(100, 101, 2) && due(100, 250, 60) && due(1, 7, 1));
        assert!(!due(100, 99, 1) && !due(100, 101, 1) && !due(100, 0, 0));
        assert!(due(0, 1, 1), "0 is taken for 1");
        assert!(!SnapshotEvery::ON_DEMAND.is_due(100, 100));
    }
}
