//! Commands on the aggregates of a box, and what is read of them.

use std::future::Future;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use boxes_domain::{Aggregate, Decision, Id, Root, Subject};
use boxes_recorder::{Append, Appended, RecorderError, Tracking};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::after_commit::AfterCommit;
use crate::app::OpenTransaction;
use crate::conflict::{conflict_backoff, wait_after_conflict};
use crate::pending::Pending;
use crate::repository::aggregate_name;
use crate::transaction::{Existing, Transaction};
use crate::{App, Committed, Error, History, Recorded, Snapshots};

impl App {
    /// Begins the life of an aggregate with what `decision` says.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyExists`] if it lives.
    /// - [`Error::Deleted`] if it was deleted: its id is not used again.
    /// - [`Error::OtherKind`] if the id is that of an aggregate of another kind.
    /// - [`Error::Rejected`] if the domain refused.
    /// - [`Error::Conflict`] if others kept creating and discarding it for as long as was tried.
    /// - [`Error::Store`] if the store can't record it now.
    pub async fn create<A: Aggregate>(
        &self,
        id: Id<A>,
        decision: impl Decision<A::Event>,
    ) -> Result<Recorded<A>, Error> {
        self.check_declared::<A>()?;
        if let Some(open) = &self.transaction {
            return open.transaction.lock().await.create(id, decision).await;
        }
        let mut backoff = conflict_backoff();
        let mut transaction = self.begin();
        let mut recorded = transaction.create(id, decision).await?;
        loop {
            match self.commit(&mut transaction).await? {
                Outcome::Recorded(notifications) => {
                    recorded.notifications = notifications;
                    return Ok(recorded);
                }
                // Something is recorded already. If it was discarded, it is created after that: the decision did not
                // depend on it.
                Outcome::Conflict(originator_id) => {
                    wait_after_conflict(&mut backoff, originator_id).await?;
                    transaction = self.begin().looking_before_creating();
                    recorded = transaction.create(id, recorded.events).await?;
                }
            }
        }
    }

    /// Loads an aggregate, lets it decide, and records what it decided; again on newer state, if others
    /// changed it meanwhile.
    ///
    /// ```no_run
    /// # use boxes_domain::{Aggregate, Event, Id};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Clone, Serialize, Deserialize)]
    /// # #[event(topic = "t.order", crate = "boxes_domain")]
    /// # enum OrderEvent { Paid { method: String } }
    /// # #[derive(Default, Clone)] struct Order;
    /// # impl Aggregate for Order { type Event = OrderEvent; fn apply(&mut self, _: &OrderEvent) {} }
    /// # impl Order { fn pay(&self, method: &str) -> OrderEvent { OrderEvent::Paid { method: method.into() } } }
    /// # async fn example(app: boxes_application::App, id: Id<Order>) -> Result<(), boxes_application::Error> {
    /// let paid = app.update(id, |order: &Order| order.pay("card")).await?;
    /// assert_eq!(paid.events.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`], [`Error::Discarded`] or [`Error::Deleted`] if there is no such aggregate, or no more.
    /// - [`Error::Rejected`] if the domain refused: nothing was recorded.
    /// - [`Error::Conflict`] if others kept changing it for as long as was tried.
    /// - [`Error::Store`] if the store can't record it now.
    pub async fn update<A: Aggregate, D: Decision<A::Event>>(
        &self,
        id: Id<A>,
        decide: impl Fn(&A) -> D + Send + Sync,
    ) -> Result<Recorded<A>, Error> {
        self.command(id, decide, Existing::Required).await
    }

    /// As [`update`](Self::update), but what does not exist decides as well, from its default state, and
    /// begins its life with what it decides.
    ///
    /// For aggregates that are there for everyone, such as the account of a customer.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), but for [`Error::NotFound`] and [`Error::Discarded`]; and [`Error::OtherKind`] if the id
    /// is that of an aggregate of another kind.
    pub async fn upsert<A: Aggregate, D: Decision<A::Event>>(
        &self,
        id: Id<A>,
        decide: impl Fn(&A) -> D + Send + Sync,
    ) -> Result<Recorded<A>, Error> {
        self.command(id, decide, Existing::Optional).await
    }

