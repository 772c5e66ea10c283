//! What tests of who is let in share: a box of notes, and a box that follows it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, and no test needs all of them"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use boxes_application::{App, Error, Notification, PublicLog};
use boxes_domain::{Aggregate, Event, Id};
use boxes_service::{BoundedContext, Config, Json, Problem, Running, Service, StartError, Store};
use http::StatusCode;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "notes.note", crate = "boxes_domain")]
pub(crate) enum NoteEvent {
    Written { text: String },
}

#[derive(Default, Clone)]
pub(crate) struct Note;

impl Aggregate for Note {
    type Event = NoteEvent;
    fn apply(&mut self, _: &NoteEvent) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "copies.copy", crate = "boxes_domain")]
enum CopyEvent {
    Made {},
}

#[derive(Default, Clone)]
struct Copy;

impl Aggregate for Copy {
    type Event = CopyEvent;
    fn apply(&mut self, _: &CopyEvent) {}
}

async fn on_note(_: Notification<NoteEvent>, app: App) -> Result<(), Error> {
    app.upsert(Id::named("copy"), |_: &Copy| CopyEvent::Made {})
        .await?;
    Ok(())
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "notes.short", crate = "boxes_domain")]
enum Short {
    Written { n_bytes: usize },
}

fn short(notification: Notification<NoteEvent>) -> Option<Short> {
    let NoteEvent::Written { text } = notification.event;
    let n_bytes = text.len();
    Some(Short::Written { n_bytes })
}

async fn write(State(app): State<App>, Json(text): Json<String>) -> Result<StatusCode, Problem> {
    app.upsert(Id::named("note"), |_: &Note| NoteEvent::Written {
        text: text.clone(),
    })
    .await?;
    Ok(StatusCode::CREATED)
}

fn contexts() -> [BoundedContext; 2] {
    let routes = || {
        Router::new()
            .route("/notes", post(write))
            .route("/ring", post(async || StatusCode::NO_CONTENT))
            .route("/count", get(|| async { "1" }))
    };
    [
        BoundedContext::new("notes")
            .aggregate::<Note>()
            .publish("short", PublicLog::revision(1).translate(short))
            .routes(routes),
        BoundedContext::new("copies")
            .aggregate::<Copy>()
            .follow("notes", on_note),
    ]
}

/// In memory, on a free port.
pub(crate) fn config() -> Config {
    let memory = |name: &str| (name.to_owned(), Store::Memory);
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [memory("notes"), memory("copies")].into(),
        poll_interval: Duration::from_millis(100),
        ..Config::default()
    }
}

pub(crate) async fn try_start(config: Config) -> Result<Running, StartError> {
    boxes_http::install_crypto_provider();
    Service::start(contexts(), config).await
}

pub(crate) async fn start(config: Config) -> Running {
    try_start(config).await.unwrap()
}

pub(crate) async fn write_notes(running: &Running, n_notes: usize, n_bytes: usize) {
    let app = running.app("notes").unwrap();
    let text = "x".repeat(n_bytes);
    for _ in 0..n_notes {
        app.upsert(Id::named("note"), |_: &Note| NoteEvent::Written {
            text: text.clone(),
        })
        .await
        .unwrap();
    }
}

pub(crate) fn client() -> Client {
    boxes_http::install_crypto_provider();
    Client::builder().timeout(DEADLINE).build().unwrap()
}

pub(crate) fn request(running: &Running, method: Method, path: &str) -> RequestBuilder {
    client().request(method, format!("{}{path}", running.base_url()))
}

pub(crate) async fn get_with(running: &Running, path: &str, token: &str) -> Response {
    let request = request(running, Method::GET, path).bearer_auth(token);
    request.send().await.unwrap()
}

pub(crate) async fn get_without(running: &Running, path: &str) -> Response {
    request(running, Method::GET, path).send().await.unwrap()
}

/// A header of an answer; empty if it has none.
pub(crate) fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// The document of an answer that has to be a problem.
pub(crate) async fn problem(response: Response) -> Value {
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
