//! What a box is told: ids in paths, and bodies. What it accepts is in its log as it was sent.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use boxes_application::{App, AppOptions};
use boxes_domain::{Aggregate, Event, Id};
use boxes_http::{NotificationLogOptions, NotificationLogResource, unknown_path};
use boxes_mapper::Topics;
use boxes_recorder::{GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder};
use boxes_service::{Json, Path, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use uuid::Uuid;

use crate::message::Message;

pub(crate) const WORDS: &[&str] = &[
    "POST ",
    "GET ",
    "/notes",
    "/notes/00000000-0000-4000-8000-000000000001",
    "\ncontent-type: application/json\n\n",
    "{\"text\":\"",
    "\"labels\":{",
    "\"number\":",
    "\"ratio\":",
    "\"tags\":[",
    "\\u0000",
    "\\ud800",
    "\\ud83d\\ude00",
    "1e308",
    "0.1",
    "-0",
    "null",
    "true",
    "\"}",
    "]}",
];

/// An event with values of every kind that JSON has.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "notes.note", crate = "boxes_domain")]
enum NoteEvent {
    Written(Note),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
    #[serde(default)]
    labels: BTreeMap<String, Option<bool>>,
    #[serde(default)]
    number: i64,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    tags: Vec<char>,
}

impl Aggregate for Note {
    type Event = NoteEvent;

    fn apply(&mut self, NoteEvent::Written(note): &NoteEvent) {
        self.clone_from(note);
    }
}

async fn write(
    State(app): State<App>,
    Path(id): Path<Id<Note>>,
    Json(note): Json<Note>,
) -> Result<impl IntoResponse, Problem> {
    let written = app.create(id, NoteEvent::Written(note.clone())).await?;
    assert_eq!(written.events, [NoteEvent::Written(note.clone())]);
    // What is kept in memory must be what the store would give.
    let history = app.history(id).take(2).await?;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].event, NoteEvent::Written(note.clone()));
    Ok((StatusCode::CREATED, Json(note)))
}

async fn show(State(app): State<App>, Path(id): Path<Id<Note>>) -> Result<Json<Note>, Problem> {
    Ok(Json(app.get(id).await?))
}

/// `METHOD /path`, headers, and a body.
pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
    }
    let Some(message) = Message::parse(data) else {
        return;
    };
    let [method, target] = message.first[..] else {
        return;
    };
    let body = Body::from(message.body.to_vec());
    let Ok(mut request) = Request::builder().method(method).uri(target).body(body) else {
        return;
    };
    *request.headers_mut() = message.headers;
    RUNTIME.with(|runtime| runtime.block_on(answer(request)));
}

async fn answer(request: Request<Body>) {
    let router = start().await;
    let asked = router.clone().oneshot(request).await.unwrap();
    let status = asked.status();
    assert!(!status.is_server_error(), "{status}");
    let body = to_bytes(asked.into_body(), usize::MAX).await.unwrap();
    let page = Request::get("/notes/notifications")
        .body(Body::empty())
        .unwrap();
    let page = router.oneshot(page).await.unwrap();
    let page = to_bytes(page.into_body(), usize::MAX).await.unwrap();
    let page: Value = serde_json::from_slice(&page).expect("the log can be read");
    if status == StatusCode::CREATED {
        let written: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(page["items"][0]["state"], written);
    } else {
        assert_eq!(page["items"].as_array().map(Vec::len), Some(0));
    }
}

/// A box without a past.
async fn start() -> Router {
    let recorder = MemoryRecorder::new(LogIdentity {
        name: "notes".to_owned(),
        epoch: Uuid::from_u128(1),
        page_size: NonZeroU32::new(5).unwrap(),
    });
    let writer = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default());
    let mut topics = Topics::default();
    topics.register::<NoteEvent>().unwrap();
    let options = AppOptions {
        topics,
        ..AppOptions::default()
    };
    let app = App::new(writer.await.unwrap(), options);
    let log = Arc::new(app.notification_log());
    let options = NotificationLogOptions::new("/notes/notifications");
    let log = NotificationLogResource::new(log, options).unwrap();
    Router::new()
        .route("/notes/{id}", get(show).merge(post(write)))
        .with_state(app)
        .merge(log.into_router())
        .fallback(unknown_path)
}
