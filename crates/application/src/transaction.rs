//! What a command or a policy wants recorded, until it is.

use std::sync::Arc;

use boxes_domain::{Aggregate, Decision, Event, Id, Root, RootError, Subject};
use boxes_mapper::{Envelope, Mapper, Metadata};
use boxes_recorder::{StoredEvent, StreamRange};
use jiff::Timestamp;
use uuid::Uuid;

use crate::duties::Duty;
use crate::holder::Holder;
use crate::pending::{Pending, is_within};
use crate::repository::{Repository, aggregate_name};
use crate::{Edge, Error, Recorded, SubjectKeys, TraceParent};

/// What one command, policy or [`App::transaction`](crate::App::transaction) does before it is recorded.
///
/// Commands see what came before them: in this transaction, and in those that share an append with it and came earlier.
/// What those did stays apart from what this one does, so that it can be [undone](Self::undo) alone. All that an append
/// has is recorded or nothing.
#[derive(Debug)]
pub(crate) struct Transaction {
    repository: Arc<Repository>,
    mapper: Mapper,
    keys: SubjectKeys,
    /// That of the keys when it began: what it touches was read with those, or later ones.
    generation: u64,
    edge: Arc<dyn Edge>,
    cause: Metadata,
    /// What others did that are recorded with it.
    earlier: Pending,
    own: Pending,
    has_ended: bool,
    /// Whether what is not kept is taken for new by a command that creates it.
    creates_unseen: bool,
}

/// Whether a command needs the aggregate to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Existing {
    Required,
    Optional,
}

impl Transaction {
    pub(crate) fn new(
        repository: Arc<Repository>,
        mapper: Mapper,
        keys: SubjectKeys,
        edge: Arc<dyn Edge>,
    ) -> Self {
        Self {
            repository,
            mapper,
            generation: keys.generation(),
            keys,
            edge,
            cause: Metadata {
                traceparent: TraceParent::current().map(|trace| trace.as_str().to_owned()),
                ..Metadata::default()
            },
            earlier: Pending::default(),
            own: Pending::default(),
            has_ended: false,
            creates_unseen: true,
        }
    }

    /// For a try after a conflict: what is to be created is looked for in the store, so that it is found there
    /// however little is kept.
    pub(crate) const fn looking_before_creating(mut self) -> Self {
        self.creates_unseen = false;
        self
    }

    /// The same after `earlier`, which is recorded with it.
    pub(crate) fn after(mut self, earlier: Pending) -> Self {
        self.earlier = earlier;
        self
    }

    /// With which generation of keys it reads, or a later one.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// What the events from here on follow from.
    pub(crate) fn set_cause(&mut self, cause: Metadata) {
        self.cause = cause;
    }

    /// Ends it: commands are refused from here on. Returns what came before it, with what it did.
    pub(crate) fn end(&mut self) -> Pending {
        let own = std::mem::take(&mut self.own);
        let mut all = self.undo();
        all.add(own);
        all
    }

    /// Ends it, and returns only what came before it.
    pub(crate) fn undo(&mut self) -> Pending {
        self.has_ended = true;
        self.own = Pending::default();
        std::mem::take(&mut self.earlier)
    }

    pub(crate) async fn create<A: Aggregate>(
        &mut self,
        id: Id<A>,
        decision: impl Decision<A::Event>,
    ) -> Result<Recorded<A>, Error> {
        let mut holder = self.take_to_create(id).await?;
        if holder.may_be_stale && holder.root.exists() {
            holder = self.renewed(holder).await?;
        }
        let mut done = holder.root.create(decision);
        // As in `command`. The decision is used up, but whether it was due is still to be seen.
        if holder.may_be_stale && !matches!(done, Ok(1..)) {
            holder = self.renewed(holder).await?;
            if holder.root.exists() {
                done = Err(RootError::AlreadyExists);
            }
        }
        self.put_back(holder, done).await
    }

    /// Lets the aggregate decide: what must be there for `Existing::Required`, otherwise the default state.
    pub(crate) async fn command<A: Aggregate, D: Decision<A::Event>>(
        &mut self,
        id: Id<A>,
        decide: &(impl Fn(&A) -> D + Sync),
        existing: Existing,
    ) -> Result<Recorded<A>, Error> {
        let on = |root: &mut Root<A>| match existing {
            Existing::Required => root.command(decide),
            Existing::Optional => root.upsert(decide),
        };
        let of_kind = |error| match existing {
            Existing::Required => not_of_this_kind(error),
            Existing::Optional => error,
        };
        let mut holder = self.take(id).await.map_err(of_kind)?;
        let mut done = on(&mut holder.root);
        // A decision that records nothing is never checked by a commit, so it must be made on the newest state.
        if holder.may_be_stale && !matches!(done, Ok(1..)) {
            holder = self.renewed(holder).await.map_err(of_kind)?;
            done = on(&mut holder.root);
        }
        self.put_back(holder, done).await
    }

