//! The running box.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use boxes_domain::{Aggregate, Id, Large};
use boxes_mapper::{Mapper, Topics, large_id};
use boxes_notification_log::{DerivedLog, LocalNotificationLog};
use boxes_recorder::GroupCommit;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::after_commit::AfterCommit;
use crate::repository::Repository;
use crate::subject_key_provider::NoSubjectKeys;
use crate::transaction::Transaction;
use crate::unfinished::Unfinished;
use crate::{
    DEFAULT_LARGE_OVER, DataKeys, Edge, Error, MAX_LARGE_BYTES, PublicLog, Snapshots,
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
    /// The data keys of its log, with which events are encrypted then; see [`DataKeys::open`]. `None` encrypts with the keys of
    /// `mapper` themselves.
    pub data_keys: Option<DataKeys>,
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
            data_keys: None,
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
/// A policy gets it as an argument: there all that is done with it is one transaction, recorded together with the
/// position of the notification when the policy returns, or not at all. Commands, [`get`](Self::get),
/// [`history`](Self::history) and [`delete`](Self::delete) see what came before them, in this policy and in those of
/// earlier notifications. Another handle on the box, which a policy brings along, sees only what is recorded, and commands
/// at once.
///
/// The closure of [`update`](Self::update) is pure and may be run again, on newer state, when others changed
/// the aggregate meanwhile.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Arc<Inner>,
    pub(crate) transaction: Option<Arc<OpenTransaction>>,
}

/// A transaction that all handles on it share.
#[derive(Debug)]
pub(crate) struct OpenTransaction {
    pub(crate) transaction: Mutex<Transaction>,
    /// Whether the box's own log was asked for, which shows only what is recorded.
    pub(crate) has_asked_for_log: AtomicBool,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) writer: GroupCommit,
    pub(crate) repository: Arc<Repository>,
    pub(crate) mapper: Mapper,
    pub(crate) subject_keys: SubjectKeys,
    pub(crate) topics: Topics,
    pub(crate) redactable: bool,
    pub(crate) edge: Arc<dyn Edge>,
    pub(crate) unfinished: Unfinished,
    values: Option<StoredValues>,
    large_over: usize,
    /// Each with what reads the values of that box.
    value_sources: RwLock<Vec<(Mapper, Arc<dyn ValueSource>)>>,
    data_keys: Option<DataKeys>,
    /// Those of the boxes that this one follows, by name.
    data_keys_of_others: RwLock<HashMap<String, DataKeys>>,
    pub(crate) after_commit: OnceLock<Weak<dyn AfterCommit>>,
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
        let mut mapper = options
            .mapper
            .of_box(&name)
            .with_subject_keys(subject_keys.ring());
        if let Some(keys) = &options.data_keys {
            mapper = mapper.with_data_keys(keys.ring());
            subject_keys.look_in(keys.clone());
        }
        let values = StoredValues::of(&*recorder, options.value_folder, Arc::clone(&options.edge));
        let inner = Inner {
            values,
            large_over: options.large_over,
            value_sources: RwLock::default(),
            data_keys: options.data_keys,
            data_keys_of_others: RwLock::default(),
            name,
            repository: Arc::new(Repository::new(
                recorder,
                mapper.clone(),
                options.topics.clone(),
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
            unfinished: Unfinished::default(),
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
    ///
    /// It has what is recorded. A policy that asks for it is run again, after what came before it is recorded, if it shared
    /// a transaction with other notifications.
    #[must_use]
    pub fn notification_log(&self) -> LocalNotificationLog {
        if let Some(open) = &self.transaction {
            open.has_asked_for_log.store(true, Ordering::SeqCst);
        }
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
    /// app.update(id, |product: &Product| product.show(picture.clone())).await?;
    /// # Ok(())
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
            let read = || self.inner.mapper.read_value(id, &stored);
            return self.inner.subject_keys.map(read).await;
        }
        let sources = self.inner.value_sources.read();
        let sources = sources.unwrap_or_else(PoisonError::into_inner).clone();
        let mut unreachable = None;
        for (mapper, source) in sources {
            match source.stored_value(id).await {
                Ok(Some(stored)) => {
                    let read = || mapper.read_value(id, &stored);
                    return self.inner.subject_keys.map(read).await;
                }
                Ok(None) => {}
                // Another one may have it.
                Err(error) => unreachable = Some(error),
            }
        }
        Err(unreachable.unwrap_or(Error::NoValue { id }))
    }

    /// Looks for values there, too: at the box `upstream`, which this one follows. Its [data keys](Self::follow_data_keys) have to
    /// be known before.
    pub fn look_for_values_in(&self, upstream: &str, source: Arc<dyn ValueSource>) {
        let source = (self.mapper_of(upstream), source);
        let sources = self.inner.value_sources.write();
        sources.unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// The data keys of its own log, if it has any.
    #[must_use]
    pub fn data_keys(&self) -> Option<DataKeys> {
        self.inner.data_keys.clone()
    }

    /// Reads events and values of the box `upstream`, which this one follows, with these data keys. Has no effect on followers that
    /// exist already.
    pub fn follow_data_keys(&self, upstream: &str, keys: DataKeys) {
        self.inner.subject_keys.look_in(keys.clone());
        let others = self.inner.data_keys_of_others.write();
        let mut others = others.unwrap_or_else(PoisonError::into_inner);
        others.insert(upstream.to_owned(), keys);
    }

    /// What reads the events of the box `upstream`.
    pub(crate) fn mapper_of(&self, upstream: &str) -> Mapper {
        let mapper = self.inner.mapper.clone().of_box(upstream);
        let others = self.inner.data_keys_of_others.read();
        let others = others.unwrap_or_else(PoisonError::into_inner);
        match others.get(upstream) {
            Some(keys) => mapper.with_data_keys(keys.ring()),
            None => mapper.without_data_keys(),
        }
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
