//! The declaration of a box.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use axum::routing::get;
use boxes_application::{App, Error, Notification, Policies, PublicLog, SnapshotEvery, Snapshots};
use boxes_domain::{Aggregate, Event, ValueType, ValueTypes};
use boxes_http::OpenApiPart;
use boxes_mapper::{Mapper, Topics, Transcoder};

use crate::expected_panic::{or_panic, panic_text};
use crate::layers::{is_box_name, is_log_name};
use crate::topics::LogTopics;
use crate::{Operation, StateFormat};

/// The declaration of a box: its aggregates, the boxes that it follows, and its routes.
///
/// It says nothing of where the box runs: the same declaration runs in one process with others, or as a
/// service of its own. What is wrong with it is said when it is started, all of it at once.
///
/// ```
/// use axum::Router;
/// use axum::extract::{Path, State};
/// use axum::routing::get;
/// use boxes_application::App;
/// use boxes_domain::{Aggregate, Event, Id};
/// use boxes_service::{BoundedContext, Json, Problem};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Clone, Serialize, Deserialize)]
/// #[event(topic = "library.book", crate = "boxes_domain")]
/// enum BookEvent {
///     Acquired { title: String },
/// }
///
/// #[derive(Default, Clone)]
/// struct Book {
///     title: String,
/// }
///
/// impl Aggregate for Book {
///     type Event = BookEvent;
///
///     fn apply(&mut self, BookEvent::Acquired { title }: &BookEvent) {
///         self.title.clone_from(title);
///     }
/// }
///
/// async fn title(State(app): State<App>, Path(id): Path<Id<Book>>) -> Result<Json<String>, Problem> {
///     Ok(Json(app.get(id).await?.title))
/// }
///
/// let library = BoundedContext::new("library")
///     .aggregate::<Book>()
///     .routes(|| Router::new().route("/books/{id}", get(title)));
/// assert_eq!(library.name(), "library");
/// ```
#[must_use = "a declaration does nothing until it is started"]
pub struct BoundedContext {
    name: String,
    topics: Topics,
    policies: Policies,
    routes: Router<App>,
    described: OpenApiPart,
    logs: Logs,
    snapshots: Snapshots,
    writer: Option<Arc<dyn Transcoder>>,
    readers: Vec<Arc<dyn Transcoder>>,
    value_types: ValueTypes,
    is_redactable: bool,
    mistakes: Vec<String>,
}

/// The logs of a box.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    /// What stands in the place of the box's own log.
    pub(crate) instead: Option<PublicLog>,
    /// Those beside it, with their names within the box.
    pub(crate) beside: Vec<(String, PublicLog)>,
}

/// What a declaration says.
pub(crate) struct Parts {
    pub(crate) topics: Topics,
    pub(crate) policies: Policies,
    pub(crate) routes: Router<App>,
    /// What it says of its routes.
    pub(crate) described: OpenApiPart,
    pub(crate) logs: Logs,
    pub(crate) snapshots: Snapshots,
}