    /// The state as this transaction sees it.
    pub(crate) async fn get<A: Aggregate>(&mut self, id: Id<A>) -> Result<Root<A>, Error> {
        let holder = self.newest(id).await?;
        let root = holder.root.clone();
        self.own.put(holder, Vec::new());
        Ok(root)
    }

    /// Asks for a snapshot of the aggregate as this transaction leaves it, once that is recorded. Returns it as it is.
    pub(crate) async fn snapshot<A: Aggregate>(&mut self, id: Id<A>) -> Result<Root<A>, Error> {
        let mut holder = self.newest(id).await?;
        let root = holder.root.clone();
        holder.wants_snapshot = root.exists();
        self.own.put(holder, Vec::new());
        Ok(root)
    }

    /// Deletes the aggregate when the rest is recorded. Returns how many events it has.
    pub(crate) async fn delete<A: Aggregate>(&mut self, id: Id<A>) -> Result<u64, Error> {
        self.check_not_ended()?;
        if let Some(n_events) = self.n_deleted_events(id.uuid()) {
            return Ok(n_events);
        }
        if self.other_kind::<A>(id.uuid()).is_some() {
            return Ok(0);
        }
        let pending = self.pending_events(id.uuid()).last();
        let n_events = match pending.map(|event| event.originator_version) {
            Some(version) => version,
            None => self.repository.n_events(id).await?,
        };
        if n_events > 0 {
            self.own.delete(id, n_events);
        }
        Ok(n_events)
    }

    /// Forgets a subject once the rest is recorded. Says whether anything is known of it.
    pub(crate) async fn forget(&mut self, subject: Subject) -> Result<bool, Error> {
        self.check_not_ended()?;
        let is_known = self.keys.is_known(&subject).await?;
        self.own.add_duty(Duty::forget(self.edge.new_id(), subject));
        Ok(is_known)
    }

    /// A part of the aggregate's stream: what is recorded, then what is to be.
    pub(crate) async fn events<E: Event>(
        &self,
        id: Uuid,
        mut range: StreamRange,
    ) -> Result<Vec<StoredEvent>, Error> {
        self.check_not_ended()?;
        if self.n_deleted_events(id).is_some() {
            return Err(Error::Deleted { id });
        }
        if self.own.has_other_events::<E>(id) || self.earlier.has_other_events::<E>(id) {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(range.limit).unwrap_or(usize::MAX);
        let first = self.pending_events(id).next();
        let pending = self.pending_events(id);
        let mut pending: Vec<_> = pending.filter(|event| is_within(&range, event)).collect();
        if range.descending {
            pending.reverse();
        }
        pending.truncate(limit);
        let pending: Vec<_> = pending.into_iter().cloned().collect();
        if let Some(first) = first {
            // What others record in their place is a conflict, which the commit finds.
            range.until = range.until.min(first.originator_version - 1);
        }
        let recorder = self.repository.recorder();
        if range.descending {
            range.limit -= u64::try_from(pending.len()).unwrap_or(u64::MAX);
            if range.limit == 0 {
                return Ok(pending);
            }
            let recorded = recorder.select_events(id, range).await?;
            return Ok([pending, recorded].concat());
        }
        let mut events = recorder.select_events(id, range).await?;
        events.extend(pending);
        events.truncate(limit);
        Ok(events)
    }

    fn pending_events(&self, id: Uuid) -> impl Iterator<Item = &StoredEvent> {
        self.earlier.events_of(id).chain(self.own.events_of(id))
    }

    /// How many events an aggregate has that this transaction deletes. What comes earlier deletes nothing: it would
    /// be in an append of its own.
    fn n_deleted_events(&self, id: Uuid) -> Option<u64> {
        let deleted = self.own.is_deleted(id);
        deleted.map(|deleted| deleted.n_events)
    }

    fn other_kind<A: Aggregate>(&self, id: Uuid) -> Option<&'static str> {
        let found = self.own.other_kind::<A>(id);
        found.or_else(|| self.earlier.other_kind::<A>(id))
    }

