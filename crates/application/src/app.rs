//! The running box.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use boxes_domain::{Aggregate, Decision, Id, Large, Root, Subject};
use boxes_mapper::{Mapper, Topics, large_id};
use boxes_notification_log::{DerivedLog, LocalNotificationLog};
use boxes_recorder::{Append, GroupCommit, RecorderError};
use bytes::Bytes;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::after_commit::AfterCommit;
use crate::conflict::{conflict_backoff, wait_after_conflict};
use crate::repository::{Repository, aggregate_name};
use crate::subject_key_provider::NoSubjectKeys;
use crate::transaction::{Existing, Transaction};
use crate::{
    DEFAULT_LARGE_OVER, Edge, Error, History, MAX_LARGE_BYTES, PublicLog, Snapshots,
    StoredSubjectKeys, StoredValues, SubjectKeyProvider, SubjectKeys, SystemEdge, ValueFolder,
    ValueSource,
};

/// How a box runs.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The topics of the aggregates that are declared in it.
    pub topics: Topics,
    /// Of which aggregates snapshots are taken, and when.
    pub snapshots: Snapshots,
    /// How many aggregates are kept in memory, at most.
    pub max_cached_aggregates: usize,
    /// How events are stored: in the clear if nothing else is said. It needs the keys of the boxes that this
    /// one follows, too.
    pub mapper: Mapper,
    /// The keys of the subjects of [`Personal`](boxes_domain::Personal) parts. `None` keeps them beside the events, in the
    /// store of the box, encrypted with the keys of `mapper` if it has any.
    pub subject_keys: Option<SubjectKeys>,
    /// Values of more bytes than this are stored apart from the events that name them, see [`App::keep`].
    pub large_over: usize,
    /// Where they are then: beside the log, in its database, for `None`.
    pub value_folder: Option<ValueFolder>,
    /// Whether its aggregates may be deleted, which redacts their events in its log. Say so from the start: of a log
    /// that can't be redacted, caches may keep pages for a year.
    pub redactable: bool,
    /// Where time and new ids come from.
    pub edge: Arc<dyn Edge>,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self {
            topics: Topics::default(),
            snapshots: Snapshots::default(),
            max_cached_aggregates: 10_000,
            mapper: Mapper::default(),
            subject_keys: None,
            large_over: DEFAULT_LARGE_OVER,
            value_folder: None,
            redactable: false,
            edge: Arc::new(SystemEdge),
        }
    }
}

/// The running box: commands on its aggregates. Cloning it is cheap, and gives the same box.
///
/// A route gets it as its state: there each command is a transaction of its own, and durable when it returns.
/// A policy gets it as an argument: there all commands are one transaction, recorded together with the
/// position of the notification when the policy returns; commands see what came before them.
///
/// The closure of [`update`](Self::update) is pure and may be run again, on newer state, when others changed
/// the aggregate meanwhile.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Arc<Inner>,
    transaction: Option<Arc<Mutex<Transaction>>>,
}

pub(crate) struct Inner {
    name: String,
    pub(crate) writer: GroupCommit,
    repository: Arc<Repository>,
    pub(crate) mapper: Mapper,
    pub(crate) subject_keys: SubjectKeys,
    topics: Topics,
    redactable: bool,
    edge: Arc<dyn Edge>,
    values: Option<StoredValues>,
    large_over: usize,
    value_sources: RwLock<Vec<Arc<dyn ValueSource>>>,
    after_commit: OnceLock<Weak<dyn AfterCommit>>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.inner.name)
            .field("in_transaction", &self.transaction.is_some())
            .finish_non_exhaustive()
    }
}