impl BoundedContext {
    /// A box that has nothing yet.
    ///
    /// Its name is part of paths and file names: a lower-case letter, then lower-case letters, digits and
    /// hyphens, at most 63 in all.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let mut mistakes = Vec::new();
        check_name(&name, &mut mistakes);
        Self {
            name,
            topics: Topics::default(),
            policies: Policies::default(),
            routes: Router::new(),
            described: OpenApiPart::new(),
            logs: Logs::default(),
            snapshots: Snapshots::default(),
            writer: None,
            readers: Vec::new(),
            value_types: ValueTypes::default(),
            is_redactable: false,
            mistakes,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Declares that its aggregates may be deleted for good, as when a person is to be forgotten: see
    /// [`App::delete`].
    ///
    /// What is deleted is redacted in the log, so caches keep its archived pages for an hour only, instead of a year. Say it
    /// from the start: pages that were published before stay where they are kept.
    pub const fn redactable(mut self) -> Self {
        self.is_redactable = true;
        self
    }

    /// Whether it is declared so.
    #[must_use]
    pub const fn is_redactable(&self) -> bool {
        self.is_redactable
    }

    /// Declares an aggregate, whose events it may then record.
    ///
    /// No two aggregates of a box share a topic.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        if let Err(error) = self.topics.register::<A::Event>() {
            self.mistakes.push(error.to_string());
        }
        let mut types = A::Event::TYPES.iter();
        if let Some(tolerant) = types.find(|event_type| event_type.is_tolerant) {
            self.mistakes.push(format!(
                "`{}` is an event of the box's own, and tolerant: what a newer version of the program wrote would be dropped. #[event(tolerant)] is for events of other boxes",
                tolerant.topic
            ));
        }
        self
    }

    /// Whether an aggregate of the box has events of this topic.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.topics.iter().any(|(known, _)| known == topic)
    }

    /// Lets snapshots of the aggregate `A` be taken, so that one with a long history is not made of all its events: each is an
    /// event of the type `S`, which holds the state, and is kept beside the log.
    ///
    /// ```
    /// # use boxes_application::SnapshotEvery;
    /// # use boxes_domain::{Aggregate, Event, ValueType, ValueTypes};
    /// # use boxes_service::BoundedContext;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Clone, Serialize, Deserialize)]
    /// # #[event(topic = "bank.account", crate = "boxes_domain")]
    /// # enum AccountEvent { Booked { cents: i64 } }
    /// #[derive(Default, Clone, Serialize, Deserialize)]
    /// struct Account {
    ///     cents: i64,
    /// }
    /// # impl Aggregate for Account {
    /// #     type Event = AccountEvent;
    /// #     fn apply(&mut self, AccountEvent::Booked { cents }: &AccountEvent) { self.cents += cents; }
    /// # }
    ///
    /// /// It has a topic and versions as any event: count them up, with an upcast, when the state changes.
    /// #[derive(Event, Clone, Serialize, Deserialize)]
    /// #[event(topic = "bank.account", crate = "boxes_domain")]
    /// enum AccountSnapshot {
    ///     Snapshot(Account),
    /// }
    ///
    /// impl From<Account> for AccountSnapshot {
    ///     fn from(account: Account) -> Self {
    ///         Self::Snapshot(account)
    ///     }
    /// }
    ///
    /// impl From<AccountSnapshot> for Account {
    ///     fn from(AccountSnapshot::Snapshot(account): AccountSnapshot) -> Self {
    ///         account
    ///     }
    /// }
    ///
    /// let bank = BoundedContext::new("bank")
    ///     .aggregate::<Account>()
    ///     .snapshots::<Account, AccountSnapshot>(SnapshotEvery::events(100));
    /// ```
    pub fn snapshots<A, S>(mut self, every: SnapshotEvery) -> Self
    where
        A: Aggregate + From<S>,
        S: Event + From<A>,
    {
        self.snapshots.register::<A, S>(every);
        self
    }

    /// Declares what it does when one of the events `E` happened in the box `upstream`.
    ///
    /// `upstream` is the name of a box, for its own log, or of one of the [logs beside it](Self::publish), as in
    /// `orders/sales`. Called more than once for one upstream, the policies run in this order, in one transaction.
    pub fn follow<E, F, Fut>(mut self, upstream: impl Into<String>, policy: F) -> Self
    where
        E: Event,
        F: Fn(Notification<E>, App) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let upstream = upstream.into();
        if !is_log_name(&upstream) {
            let shown: String = upstream.chars().take(80).collect();
            self.mistakes.push(format!("`{shown}` is no name of a log to follow: that of a box, or of a box and one of its logs, as in `orders/sales`"));
        }
        if upstream.split('/').next() == Some(&*self.name) {
            self.mistakes.push(
                "it follows itself, and would answer its own answers: react in the command"
                    .to_owned(),
            );
        }
        self.policies.follow(upstream, policy);
        self
    }

    /// Publishes `log` beside the box's own one: named `orders/sales` if the box is `orders` and `name` is `sales`, and
    /// served at `/orders/sales/notifications`.
    ///
    /// ```
    /// # use boxes_application::PublicLog;
    /// # use boxes_domain::Event;
    /// # use boxes_service::BoundedContext;
    /// # use serde::{Deserialize, Serialize};
    /// /// The part of the events that others may know.
    /// #[derive(Event, Clone, Serialize, Deserialize)]
    /// #[event(topic = "orders.order", crate = "boxes_domain")]
    /// enum Sale {
    ///     Placed { customer: String },
    ///     Shipped,
    /// }
    ///
    /// let orders = BoundedContext::new("orders").publish("sales", PublicLog::revision(1).pass::<Sale>());
    /// assert_eq!(orders.logs().collect::<Vec<_>>(), ["orders", "orders/sales"]);
    /// ```
    pub fn publish(mut self, name: impl Into<String>, log: PublicLog) -> Self {
        let name = name.into();
        check_name(&name, &mut self.mistakes);
        if self.logs.beside.iter().any(|(other, _)| *other == name) {
            let mistake = format!("it publishes two logs named `{name}`");
            self.mistakes.push(mistake);
        }
        self.logs.beside.push((name, log));
        self
    }

    /// Publishes `log` in the place of the box's own one, which nobody else sees then: neither over HTTP nor in the same
    /// process.
    pub fn publish_instead(mut self, log: PublicLog) -> Self {
        if self.logs.instead.replace(log).is_some() {
            self.mistakes
                .push("it publishes two logs in the place of its own one".to_owned());
        }
        self
    }

    /// The names of its logs: that of the box first.
    pub fn logs(&self) -> impl Iterator<Item = String> {
        let beside = self.logs.beside.iter().map(|(log, _)| log);
        std::iter::once(self.name.clone()).chain(beside.map(|log| format!("{}/{log}", self.name)))
    }

    /// Declares that it writes the state of its events with `transcoder`, unless the program is told another format
    /// for it. What it wrote before is read as well.
    pub fn transcoder(mut self, transcoder: impl Transcoder) -> Self {
        let transcoder: Arc<dyn Transcoder> = Arc::new(transcoder);
        self.writer = Some(Arc::clone(&transcoder));
        self.reads(transcoder)
    }

    /// Declares that it reads what was written with `transcoder`: by a box that it follows, or by itself before.
    /// For formats of your own: JSON and `MessagePack` are read always.
    pub fn reads(mut self, transcoder: impl Transcoder) -> Self {
        let transcoder: Arc<dyn Transcoder> = Arc::new(transcoder);
        if let Err(error) = Mapper::default().reading(Arc::clone(&transcoder)) {
            self.mistakes.push(error.to_string());
        }
        self.readers.push(transcoder);
        self
    }

    /// Declares that values of the type `V` may stand in the [`Dynamic`](boxes_domain::Dynamic) values of its events and of those
    /// that it follows, under the name of the type. The kit's own, of UUIDs and times, need no declaration, and give way to
    /// another one of their name. [`Named`](boxes_domain::Named) fields need none either.
    ///
    /// ```
    /// # use boxes_domain::ValueType;
    /// # use boxes_service::BoundedContext;
    /// struct Percent;
    ///
    /// impl ValueType for Percent {
    ///     const NAME: &'static str = "percent";
    ///     type Value = u8;
    ///     type Data = u8;
    ///
    ///     fn to_data(percent: &u8) -> u8 {
    ///         *percent
    ///     }
    ///
    ///     fn from_data(data: u8) -> Option<u8> {
    ///         (data <= 100).then_some(data)
    ///     }
    /// }
    ///
    /// let orders = BoundedContext::new("orders").value_type::<Percent>();
    /// ```
    pub fn value_type<V: ValueType>(mut self) -> Self {
        if let Err(error) = self.value_types.register::<V>() {
            self.mistakes.push(error.to_string());
        }
        self
    }

    /// `mapper` with the value types and formats that it declares, or with the format that the program is told for it.
    pub(crate) fn mapper(
        &self,
        mapper: Mapper,
        told: Option<StateFormat>,
    ) -> Result<Mapper, Box<dyn std::error::Error + Send + Sync>> {
        let mut mapper = mapper.with_value_types(&self.value_types)?;
        for reader in &self.readers {
            mapper = mapper.reading(Arc::clone(reader))?;
        }
        Ok(match (told, &self.writer) {
            (Some(StateFormat::Json), _) => mapper.json(),
            (Some(StateFormat::MessagePack), _) => mapper.message_pack(),
            (None, Some(writer)) => mapper.transcoded(Arc::clone(writer))?,
            (None, None) => mapper,
        })
    }

    /// Adds routes, whose paths begin with the name of the box: `/books/{id}` of the box `library` is served
    /// at `/library/books/{id}`.
    ///
    /// For each log, `/notifications`, `/compat` and what is below them are taken, and `/openapi.json` and `/asyncapi.json`.
    pub fn routes(mut self, routes: impl FnOnce() -> Router<App>) -> Self {
        self.add_routes(|own| own.merge(routes()));
        self
    }

    /// Adds one route: as [`routes`](Self::routes), for a box that has few.
    pub fn route(mut self, path: &str, methods: MethodRouter<App>) -> Self {
        self.add_routes(|own| own.route(path, methods));
        self
    }

    /// Axum says by a panic that two routes are the same, or that a path is none: here it is a mistake like others.
    fn add_routes(&mut self, add: impl FnOnce(Router<App>) -> Router<App>) {
        let own = self.routes.clone();
        match or_panic(|| add(own)) {
            Ok(routes) => self.routes = routes,
            Err(panic) => {
                let why = panic_text(&*panic).unwrap_or("two of them are the same");
                self.mistakes
                    .push(format!("its routes don't go together: {why}"));
            }
        }
    }

    /// Says to programs what its routes take and give: a part of an OpenAPI document, `{"paths": …, "components":
    /// {"schemas": …}}`, whose paths are those of [`routes`](Self::routes).
    ///
    /// It becomes a part of `/{box}/openapi.json`, where the problems are added that what stands before the routes answers
    /// with, such as 415 for a body that is no JSON. What the domain refuses is said here: by reference to
    /// `#/components/schemas/Problem`. A path that is not among the routes is a mistake, and said when the box is started.
    ///
    /// ```
    /// # use axum::Router;
    /// # use axum::routing::get;
    /// # use boxes_service::BoundedContext;
    /// let library = BoundedContext::new("library")
    ///     .routes(|| Router::new().route("/opening-hours", get(|| async { "from 9 to 5" })))
    ///     .open_api(
    ///         r#"{"paths": {"/opening-hours": {"get": {
    ///             "responses": {"200": {"description": "When it is open", "content": {"text/plain": {}}}}
    ///         }}}}"#,
    ///     );
    /// # assert_eq!(library.name(), "library");
    /// ```
    ///
    /// A longer one is a file of its own beside the routes: `.open_api(include_str!("openapi.json"))`.
    pub fn open_api(mut self, part: &str) -> Self {
        match OpenApiPart::from_json(part) {
            Ok(part) => self.described = self.described.and(part),
            Err(error) => self.mistakes.push(error.to_string()),
        }
        self
    }

    /// Says to programs what one of its routes takes and gives, from the route's own types; otherwise as
    /// [`open_api`](Self::open_api).
    pub fn describe(mut self, operation: Operation) -> Self {
        self.described = operation.add_to(self.described);
        self
    }

    /// What can be told from the declaration alone to be wrong.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = String> {
        let taken = taken_routes(&self.routes, &self.logs)
            .map(|path| format!("its route `{path}` is taken by the kit"));
        let paths = self.described.paths();
        let unserved = paths.filter(|path| !has_route(&self.routes, path));
        let unserved =
            unserved.map(|path| format!("it describes `{path}`, which is no route of it"));
        let mistakes = self.mistakes.iter().cloned().chain(taken).chain(unserved);
        mistakes.map(|mistake| format!("the box `{}` can't run: {mistake}", self.name))
    }

    /// The topics of each of its logs, in the order of [`logs`](Self::logs): what is served at `/{log}/topics`.
    #[must_use]
    pub fn topics(&self) -> Vec<LogTopics> {
        let own = match &self.logs.instead {
            Some(public) => public.topics(),
            None => self.topics.descriptions(),
        };
        let upstreams = self.policies.upstreams();
        let followed = upstreams.map(|upstream| (upstream, self.policies.topics_of(upstream)));
        let own = LogTopics::new(self.name.clone(), own).following(followed);
        let beside = self.logs.beside.iter();
        let beside =
            beside.map(|(name, log)| LogTopics::new(format!("{}/{name}", self.name), log.topics()));
        std::iter::once(own).chain(beside).collect()
    }

    /// What is declared of the logs that it publishes.
    pub(crate) const fn declared_logs(&self) -> &Logs {
        &self.logs
    }

    /// The boxes that it follows, in the order in which they are first named.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.policies.upstreams()
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            topics: self.topics,
            policies: self.policies,
            routes: self.routes,
            described: self.described,
            logs: self.logs,
            snapshots: self.snapshots,
        }
    }
}

