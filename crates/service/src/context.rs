//! The declaration of a box.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::routing::MethodRouter;
use axum::routing::get;
use boxes_application::{App, Error, Notification, Policies};
use boxes_domain::{Aggregate, Event};
use boxes_mapper::Topics;

use crate::layers::is_box_name;

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
    mistakes: Vec<String>,
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
            mistakes,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Declares an aggregate, whose events it may then record.
    ///
    /// No two aggregates of a box share a topic.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        if let Err(error) = self.topics.register::<A::Event>() {
            self.mistakes.push(error.to_string());
        }
        self
    }

    /// Declares what it does when one of the events `E` happened in the box `upstream`.
    ///
    /// Called more than once for one upstream, the policies run in this order, in one transaction.
    pub fn follow<E, F, Fut>(mut self, upstream: impl Into<String>, policy: F) -> Self
    where
        E: Event,
        F: Fn(Notification<E>, App) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let upstream = upstream.into();
        check_name(&upstream, &mut self.mistakes);
        if upstream == self.name {
            self.mistakes.push(
                "it follows itself, and would answer its own answers: react in the command"
                    .to_owned(),
            );
        }
        self.policies.follow(upstream, policy);
        self
    }

    /// Adds routes, whose paths begin with the name of the box: `/books/{id}` of the box `library` is served
    /// at `/library/books/{id}`.
    ///
    /// `/notifications`, `/compat` and what is below them, `/openapi.json` and `/asyncapi.json` are taken.
    pub fn routes(mut self, routes: impl FnOnce() -> Router<App>) -> Self {
        self.routes = self.routes.merge(routes());
        self
    }

    /// Adds one route: as [`routes`](Self::routes), for a box that has few.
    pub fn route(mut self, path: &str, methods: MethodRouter<App>) -> Self {
        self.routes = self.routes.route(path, methods);
        self
    }

    /// What can be told from the declaration alone to be wrong.
    pub(crate) fn mistakes(&self) -> impl Iterator<Item = String> {
        let taken = taken_routes(&self.routes)
            .map(|path| format!("its route `{path}` is taken by the kit"));
        let mistakes = self.mistakes.iter().cloned().chain(taken);
        mistakes.map(|mistake| format!("the box `{}` can't run: {mistake}", self.name))
    }

    /// The boxes that it follows, in the order in which they are first named.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.policies.upstreams()
    }

    pub(crate) fn into_parts(self) -> (Topics, Policies, Router<App>) {
        (self.topics, self.policies, self.routes)
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

/// What the kit serves below the path of a box, or will.
const TAKEN: [&str; 10] = [
    "/notifications",
    "/notifications/{page}",
    "/notifications/log",
    "/notifications/stream",
    "/notifications/feed",
    "/compat/eventsourcing-8/{section}",
    "/compat/eventsourcing-9",
    "/compat/eventsourcing-9/{section}",
    "/openapi.json",
    "/asyncapi.json",
];

/// The paths of the kit that the routes have as well. One of theirs would hide the log for some method, and
/// axum would not mind: so each is tried with a route that goes with no other one, at which it panics.
fn taken_routes(routes: &Router<App>) -> impl Iterator<Item = &'static str> {
    let probe = || {
        let methods = get(nothing)
            .head(nothing)
            .post(nothing)
            .put(nothing)
            .patch(nothing);
        methods
            .delete(nothing)
            .options(nothing)
            .trace(nothing)
            .connect(nothing)
            .fallback(nothing)
    };
    TAKEN.into_iter().filter(move |path| {
        let routes = routes.clone();
        catch_unwind(AssertUnwindSafe(|| drop(routes.route(path, probe())))).is_err()
    })
}

async fn nothing() {}

fn check_name(name: &str, mistakes: &mut Vec<String>) {
    if !is_box_name(name) {
        let shown: String = name.chars().take(80).collect();
        mistakes.push(format!("`{shown}` is no name of a box: a lower-case letter, then lower-case letters, digits and hyphens, at most 63"));
    }
}
