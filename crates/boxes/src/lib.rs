//! Event-sourced bounded contexts that publish their own events as a notification log.
//!
//! A *box* decides what its commands mean (an [`Aggregate`]), reacts to what happened in other boxes (policies),
//! and answers over HTTP (routes). What it records is its own notification log, from which the others learn of
//! it, in one process or as services: nothing in a box changes between the two.
//!
//! ```no_run
//! use boxes::prelude::*;
//!
//! #[derive(Event, Debug, Clone, Serialize, Deserialize)]
//! #[event(topic = "library.book")]
//! enum BookEvent {
//!     Lent { reader: String },
//!     Returned,
//! }
//!
//! #[derive(Default, Clone)]
//! struct Book {
//!     reader: Option<String>,
//! }
//!
//! impl Aggregate for Book {
//!     type Event = BookEvent;
//!
//!     fn apply(&mut self, event: &BookEvent) {
//!         self.reader = match event {
//!             BookEvent::Lent { reader } => Some(reader.clone()),
//!             BookEvent::Returned => None,
//!         };
//!     }
//! }
//!
//! impl Book {
//!     fn give_back(&self) -> Option<BookEvent> {
//!         self.reader.as_ref().map(|_| BookEvent::Returned)
//!     }
//! }
//!
//! async fn give_back(State(app): State<App>, Path(id): Path<Id<Book>>) -> Result<StatusCode, Problem> {
//!     app.update(id, Book::give_back).await?;
//!     Ok(StatusCode::NO_CONTENT)
//! }
//!
//! #[tokio::main]
//! async fn main() -> boxes::Result {
//!     let library = BoundedContext::new("library")
//!         .aggregate::<Book>()
//!         .routes(|| Router::new().route("/books/{id}/return", post(give_back)));
//!     boxes::run([library]).await
//! }
//! ```
//!
//! A crate of a box needs this crate, `serde`, and for its `main` `tokio`. The [`prelude`] has what a box uses;
//! the modules are the kit's crates, one for each station of the data's way: [`domain`] → [`mapper`] →
//! [`recorder`] → [`notification_log`] → [`http`] → [`application`], and [`service`] around them; [`integrity`] seals and
//! verifies logs.
//!
//! # Features
//!
//! - `sqlite` (default): boxes may keep their events in SQLite files.
//! - `postgres`: boxes may keep their events in PostgreSQL databases, named by a URL.
//! - `mysql`: boxes may keep their events in MySQL or MariaDB databases, named by a URL.
//! - `decimal`: decimal numbers have a name among [value types](domain::ValueType), and are those of the crate `rust_decimal`.

pub use boxes_application as application;
pub use boxes_domain as domain;
pub use boxes_http as http;
pub use boxes_integrity as integrity;
pub use boxes_mapper as mapper;
pub use boxes_notification_log as notification_log;
pub use boxes_recorder as recorder;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use boxes_recorder_sqlx as recorder_sqlx;
pub use boxes_service as service;

pub use axum;

#[doc(hidden)]
pub use boxes_domain::state_schema;
pub use boxes_domain::{
    Aggregate, Dynamic, Event, EventType, Id, Large, Named, Personal, Upcast, ValueType,
};
pub use boxes_service::{BoundedContext, Config, Failure, Program, Result, Service, run, serve};

/// What a box uses: `use boxes::prelude::*;`.
pub mod prelude {
    pub use axum::Router;
    pub use axum::extract::{Query, State};
    pub use axum::http::StatusCode;
    pub use axum::response::IntoResponse;
    pub use axum::routing::{delete, get, patch, post, put};
    pub use serde::{Deserialize, Serialize};

    pub use boxes_application::{
        App, Committed, Error, Notification, PublicLog, Recorded, RecordedEvent, SnapshotEvery,
    };
    pub use boxes_domain::{Aggregate, Decision, Event, Id, Large, Personal, Rejection};
    pub use boxes_recorder::StreamRange;
    pub use boxes_service::{BoundedContext, Json, Path, Problem, whole_number};
}

/// The example of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../boxes/README.md")]
struct ABoxInSixSteps;