    const fn check_not_ended(&self) -> Result<(), Error> {
        if self.has_ended {
            return Err(Error::TransactionEnded);
        }
        Ok(())
    }

    async fn newest<A: Aggregate>(&mut self, id: Id<A>) -> Result<Holder<A>, Error> {
        let holder = self.take(id).await.map_err(not_of_this_kind)?;
        match holder.may_be_stale {
            true => self.renewed(holder).await.map_err(not_of_this_kind),
            false => Ok(holder),
        }
    }

    async fn take<A: Aggregate>(&mut self, id: Id<A>) -> Result<Holder<A>, Error> {
        self.check_not_ended()?;
        let uuid = id.uuid();
        if self.n_deleted_events(uuid).is_some() {
            return Err(Error::Deleted { id: uuid });
        }
        if let Some(found) = self.other_kind::<A>(uuid) {
            return Err(Error::other_kind::<A>(uuid, found));
        }
        // Taken out: if bringing it up to date fails, it is loaded again the next time.
        if let Some(holder) = self.own.take(id) {
            return Ok(holder);
        }
        if let Some(holder) = self.earlier.get(id) {
            return Ok(holder.for_next());
        }
        let (root, may_be_stale) = self.repository.load(id, self.generation).await?;
        Ok(Holder::new(root, may_be_stale))
    }

    /// As [`take`](Self::take), but what was not used lately is taken for new without a look into the store:
    /// if it is not, the commit refuses version 1.
    async fn take_to_create<A: Aggregate>(&mut self, id: Id<A>) -> Result<Holder<A>, Error> {
        let is_known = self.own.knows(id) || self.earlier.knows(id) || self.repository.is_kept(id);
        if is_known || !self.creates_unseen {
            return self.take(id).await;
        }
        self.check_not_ended()?;
        Ok(Holder::new(Root::new(id), true))
    }

    async fn renewed<A: Aggregate>(&self, holder: Holder<A>) -> Result<Holder<A>, Error> {
        let (root, _) = self
            .repository
            .refresh(holder.root, self.generation)
            .await?;
        Ok(Holder {
            root,
            may_be_stale: false,
            ..holder
        })
    }

    async fn put_back<A: Aggregate>(
        &mut self,
        mut holder: Holder<A>,
        done: Result<usize, RootError>,
    ) -> Result<Recorded<A>, Error> {
        let id = holder.root.id();
        let version = holder.root.stored_version();
        let events = holder.root.take_pending();
        // Once there are events to record, the commit checks the version; a reload would lose them.
        holder.may_be_stale &= events.is_empty();
        let n_events = u64::try_from(events.len()).unwrap_or(u64::MAX);
        holder.n_events = holder.n_events.saturating_add(n_events);
        // All are written before any counts: if one can't be, the aggregate that has applied it is dropped here.
        let stored = self.write(id.uuid(), version, &events).await?;
        let (version, state) = (holder.root.version(), holder.root.state().clone());
        self.own.put(holder, stored);
        done.map_err(|error| Error::of_root(error, aggregate_name::<A>(), id.uuid()))?;
        Ok(Recorded {
            id,
            version,
            state,
            events,
            notifications: None,
        })
    }

    /// The events after `version`, as they are stored.
    async fn write<E: Event>(
        &mut self,
        originator_id: Uuid,
        version: u64,
        events: &[E],
    ) -> Result<Vec<StoredEvent>, Error> {
        let occurred_on = whole_microseconds(self.edge.now());
        let mut stored = Vec::with_capacity(events.len());
        for (event, originator_version) in events.iter().zip(version + 1..) {
            let of_content = self
                .mapper
                .content_id(event, originator_id, originator_version)?;
            let event_id = of_content.unwrap_or_else(|| self.edge.new_id());
            let correlation_id = *self.cause.correlation_id.get_or_insert(event_id);
            let metadata = Metadata {
                correlation_id: Some(correlation_id),
                ..self.cause.clone()
            };
            let envelope = Envelope {
                event_id,
                originator_id,
                originator_version,
                metadata,
                occurred_on,
            };
            let write = || self.mapper.to_stored(event, &envelope);
            stored.push(self.keys.map(write).await?);
        }
        Ok(stored)
    }
}

/// Who reads an aggregate, or needs it to be there, finds none under an id of another kind.
fn not_of_this_kind(error: Error) -> Error {
    match error {
        Error::OtherKind { aggregate, id, .. } => Error::NotFound { aggregate, id },
        error => error,
    }
}

/// A store keeps microseconds: an event must not change when it is stored.
fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
