//! What a command or a policy wants recorded, until it is.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use boxes_domain::{Aggregate, Decision, Event, Id, Root, RootError};
use boxes_mapper::{Envelope, Mapper, Metadata};
use boxes_recorder::{RecorderError, StoredEvent};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::repository::{Repository, aggregate_name};
use crate::{Edge, Error, SubjectKeys};

/// The aggregates that were touched, and the events that came of it, in order.
///
/// Two commands to one aggregate see each other here before anything is recorded. Either all events are
/// recorded or none.
#[derive(Debug)]
pub(crate) struct Transaction {
    repository: Arc<Repository>,
    mapper: Mapper,
    keys: SubjectKeys,
    /// That of the keys when it began: what it touches was read with those, or later ones.
    generation: u64,
    edge: Arc<dyn Edge>,
    cause: Metadata,
    roots: HashMap<(TypeId, Uuid), Box<dyn Touched>>,
    events: Vec<StoredEvent>,
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

/// An aggregate of whatever type that this transaction holds.
trait Touched: std::fmt::Debug + Send + Sync {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn keep_in(&self, repository: &Repository, generation: u64);
    fn refresh_in<'a>(
        &'a self,
        repository: &'a Repository,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), Error>>;
    fn snapshot_in<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, ()>;
    fn forget_in(&self, repository: &Repository);
}

struct Holder<A: Aggregate> {
    root: Root<A>,
    /// Whether it may be behind the store: then a refusal must be decided again on the newest state.
    may_be_stale: bool,
    /// How many events of it are to be recorded.
    n_events: u64,
}

impl<A: Aggregate> std::fmt::Debug for Holder<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} at version {}",
            aggregate_name::<A>(),
            self.root.id(),
            self.root.version()
        )
    }
}

impl<A: Aggregate> Touched for Holder<A> {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn keep_in(&self, repository: &Repository, generation: u64) {
        repository.keep(self.root.clone(), generation);
    }