impl App {
    /// The box that records through `writer`.
    #[must_use]
    pub fn new(writer: GroupCommit, options: AppOptions) -> Self {
        let recorder = Arc::clone(writer.recorder());
        let subject_keys = options
            .subject_keys
            .unwrap_or_else(|| own_subject_keys(&*recorder, &options.mapper, &options.edge));
        let name = recorder.log().name.clone();
        let mapper = options
            .mapper
            .of_box(&name)
            .with_subject_keys(subject_keys.ring());
        let values = StoredValues::of(&*recorder, options.value_folder, Arc::clone(&options.edge));
        let inner = Inner {
            values,
            large_over: options.large_over,
            value_sources: RwLock::default(),
            name,
            repository: Arc::new(Repository::new(
                recorder,
                mapper.clone(),
                subject_keys.clone(),
                options.snapshots,
                Arc::clone(&options.edge),
                options.max_cached_aggregates,
            )),
            writer,
            mapper,
            subject_keys,
            topics: options.topics,
            redactable: options.redactable,
            edge: options.edge,
            after_commit: OnceLock::new(),
        };
        Self {
            inner: Arc::new(inner),
            transaction: None,
        }
    }

    /// The name of the box.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What reads and writes the events of this box: who reads its log elsewhere in the program needs the same keys. For the log of
    /// another box take it [of that box](Mapper::of_box): encrypted events are bound to the one that wrote them.
    ///
    /// For [`Personal`](boxes_domain::Personal) parts it has the keys that are at hand, and
    /// [asks](boxes_mapper::MapperError::MissingSubjectKeys) for others; within the box that is seen to.
    #[must_use]
    pub fn mapper(&self) -> &Mapper {
        &self.inner.mapper
    }

    /// Whether its aggregates may be [deleted](Self::delete).
    #[must_use]
    pub fn is_redactable(&self) -> bool {
        self.inner.redactable
    }

    /// A new id for an aggregate that is about to be created.
    #[must_use]
    pub fn new_id<A: Aggregate>(&self) -> Id<A> {
        Id::new(self.inner.edge.new_id())
    }

    /// The box's own notification log.
    #[must_use]
    pub fn notification_log(&self) -> LocalNotificationLog {
        LocalNotificationLog::new(&self.inner.writer)
    }

    /// A log of that name that publishes what `public` makes of the box's own one.
    #[must_use]
    pub fn public_log(&self, name: &str, public: &PublicLog) -> DerivedLog {
        public.derive(
            Arc::new(self.notification_log()),
            name,
            self.inner.mapper.clone().passing_on_personal_parts(),
        )
    }