// Written out: a router has much to print, and none of it helps.
impl fmt::Debug for BoundedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedContext")
            .field("name", &self.name)
            .field("topics", &self.topics)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

/// What the kit serves below the path of a log, or will.
pub(crate) const TAKEN: [&str; 23] = [
    "/notifications",
    "/notifications/{page}",
    "/notifications/{epoch}/{page}",
    "/notifications/{page}/seal",
    "/notifications/{epoch}/{page}/seal",
    "/atom",
    "/atom/{page}",
    "/atom/{epoch}/{page}",
    "/notifications/keys",
    "/notifications/log",
    "/notifications/stream",
    "/notifications/feed",
    "/notifications/export",
    "/compat/eventsourcing-1/{log}/{section}",
    "/compat/eventsourcing-8/{section}",
    "/compat/eventsourcing-9",
    "/compat/eventsourcing-9/{section}",
    "/compat/iddd/notifications",
    "/compat/iddd/notifications/{page}",
    "/openapi.json",
    "/asyncapi.json",
    "/topics",
    "/values/{sha256}",
];

/// The paths of the kit that the routes have as well: one of theirs would hide the log for some method.
fn taken_routes(routes: &Router<App>, logs: &Logs) -> impl Iterator<Item = String> {
    let below = |log: &str| TAKEN.map(|path| format!("{log}{path}"));
    let beside = logs.beside.iter().map(|(log, _)| format!("/{log}"));
    let paths = std::iter::once(String::new())
        .chain(beside)
        .flat_map(move |log| below(&log));
    paths.filter(move |path| has_route(routes, path))
}

/// Whether there is a route at this path for any method. Axum does not tell, and would not mind another one for other
/// methods: so a route is tried that goes with no other one, at which it panics.
fn has_route(routes: &Router<App>, path: &str) -> bool {
    let methods = get(nothing)
        .head(nothing)
        .post(nothing)
        .put(nothing)
        .patch(nothing);
    let probe = methods
        .delete(nothing)
        .options(nothing)
        .trace(nothing)
        .connect(nothing)
        .fallback(nothing);
    let routes = routes.clone();
    or_panic(|| drop(routes.route(path, probe))).is_err()
}

async fn nothing() {}

fn check_name(name: &str, mistakes: &mut Vec<String>) {
    if !is_box_name(name) {
        let shown: String = name.chars().take(80).collect();
        mistakes.push(format!("`{shown}` is no name of a box: a lower-case letter, then lower-case letters, digits and hyphens, at most 63"));
    }
}
