//! An aggregate that a transaction touched, of whatever type.

use std::any::{Any, TypeId};
use std::fmt;

use boxes_domain::{Aggregate, Root};
use boxes_recorder::StoredEvent;
use futures::FutureExt;
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::Error;
use crate::repository::{Repository, aggregate_name};

/// The type of an aggregate, and its id.
pub(crate) type Key = (TypeId, Uuid);

/// An aggregate as a transaction sees it.
pub(crate) struct Holder<A: Aggregate> {
    pub(crate) root: Root<A>,
    /// Whether it may be behind the store: then a refusal must be decided again on the newest state.
    pub(crate) may_be_stale: bool,
    /// How many events of it are to be recorded.
    pub(crate) n_events: u64,
    /// Whether a snapshot was asked for.
    pub(crate) wants_snapshot: bool,
}

impl<A: Aggregate> Holder<A> {
    pub(crate) const fn new(root: Root<A>, may_be_stale: bool) -> Self {
        Self {
            root,
            may_be_stale,
            n_events: 0,
            wants_snapshot: false,
        }
    }

    /// For a transaction that follows in the same append: what is only read is checked again, as it would be after a
    /// commit.
    pub(crate) fn for_next(&self) -> Self {
        Self {
            root: self.root.clone(),
            may_be_stale: self.n_events == 0,
            n_events: self.n_events,
            wants_snapshot: self.wants_snapshot,
        }
    }
}

/// A [`Holder`] of whatever type.
pub(crate) trait Touched: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn keep_in(&self, repository: &Repository, generation: u64);
    fn refresh_in<'a>(
        &'a self,
        repository: &'a Repository,
        generation: u64,
    ) -> BoxFuture<'a, Result<(), Error>>;
    fn snapshot_in<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, ()>;
}

impl<A: Aggregate> Touched for Holder<A> {
    fn as_any(&self) -> &dyn Any {
        self
    }

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
                // The next transaction finds it so where it looks for it.
                Err(Error::Deleted { .. } | Error::OtherKind { .. }) => Ok(()),
                done => done.map(|_| ()),
            }
        }
        .boxed()
    }

    fn snapshot_in<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, ()> {
        let is_due = match self.wants_snapshot {
            true => repository.due_on_demand(&self.root),
            false => repository.due(&self.root, self.n_events),
        };
        async move {
            if let Some(due) = is_due {
                repository.take_if_possible(due).await;
            }
        }
        .boxed()
    }
}

impl<A: Aggregate> fmt::Debug for Holder<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} at version {}",
            aggregate_name::<A>(),
            self.root.id(),
            self.root.version()
        )
    }
}

/// The bytes that an event takes in an append.
pub(crate) fn n_bytes(event: &StoredEvent) -> usize {
    event.state.len().saturating_add(event.metadata.len())
}