    async fn command<A: Aggregate, D: Decision<A::Event>>(
        &self,
        id: Id<A>,
        decide: impl Fn(&A) -> D + Send + Sync,
        existing: Existing,
    ) -> Result<Recorded<A>, Error> {
        self.check_declared::<A>()?;
        if let Some(open) = &self.transaction {
            let mut transaction = open.transaction.lock().await;
            return transaction.command(id, &decide, existing).await;
        }
        let mut backoff = conflict_backoff();
        loop {
            let mut transaction = self.begin();
            let mut recorded = transaction.command(id, &decide, existing).await?;
            match self.commit(&mut transaction).await? {
                Outcome::Recorded(notifications) => {
                    recorded.notifications = notifications;
                    return Ok(recorded);
                }
                Outcome::Conflict(originator_id) => {
                    wait_after_conflict(&mut backoff, originator_id).await?;
                }
            }
        }
    }

    /// Several commands, recorded together or not at all.
    ///
    /// `commands` gets an app whose commands see each other and are recorded when it returns. It may be run
    /// again when others changed the same aggregates meanwhile. Inside a policy everything is one transaction
    /// already, so `commands` join it: what they did before they failed is recorded if the policy goes on.
    ///
    /// # Errors
    ///
    /// What `commands` returned: nothing is recorded then. Otherwise as [`update`](Self::update).
    pub async fn transaction<F, Fut, T>(&self, commands: F) -> Result<Committed<T>, Error>
    where
        F: Fn(Self) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        if self.transaction.is_some() {
            let value = commands(self.clone()).await?;
            return Ok(Committed {
                value,
                notifications: None,
            });
        }
        let mut backoff = conflict_backoff();
        let mut begun = self.begin();
        loop {
            let (app, open) = self.within(begun);
            let value = commands(app).await?;
            match self.commit(&mut *open.transaction.lock().await).await? {
                Outcome::Recorded(notifications) => {
                    return Ok(Committed {
                        value,
                        notifications,
                    });
                }
                Outcome::Conflict(originator_id) => {
                    wait_after_conflict(&mut backoff, originator_id).await?;
                    begun = self.begin().looking_before_creating();
                }
            }
        }
    }

    /// The state of an aggregate as it is recorded now (in a policy: with what the policy did to it).
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`], [`Error::Discarded`] or [`Error::Deleted`] if there is no such aggregate, or no more.
    /// - [`Error::Store`] if the store can't be read now.
    pub async fn get<A: Aggregate>(&self, id: Id<A>) -> Result<A, Error> {
        let root = match &self.transaction {
            Some(open) => open.transaction.lock().await.get(id).await?,
            None => self.begin().get(id).await?,
        };
        let root = existing(root, aggregate_name::<A>(), id.uuid())?;
        Ok(root.state().clone())
    }

    /// Takes a snapshot of an aggregate as it is recorded now, and says which version it includes. Taken twice at a version
    /// it is one. In a policy it is taken of what the policy leaves, once that is recorded; that it can't be taken then is
    /// only logged.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] or [`Error::Discarded`] if there is no such aggregate, or no more.
    /// - [`Error::NoSnapshots`] if the box does not declare snapshots of `A`.
    /// - [`Error::Mapper`] if the state can't be written.
    /// - [`Error::Store`] if the store can't keep it now, or it is too large.
    pub async fn take_snapshot<A: Aggregate>(&self, id: Id<A>) -> Result<u64, Error> {
        let (aggregate, uuid) = (aggregate_name::<A>(), id.uuid());
        if !self.inner.repository.has_snapshots::<A>() {
            let name = self.inner.name.clone();
            return Err(Error::NoSnapshots { aggregate, name });
        }
        if let Some(open) = &self.transaction {
            let root = open.transaction.lock().await.snapshot(id).await?;
            return existing(root, aggregate, uuid).map(|root| root.version());
        }
        let root = existing(self.begin().get(id).await?, aggregate, uuid)?;
        self.inner.repository.snapshot(&root).await?;
        Ok(root.version())
    }

    /// What was recorded of an aggregate: all of it, oldest first, unless the [`History`] is told otherwise. Nothing
    /// is read before it is asked for a page; it has none if there is no such aggregate.
    ///
    /// In a policy it has what the policy did so far as well.
    pub fn history<A: Aggregate>(&self, id: Id<A>) -> History<A::Event> {
        History::new(self.clone(), id.uuid())
    }

    /// Deletes an aggregate for good: what its events said is gone from the store, from its snapshots, and from the log.
    ///
    /// This is how a person's data are forgotten. Each event stays in its place in the log as a redacted one, with its
    /// topic, its time and its ids, so that those who follow the log miss nothing and stumble over nothing; its state and its
    /// metadata are no more. From then on every command on the aggregate, and every look at it, is
    /// [`Error::Deleted`], and its id is never used again. What other boxes made of its events is theirs
    /// to delete; copies of pages stay in caches as long as the log's freshness allows, and backups as long as they are kept.
    ///
    /// Returns how many events it had: the same again when it is done again, and 0 if there is no such aggregate. In a policy
    /// or a [`transaction`](Self::transaction) it is part of it: it is done when that is recorded, and not if it fails. To
    /// leave a trace of why, record an event of another aggregate.
    ///
    /// # Errors
    ///
    /// - [`Error::NotRedactable`] if the box does not say that its log may be redacted.
    /// - [`Error::Store`] if the store can't do it now, or it is not known whether it did: do it again.
    pub async fn delete<A: Aggregate>(&self, id: Id<A>) -> Result<u64, Error> {
        self.check_declared::<A>()?;
        if !self.inner.redactable {
            return Err(Error::NotRedactable {
                name: self.inner.name.clone(),
            });
        }
        if let Some(open) = &self.transaction {
            return open.transaction.lock().await.delete(id).await;
        }
        if self.inner.repository.n_events(id).await? == 0 {
            return Ok(0);
        }
        let deleted = self.inner.writer.delete_stream(id.uuid()).await;
        let key = (std::any::TypeId::of::<A>(), id.uuid());
        self.inner.repository.forget_deleted(key);
        let n_events = deleted?.n_events;
        if let Some(beside) = self.inner.writer.recorder().key_value_store() {
            Snapshots::erase(id.uuid(), &*beside).await?;
        }
        Ok(n_events)
    }

    /// Forgets a subject: deletes its key, so that every [`Personal`](boxes_domain::Personal) part about it is
    /// [`Forgotten`](boxes_domain::Personal::Forgotten) from now on, wherever and whenever it was written. Says whether there
    /// was anything to forget. It can't be undone.
    ///
    /// The log stays as it is, and is replayed as before. Here it counts at once; where others read with the same keys, a
    /// moment later, see [`SubjectKeys`](crate::SubjectKeys).
    ///
    /// In a policy or a [`transaction`](Self::transaction) the subject is forgotten once that is recorded, and not if it
    /// fails; until then its parts are read as before. What the same policy says about the subject is forgotten as well,
    /// whether it says so before or after. The decision is recorded with the rest, and carried out until it is done, also
    /// after a crash. Later notifications are not handled before.
    ///
    /// What is said about the subject afterwards is encrypted with a new key, and known. What other replicas write in the
    /// moment until they have heard of it may be as forgotten as what was there before.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now, or the name can't be one: do it again, it goes on where it was.
    pub async fn forget(&self, subject: impl Into<Subject> + Send) -> Result<bool, Error> {
        if let Some(open) = &self.transaction {
            return open.transaction.lock().await.forget(subject.into()).await;
        }
        let was_known = self.inner.subject_keys.forget(&subject.into()).await?;
        self.inner.repository.forget();
        Ok(was_known)
    }

    pub(crate) fn begin(&self) -> Transaction {
        Transaction::new(
            Arc::clone(&self.inner.repository),
            self.inner.mapper.clone(),
            self.inner.subject_keys.clone(),
            Arc::clone(&self.inner.edge),
        )
    }

    /// A handle on the box within a transaction, and the transaction.
    pub(crate) fn within(&self, transaction: Transaction) -> (Self, Arc<OpenTransaction>) {
        let open = Arc::new(OpenTransaction {
            transaction: Mutex::new(transaction),
            has_asked_for_log: AtomicBool::new(false),
        });
        let app = Self {
            inner: Arc::clone(&self.inner),
            transaction: Some(Arc::clone(&open)),
        };
        (app, open)
    }

    async fn commit(&self, transaction: &mut Transaction) -> Result<Outcome, Error> {
        let generation = transaction.generation();
        let pending = transaction.end();
        if pending.is_empty() {
            self.inner.repository.keep_all(&pending, generation).await?;
            return Ok(Outcome::Recorded(None));
        }
        let after_commit = self.inner.after_commit.get().and_then(Weak::upgrade);
        self.record(pending, generation, None, after_commit).await
    }

    /// Records what is pending, with the step of a follower that it follows from, and does what is to be done afterwards.
    ///
    /// After a conflict the aggregates are brought up to date, for another try.
    pub(crate) async fn record(
        &self,
        mut pending: Pending,
        generation: u64,
        step: Option<Tracking>,
        after_commit: Option<Arc<dyn AfterCommit>>,
    ) -> Result<Outcome, Error> {
        let mut append = pending.take_append();
        append.tracking = step;
        let has_events = !append.events.is_empty();
        let appended = match after_commit {
            None if !pending.has_duties() => self.inner.writer.append(append).await,
            after_commit => {
                self.append_with_effects(append, pending.has_duties(), after_commit)
                    .await
            }
        };
        let repository = &self.inner.repository;
        match appended {
            Ok(Appended { ids, .. }) => {
                if let Err(error) = repository.keep_all(&pending, generation).await {
                    tracing::warn!(%error, name = self.name(), "snapshots of a deleted aggregate can't be erased now: they are when the box starts again");
                }
                Ok(Outcome::Recorded(has_events.then_some(ids)))
            }
            Err(RecorderError::VersionConflict { originator_id, .. }) => {
                repository.refresh_all(&pending, generation).await?;
                Ok(Outcome::Conflict(originator_id))
            }
            Err(RecorderError::StreamDeleted { originator_id }) => {
                // It is kept no more, so the next try finds it deleted where it looks for it.
                for key in pending.touched(originator_id) {
                    repository.forget_deleted(key);
                }
                repository.refresh_all(&pending, generation).await?;
                Ok(Outcome::Conflict(originator_id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// In a task of its own: if the caller is dropped (a client hangs up), what follows happens all the same.
    async fn append_with_effects(
        &self,
        append: Append,
        has_duties: bool,
        after_commit: Option<Arc<dyn AfterCommit>>,
    ) -> Result<Appended, RecorderError> {
        let app = Self {
            inner: Arc::clone(&self.inner),
            transaction: None,
        };
        let committing = crate::after_commit::within_same(async move {
            let appended = app.inner.writer.append(append).await;
            if has_duties {
                // Also one that is not answered may be recorded.
                app.leave_unfinished();
                if let Err(error) = app.finish().await {
                    tracing::warn!(%error, name = app.name(), "what a transaction decided can't be done now, and is tried again");
                    app.finish_in_background();
                }
            }
            let appended = appended?;
            if let Some(after_commit) = after_commit {
                after_commit.committed().await;
            }
            Ok(appended)
        });
        tokio::spawn(committing).await.unwrap_or_else(|error| {
            Err(RecorderError::outcome_unknown(
                "committing was broken off",
                error,
            ))
        })
    }

    pub(crate) fn check_declared<A: Aggregate>(&self) -> Result<(), Error> {
        if self.inner.topics.has::<A::Event>() {
            return Ok(());
        }
        Err(Error::Undeclared {
            aggregate: aggregate_name::<A>(),
            name: self.inner.name.clone(),
        })
    }
}

/// What became of an append.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is recorded: the ids of its events, if it has some.
    Recorded(Option<Range<u64>>),
    /// Others recorded something of this aggregate first: decide again.
    Conflict(Uuid),
}

/// The aggregate, if it lives.
fn existing<A: Aggregate>(
    root: Root<A>,
    aggregate: &'static str,
    id: Uuid,
) -> Result<Root<A>, Error> {
    match (root.exists(), root.is_discarded()) {
        (true, _) => Ok(root),
        (false, true) => Err(Error::Discarded { aggregate, id }),
        (false, false) => Err(Error::NotFound { aggregate, id }),
    }
}
