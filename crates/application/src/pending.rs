//! What transactions did and is not recorded yet.

use std::any::TypeId;
use std::collections::HashMap;

use boxes_domain::{Aggregate, Event, Id};
use boxes_recorder::{Append, GroupCommitBounds, StoredEvent, StreamRange};
use uuid::Uuid;

use crate::duties::Duty;
use crate::holder::{Holder, Key, Touched, n_bytes};

/// What transactions did and is not recorded yet: one [`Append`], in the end.
///
/// The aggregates that were touched, the events that came of it in their order, the aggregates that are deleted, and
/// the duties that are to be done once it is recorded.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    roots: HashMap<Key, Box<dyn Touched>>,
    events: Vec<StoredEvent>,
    n_bytes: usize,
    /// Of which aggregate type something is to be recorded under an id.
    kinds: HashMap<Uuid, Kind>,
    deleted: HashMap<Uuid, Deleted>,
    duties: Vec<Duty>,
}

/// The type of an aggregate of which something is to be recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    type_id: TypeId,
    events: TypeId,
    name: &'static str,
}

/// An aggregate that is to be deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deleted {
    type_id: TypeId,
    /// How many events it had.
    pub(crate) n_events: u64,
}

impl Pending {
    /// Whether there is nothing to record.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deleted.is_empty() && self.duties.is_empty()
    }

    /// Whether what comes next belongs into another append: because a deletion must not take what others record after
    /// the decision, because duties have to be done before, or because it is as large as an append is to be.
    pub(crate) fn is_complete(&self) -> bool {
        !self.deleted.is_empty()
            || !self.duties.is_empty()
            || self.events.len() >= GroupCommitBounds::DEFAULT_MAX_EVENTS
            || self.n_bytes >= GroupCommitBounds::DEFAULT_MAX_BYTES
    }

    /// What is to be recorded. The aggregates stay, to be [kept](Self::roots) afterwards.
    pub(crate) fn take_append(&mut self) -> Append {
        let mut append = Append::new(std::mem::take(&mut self.events));
        append.deletions = self.deleted.keys().copied().collect();
        append.deletions.sort_unstable();
        append.key_values = self.duties.iter().map(Duty::to_write).collect();
        append
    }

    /// Whether something is to be done once it is recorded.
    pub(crate) const fn has_duties(&self) -> bool {
        !self.duties.is_empty()
    }

    /// Under which types an id was touched.
    pub(crate) fn touched(&self, id: Uuid) -> impl Iterator<Item = Key> {
        let keys = self.roots.keys().copied();
        keys.filter(move |(_, touched)| *touched == id)
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = &dyn Touched> {
        self.roots.values().map(AsRef::as_ref)
    }

    /// The ids of what is deleted, with the types.
    pub(crate) fn deleted(&self) -> impl Iterator<Item = Key> {
        self.deleted
            .iter()
            .map(|(id, deleted)| (deleted.type_id, *id))
    }

    /// Adds what `later` did after it.
    pub(crate) fn add(&mut self, later: Self) {
        for id in later.deleted.keys() {
            self.roots.retain(|(_, touched), _| touched != id);
        }
        self.roots.extend(later.roots);
        self.events.extend(later.events);
        self.n_bytes = self.n_bytes.saturating_add(later.n_bytes);
        self.kinds.extend(later.kinds);
        self.deleted.extend(later.deleted);
        self.duties.extend(later.duties);
    }

    pub(crate) fn is_deleted(&self, id: Uuid) -> Option<Deleted> {
        self.deleted.get(&id).copied()
    }

    /// The kind of aggregate of which something is to be recorded under the id, if it is not `A`.
    pub(crate) fn other_kind<A: Aggregate>(&self, id: Uuid) -> Option<&'static str> {
        let kind = self.kinds.get(&id)?;
        (kind.type_id != TypeId::of::<A>()).then_some(kind.name)
    }

    /// Whether events of another type than `E` are to be recorded under the id.
    pub(crate) fn has_other_events<E: Event>(&self, id: Uuid) -> bool {
        let kind = self.kinds.get(&id);
        kind.is_some_and(|kind| kind.events != TypeId::of::<E>())
    }

    /// Whether something is known of the id that the store does not have.
    pub(crate) fn knows<A: Aggregate>(&self, id: Id<A>) -> bool {
        let uuid = id.uuid();
        self.roots.contains_key(&(TypeId::of::<A>(), uuid))
            || self.kinds.contains_key(&uuid)
            || self.deleted.contains_key(&uuid)
    }

    pub(crate) fn get<A: Aggregate>(&self, id: Id<A>) -> Option<&Holder<A>> {
        let touched = self.roots.get(&(TypeId::of::<A>(), id.uuid()))?;
        touched.as_any().downcast_ref()
    }

    pub(crate) fn take<A: Aggregate>(&mut self, id: Id<A>) -> Option<Holder<A>> {
        let touched = self.roots.remove(&(TypeId::of::<A>(), id.uuid()))?;
        let holder = touched.into_any().downcast::<Holder<A>>().ok()?;
        Some(*holder)
    }

    /// The aggregate as it is after `events`.
    pub(crate) fn put<A: Aggregate>(&mut self, holder: Holder<A>, events: Vec<StoredEvent>) {
        let (type_id, id) = (TypeId::of::<A>(), holder.root.id().uuid());
        if !events.is_empty() {
            let kind = Kind {
                type_id,
                events: TypeId::of::<A::Event>(),
                name: A::Event::KIND,
            };
            self.kinds.insert(id, kind);
        }
        let sizes = events.iter().map(n_bytes);
        self.n_bytes = sizes.fold(self.n_bytes, usize::saturating_add);
        self.events.extend(events);
        self.roots.insert((type_id, id), Box::new(holder));
    }

    pub(crate) fn delete<A: Aggregate>(&mut self, id: Id<A>, n_events: u64) {
        let (type_id, uuid) = (TypeId::of::<A>(), id.uuid());
        self.roots.retain(|(_, touched), _| *touched != uuid);
        self.deleted.insert(uuid, Deleted { type_id, n_events });
    }

    pub(crate) fn add_duty(&mut self, duty: Duty) {
        self.duties.push(duty);
    }

    /// The events of one aggregate that are to be recorded, by version.
    pub(crate) fn events_of(&self, id: Uuid) -> impl Iterator<Item = &StoredEvent> {
        self.events
            .iter()
            .filter(move |event| event.originator_id == id)
    }
}

/// Whether an event is in the range, its limit aside.
pub(crate) fn is_within(range: &StreamRange, event: &StoredEvent) -> bool {
    let (since, before) = range.microseconds();
    range.after < event.originator_version
        && event.originator_version <= range.until
        && (since..=before).contains(&event.occurred_on.as_microsecond())
}