    /// Begins the life of an aggregate with what `decision` says.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyExists`] if it lives.
    /// - [`Error::Deleted`] if it was deleted: its id is not used again.
    /// - [`Error::Rejected`] if the domain refused.
    /// - [`Error::Store`] if the store can't record it now.
    pub async fn create<A: Aggregate>(
        &self,
        id: Id<A>,
        decision: impl Decision<A::Event>,
    ) -> Result<(), Error> {
        self.check_declared::<A>()?;
        if let Some(transaction) = &self.transaction {
            return transaction.lock().await.create(id, decision).await;
        }
        let mut transaction = self.begin();
        transaction.create(id, decision).await?;
        match self.commit(&mut transaction).await {
            Err(RecorderError::VersionConflict { .. }) => {
                transaction.refresh_all().await?;
                let (aggregate, uuid) = (aggregate_name::<A>(), id.uuid());
                // The decision is used up. If what was there was discarded, the next try finds it so.
                match self.begin().get(id).await?.exists() {
                    true => Err(Error::AlreadyExists {
                        aggregate,
                        id: uuid,
                    }),
                    false => Err(Error::Conflict {
                        id: uuid,
                        attempts: 1,
                    }),
                }
            }
            done => transaction.outcome(done),
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
    /// app.update(id, |order: &Order| order.pay("card")).await
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
    ) -> Result<(), Error> {
        self.command(id, decide, Existing::Required).await
    }

    /// As [`update`](Self::update), but what does not exist decides as well, from its default state, and
    /// begins its life with what it decides.
    ///
    /// For aggregates that are there for everyone, such as the account of a customer.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), but for [`Error::NotFound`] and [`Error::Discarded`].
    pub async fn upsert<A: Aggregate, D: Decision<A::Event>>(
        &self,
        id: Id<A>,
        decide: impl Fn(&A) -> D + Send + Sync,
    ) -> Result<(), Error> {
        self.command(id, decide, Existing::Optional).await
    }

    async fn command<A: Aggregate, D: Decision<A::Event>>(
        &self,
        id: Id<A>,
        decide: impl Fn(&A) -> D + Send + Sync,
        existing: Existing,
    ) -> Result<(), Error> {
        self.check_declared::<A>()?;
        if let Some(transaction) = &self.transaction {
            return transaction
                .lock()
                .await
                .command(id, &decide, existing)
                .await;
        }
        let mut backoff = conflict_backoff();
        loop {
            let mut transaction = self.begin();
            transaction.command(id, &decide, existing).await?;
            if transaction.events().is_empty() {
                return Ok(());
            }
            match self.commit(&mut transaction).await {
                Err(RecorderError::VersionConflict { originator_id, .. }) => {
                    wait_after_conflict(&mut backoff, originator_id).await?;
                    transaction.refresh_all().await?;
                }
                done => return transaction.outcome(done),
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
    pub async fn transaction<F, Fut, T>(&self, commands: F) -> Result<T, Error>
    where
        F: Fn(Self) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        if self.transaction.is_some() {
            return commands(self.clone()).await;
        }
        let mut backoff = conflict_backoff();
        let mut begun = self.begin();
        loop {
            let shared = Arc::new(Mutex::new(begun));
            let result = commands(self.within(&shared)).await?;
            let mut transaction = shared.lock().await;
            match self.commit(&mut transaction).await {
                Err(RecorderError::VersionConflict { originator_id, .. }) => {
                    wait_after_conflict(&mut backoff, originator_id).await?;
                    transaction.refresh_all().await?;
                    begun = self.begin().looking_before_creating();
                }
                done => return transaction.outcome(done).map(|()| result),
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
            Some(transaction) => transaction.lock().await.get(id).await?,
            None => self.begin().get(id).await?,
        };
        let root = existing(root, aggregate_name::<A>(), id.uuid())?;
        Ok(root.state().clone())
    }

    /// Takes a snapshot of an aggregate as it is recorded now, and says which version it includes. Taken twice at a version
    /// it is one.
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
        // Not what a transaction is about to record.
        let root = existing(self.begin().get(id).await?, aggregate, uuid)?;
        self.inner.repository.snapshot(&root).await?;
        Ok(root.version())
    }

    /// What was recorded of an aggregate: all of it, oldest first, unless the [`History`] is told otherwise. Nothing
    /// is read before it is asked for a page; it has none if there is no such aggregate.
    ///
    /// In a policy as well it is what is recorded, without what the policy does.
    pub fn history<A: Aggregate>(&self, id: Id<A>) -> History<A::Event> {
        let recorder = Arc::clone(self.inner.writer.recorder());
        let (mapper, keys) = (self.inner.mapper.clone(), self.inner.subject_keys.clone());
        History::new(recorder, mapper, keys, id.uuid())
    }

    /// Deletes an aggregate for good: what its events said is gone from the store, from its snapshots, and from the log.
    ///
    /// This is how a person's data are forgotten. Each event stays in its place in the log as a redacted one, with its
    /// topic, its time and its ids, so that those who follow the log miss nothing and stumble over nothing; its state and its
    /// metadata are no more. From then on every command on the aggregate, and every look at it, is
    /// [`Error::Deleted`], and its id is never used again. What other boxes made of its events is theirs
    /// to delete; copies of pages stay in caches as long as the log's freshness allows, and backups as long as they are kept.
    ///
    /// Returns how many events it had: the same again when it is done again, and 0 if there is no such aggregate. It is done
    /// when it returns, also in a policy: it is no part of the transaction there, and is not undone if the policy fails; a
    /// policy that is run again deletes again, which changes nothing. To leave a trace of why, record an event of another
    /// aggregate.
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
        let deleted = self.inner.writer.delete_stream(id.uuid()).await;
        self.inner.repository.forget_deleted(id);
        if let Some(transaction) = &self.transaction {
            transaction.lock().await.forget(id);
        }
        let n_events = deleted?.n_events;
        if n_events > 0
            && let Some(beside) = self.inner.writer.recorder().key_value_store()
        {
            Snapshots::erase(id.uuid(), &*beside).await?;
        }
        Ok(n_events)
    }

    /// Forgets a subject: deletes its key, so that every [`Personal`](boxes_domain::Personal) part about it is
    /// [`Forgotten`](boxes_domain::Personal::Forgotten) from now on, wherever and whenever it was written. Says whether there
    /// was anything to forget. It can't be undone.
    ///
    /// The log stays as it is, and is replayed as before. Here it counts at once; where others read with the same keys, a
    /// moment later, see [`SubjectKeys`]. It is no command: it takes part in no transaction, also in a policy.
    ///
    /// What is said about the subject afterwards is encrypted with a new key, and known. What other replicas write in the
    /// moment until they have heard of it may be as forgotten as what was there before.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now, or the name can't be one: do it again, it goes on where it was.
    pub async fn forget(&self, subject: impl Into<Subject> + Send) -> Result<bool, Error> {
        let was_known = self.inner.subject_keys.forget(&subject.into()).await?;
        self.inner.repository.forget();
        Ok(was_known)
    }

    /// Takes in a value that may be large, for an event that is to name it: call it before the command.
    ///
    /// A small one comes back as it will stand in the event. One of more than [`AppOptions::large_over`] bytes is stored apart,
    /// once, however often it is kept, and is durable when this returns. If no event comes to name it, it is garbage, which
    /// `find_garbage` finds. What is kept is compressed and encrypted as the events of the box are.
    ///
    /// ```no_run
    /// # use boxes_domain::{Aggregate, Event, Id, Large};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Clone, Serialize, Deserialize)]
    /// # #[event(topic = "t.product", crate = "boxes_domain")]
    /// # enum ProductEvent { Pictured { picture: Large } }
    /// # #[derive(Default, Clone)] struct Product;
    /// # impl Aggregate for Product { type Event = ProductEvent; fn apply(&mut self, _: &ProductEvent) {} }
    /// # impl Product { fn show(&self, picture: Large) -> ProductEvent { ProductEvent::Pictured { picture } } }
    /// # async fn example(app: boxes_application::App, id: Id<Product>, file: Vec<u8>) -> Result<(), boxes_application::Error> {
    /// let picture = app.keep(file).await?;
    /// app.update(id, |product: &Product| product.show(picture.clone())).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::TooLarge`] if it has more than [`MAX_LARGE_BYTES`].
    /// - [`Error::Store`] if it can't be stored now.
    pub async fn keep(&self, content: impl Into<Bytes> + Send) -> Result<Large, Error> {
        let content: Bytes = content.into();
        let size = content.len();
        let Some(values) = self
            .inner
            .values
            .as_ref()
            .filter(|_| size > self.inner.large_over)
        else {
            return Ok(Large::inline(&*content));
        };
        if size > MAX_LARGE_BYTES {
            let max = MAX_LARGE_BYTES;
            return Err(Error::TooLarge { size, max });
        }
        let id = large_id(&content);
        let stored = self.inner.mapper.write_value(id, content)?;
        values.keep(id, &stored).await?;
        Ok(Large::apart(id, u64::try_from(size).unwrap_or(u64::MAX)))
    }

    /// The content of a value: from the event, from the store of this box, or from a box that it follows and whose event named
    /// it. What comes is held against its SHA-256.
    ///
    /// # Errors
    ///
    /// - [`Error::NoValue`] if it is nowhere: it was deleted with all events that named it, or was never kept.
    /// - [`Error::Mapper`] if it is not what its id says, or is encrypted with a key that is not here.
    /// - [`Error::Store`] if a place where it may be can't be reached now.
    pub async fn value(&self, large: &Large) -> Result<Bytes, Error> {
        let Some(id) = large.id() else {
            return Ok(Bytes::copy_from_slice(large.content().unwrap_or_default()));
        };
        if let Some(values) = &self.inner.values
            && let Some(stored) = values.stored_value(id).await?
        {
            return Ok(self.inner.mapper.read_value(id, &stored)?);
        }
        let sources = self.inner.value_sources.read();
        let sources = sources.unwrap_or_else(PoisonError::into_inner).clone();
        let mut unreachable = None;
        for source in sources {
            match source.stored_value(id).await {
                Ok(Some(stored)) => return Ok(self.inner.mapper.read_value(id, &stored)?),
                Ok(None) => {}
                // Another one may have it.
                Err(error) => unreachable = Some(error),
            }
        }
        Err(unreachable.unwrap_or(Error::NoValue { id }))
    }

    /// Looks for values there, too: at a box that this one follows.
    pub fn look_for_values_in(&self, source: Arc<dyn ValueSource>) {
        let sources = self.inner.value_sources.write();
        sources.unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// The values that this box keeps; `None` if its store has no place for them.
    #[must_use]
    pub fn stored_values(&self) -> Option<StoredValues> {
        self.inner.values.clone()
    }

    /// Lets `after_commit` run after every command outside a policy, before it returns to its caller.
    ///
    /// Only the first one that is given counts. It is held weakly: whoever gives it keeps it alive.
    pub fn set_after_commit(&self, after_commit: Weak<dyn AfterCommit>) {
        if self.inner.after_commit.set(after_commit).is_err() {
            tracing::warn!(
                name = self.inner.name,
                "the box has something that runs after its commands already"
            );
        }
    }

    pub(crate) fn begin(&self) -> Transaction {
        Transaction::new(
            Arc::clone(&self.inner.repository),
            self.inner.mapper.clone(),
            self.inner.subject_keys.clone(),
            Arc::clone(&self.inner.edge),
        )
    }

    pub(crate) fn within(&self, transaction: &Arc<Mutex<Transaction>>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            transaction: Some(Arc::clone(transaction)),
        }
    }

    async fn commit(&self, transaction: &mut Transaction) -> Result<(), RecorderError> {
        let events = transaction.end();
        if events.is_empty() {
            return Ok(());
        }
        let append = Append::new(events);
        match self.inner.after_commit.get().and_then(Weak::upgrade) {
            None => self.inner.writer.append(append).await.map(|_| ())?,
            Some(after_commit) => self.commit_with_effects(append, after_commit).await?,
        }
        transaction.keep_all().await;
        Ok(())
    }

    /// In a task of its own: if the caller is dropped (a client hangs up), what follows happens all the same.
    async fn commit_with_effects(
        &self,
        append: Append,
        after_commit: Arc<dyn AfterCommit>,
    ) -> Result<(), RecorderError> {
        let writer = self.inner.writer.clone();
        let committing = crate::after_commit::within_same(async move {
            writer.append(append).await?;
            after_commit.committed().await;
            Ok(())
        });
        tokio::spawn(committing).await.unwrap_or_else(|error| {
            Err(RecorderError::outcome_unknown(
                "committing was broken off",
                error,
            ))
        })
    }

    fn check_declared<A: Aggregate>(&self) -> Result<(), Error> {
        if self.inner.topics.has::<A::Event>() {
            return Ok(());
        }
        Err(Error::Undeclared {
            aggregate: aggregate_name::<A>(),
            name: self.inner.name.clone(),
        })
    }
}

/// Keys of subjects that are kept beside the events.
fn own_subject_keys(
    recorder: &dyn boxes_recorder::Recorder,
    mapper: &Mapper,
    edge: &Arc<dyn Edge>,
) -> SubjectKeys {
    let provider: Arc<dyn SubjectKeyProvider> = match recorder.key_value_store() {
        None => Arc::new(NoSubjectKeys),
        Some(store) => {
            let keys = StoredSubjectKeys::new(store).with_edge(Arc::clone(edge));
            Arc::new(match mapper.keys() {
                Some(wrapping) => keys.wrapped_by(wrapping),
                None => keys,
            })
        }
    };
    SubjectKeys::new(provider)
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