    fn refresh_in<'a>(
        &'a self,
        repository: &'a Repository,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let refreshing = async {
                let (kept, _) = repository.load(self.root.id(), generation).await?;
                repository.refresh(kept, generation).await
            };
            match refreshing.await {
                // It is kept no more, so the next transaction finds it deleted where it looks for it.
                Err(Error::Deleted { .. }) => Ok(()),
                done => done.map(|_| ()),
            }
        }
        .boxed()
    }

    fn snapshot_in<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, ()> {
        repository
            .snapshot_if_due(&self.root, self.n_events)
            .boxed()
    }

    fn forget_in(&self, repository: &Repository) {
        repository.forget_deleted(self.root.id());
    }
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
            cause: Metadata::default(),
            roots: HashMap::new(),
            events: Vec::new(),
            has_ended: false,
            creates_unseen: true,
        }
    }

    /// For a try after a conflict: what is to be created is looked for in the store, so that it is found there
    /// however little is kept.
    pub(crate) fn looking_before_creating(mut self) -> Self {
        self.creates_unseen = false;
        self
    }

    /// What the events from here on follow from.
    pub(crate) fn set_cause(&mut self, cause: Metadata) {
        self.cause = cause;
    }

    /// Whether something is to be recorded.
    pub(crate) fn events(&self) -> &[StoredEvent] {
        &self.events
    }

    /// Takes the events out to be recorded; commands are refused from here on.
    pub(crate) fn end(&mut self) -> Vec<StoredEvent> {
        self.has_ended = true;
        std::mem::take(&mut self.events)
    }

    /// The events are recorded: what was touched is as good as loaded, and snapshots are taken that are due.
    pub(crate) async fn keep_all(&self) {
        for holder in self.roots.values() {
            holder.keep_in(&self.repository, self.generation);
        }
        for holder in self.roots.values() {
            holder.snapshot_in(&self.repository).await;
        }
    }

    /// What came of the commit. Who decided on what was deleted by another process decides on it no more.
    pub(crate) fn outcome(&self, committed: Result<(), RecorderError>) -> Result<(), Error> {
        if let Err(RecorderError::StreamDeleted { originator_id }) = &committed {
            let deleted = self.roots.iter().filter(|((_, id), _)| id == originator_id);
            deleted.for_each(|(_, holder)| holder.forget_in(&self.repository));
        }
        committed.map_err(Error::from)
    }

    /// The aggregate was deleted: what is asked of it from here on is asked of the store.
    pub(crate) fn forget<A: Aggregate>(&mut self, id: Id<A>) {
        self.roots.remove(&(TypeId::of::<A>(), id.uuid()));
    }

    /// Others recorded something meanwhile: what was decided here may be wrong. The touched aggregates are
    /// brought up to date where they are kept, so that the next transaction decides on the newest state.
    pub(crate) async fn refresh_all(&self) -> Result<(), Error> {
        for holder in self.roots.values() {
            holder.refresh_in(&self.repository, self.generation).await?;
        }
        Ok(())
    }

    pub(crate) async fn create<A: Aggregate>(
        &mut self,
        id: Id<A>,
        decision: impl Decision<A::Event>,
    ) -> Result<(), Error> {
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
    ) -> Result<(), Error> {
        let on = |root: &mut Root<A>| match existing {
            Existing::Required => root.command(decide),
            Existing::Optional => root.upsert(decide),
        };
        let mut holder = self.take(id).await?;
        let mut done = on(&mut holder.root);
        // A decision that records nothing is never checked by a commit, so it must be made on the newest state.
        if holder.may_be_stale && !matches!(done, Ok(1..)) {
            holder = self.renewed(holder).await?;
            done = on(&mut holder.root);
        }
        self.put_back(holder, done).await
    }

    /// The state as this transaction sees it.
    pub(crate) async fn get<A: Aggregate>(&mut self, id: Id<A>) -> Result<Root<A>, Error> {
        let mut holder = self.take(id).await?;
        if holder.may_be_stale {
            holder = self.renewed(holder).await?;
        }
        let root = holder.root.clone();
        self.put_back(holder, Ok(0)).await?;
        Ok(root)
    }

    async fn take<A: Aggregate>(&mut self, id: Id<A>) -> Result<Holder<A>, Error> {
        if self.has_ended {
            return Err(Error::TransactionEnded);
        }
        // Taken out: if bringing it up to date fails, it is loaded anew the next time.
        let held = self.roots.remove(&(TypeId::of::<A>(), id.uuid()));
        if let Some(holder) = held.and_then(|held| held.into_any().downcast::<Holder<A>>().ok()) {
            return Ok(*holder);
        }
        let (root, may_be_stale) = self.repository.load(id, self.generation).await?;
        Ok(Holder {
            root,
            may_be_stale,
            n_events: 0,
        })
    }

    /// As [`take`](Self::take), but what was not used lately is taken for new without a look into the store:
    /// if it is not, the commit refuses version 1.
    async fn take_to_create<A: Aggregate>(&mut self, id: Id<A>) -> Result<Holder<A>, Error> {
        let is_known =
            self.roots.contains_key(&(TypeId::of::<A>(), id.uuid())) || self.repository.is_kept(id);
        if is_known || !self.creates_unseen {
            return self.take(id).await;
        }
        if self.has_ended {
            return Err(Error::TransactionEnded);
        }
        Ok(Holder {
            root: Root::new(id),
            may_be_stale: true,
            n_events: 0,
        })
    }

    async fn renewed<A: Aggregate>(&self, holder: Holder<A>) -> Result<Holder<A>, Error> {
        let (root, _) = self
            .repository
            .refresh(holder.root, self.generation)
            .await?;
        Ok(Holder {
            root,
            may_be_stale: false,
            n_events: holder.n_events,
        })
    }

    async fn put_back<A: Aggregate>(
        &mut self,
        mut holder: Holder<A>,
        done: Result<usize, RootError>,
    ) -> Result<(), Error> {
        let id = holder.root.id().uuid();
        let version = holder.root.stored_version();
        let events = holder.root.take_pending();
        // Once there are events to record, the commit checks the version; a reload would lose them.
        holder.may_be_stale &= events.is_empty();
        let n_events = u64::try_from(events.len()).unwrap_or(u64::MAX);
        holder.n_events = holder.n_events.saturating_add(n_events);
        // All are written before any counts: if one can't be, the aggregate that has applied it is dropped here.
        let stored = self.write(id, version, &events).await?;
        self.events.extend(stored);
        self.roots.insert((TypeId::of::<A>(), id), Box::new(holder));
        done.map_err(|error| Error::of_root(error, aggregate_name::<A>(), id))?;
        Ok(())
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

/// A store keeps microseconds: an event must not change when it is stored.
fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
