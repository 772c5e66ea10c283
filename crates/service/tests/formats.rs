//! Boxes that write their events in other formats than JSON: what is in their pages, and who reads it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_application::{App, Error, Notification};
use boxes_domain::{Aggregate, Event, Id};
use boxes_mapper::{Content, ContentReader, Transcoder, TranscoderError};
use boxes_service::{
    BoundedContext, Config, Json, Problem, Running, Service, StartError, StateFormat, Store,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "notes.note", crate = "boxes_domain")]
enum NoteEvent {
    Written { text: String },
}

#[derive(Default, Clone)]
struct Note {
    texts: Vec<String>,
}

impl Aggregate for Note {
    type Event = NoteEvent;
    fn apply(&mut self, NoteEvent::Written { text }: &NoteEvent) {
        self.texts.push(text.clone());
    }
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "echoes.note", crate = "boxes_domain")]
enum EchoEvent {
    Heard { text: String },
}

#[derive(Default, Clone)]
struct Echo {
    texts: Vec<String>,
}

impl Aggregate for Echo {
    type Event = EchoEvent;
    fn apply(&mut self, EchoEvent::Heard { text }: &EchoEvent) {
        self.texts.push(text.clone());
    }
}

async fn write(State(app): State<App>, Json(text): Json<String>) -> Result<(), Problem> {
    let write = |_: &Note| NoteEvent::Written { text: text.clone() };
    app.upsert(Id::<Note>::named("note"), write).await?;
    Ok(())
}

async fn read(State(app): State<App>) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(app.get(Id::<Note>::named("note")).await?.texts))
}

async fn on_note(n: Notification<NoteEvent>, app: App) -> Result<(), Error> {
    let NoteEvent::Written { text } = n.event;
    let hear = |_: &Echo| EchoEvent::Heard { text: text.clone() };
    app.upsert(Id::<Echo>::named("note"), hear).await?;
    Ok(())
}

async fn heard(State(app): State<App>) -> Result<Json<Vec<String>>, Problem> {
    match app.get(Id::<Echo>::named("note")).await {
        Err(Error::NotFound { .. }) => Ok(Json(Vec::new())),
        echo => Ok(Json(echo?.texts)),
    }
}

fn notes() -> BoundedContext {
    BoundedContext::new("notes")
        .aggregate::<Note>()
        .route("/note", post(write).get(read))
}

fn echoes() -> BoundedContext {
    BoundedContext::new("echoes")
        .aggregate::<Echo>()
        .follow("notes", on_note)
        .route("/heard", get(heard))
}

/// A format of the user's own: the letters of JSON, turned by 13 places.
#[derive(Debug)]
struct Turned;

fn turn(bytes: &[u8]) -> Vec<u8> {
    let turn = |&byte: &u8| match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        _ => byte,
    };
    bytes.iter().map(turn).collect()
}

impl Transcoder for Turned {
    fn mark(&self) -> &'static str {
        "turned"
    }

    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
        Ok(turn(&serde_json::to_vec(content)?))
    }

    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
        reader.read(&mut serde_json::Deserializer::from_slice(&turn(state)))
    }
}

/// A service whose boxes keep their events in `data`, and poll often.
async fn start(
    context: BoundedContext,
    data: &TempDir,
    change: impl FnOnce(&mut Config),
) -> Result<Running, StartError> {
    boxes_http::install_crypto_provider();
    let mut config = Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        data: data.path().to_owned(),
        ..Config::default()
    };
    change(&mut config);
    Service::start([context], config).await
}

fn in_format(name: &str, format: StateFormat) -> impl FnOnce(&mut Config) {
    let formats = [(name.to_owned(), format)].into();
    move |config| config.formats = formats
}

async fn write_note(running: &Running, text: &str) {
    let url = format!("{}/notes/note", running.base_url());
    let client = reqwest::Client::builder().timeout(DEADLINE);
    let request = client.build().unwrap().post(url);
    let request = request.header("content-type", "application/json");
    let answer = request.body(json!(text).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn look(running: &Running, path: &str) -> Value {
    let url = format!("{}{path}", running.base_url());
    let answer = reqwest::get(url).await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// State and encoding of each item in the current page.
async fn page(running: &Running) -> Vec<(Value, Value)> {
    let page = look(running, "/notes/notifications").await;
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| (item["state"].clone(), item["content_encoding"].clone()))
        .collect()
}

async fn hears(running: &Running, texts: &[&str]) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let heard = look(running, "/echoes/heard").await;
        if heard == json!(texts) {
            return;
        }
        assert!(Instant::now() < deadline, "it has heard {heard}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_box_changes_its_format_and_its_pages_carry_both_for_those_that_follow() {
    let (data, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let running = start(notes(), &data, |_| {}).await.unwrap();
    write_note(&running, "first").await;
    running.shutdown().await;

    let told = in_format("", StateFormat::MessagePack);
    let running = start(notes(), &data, told).await.unwrap();
    write_note(&running, "second").await;
    let second = STANDARD.encode(b"\x81\xa4text\xa6second");
    assert_eq!(
        page(&running).await,
        [
            (json!({ "text": "first" }), Value::Null),
            (json!(second), json!("messagepack"))
        ]
    );
    assert_eq!(
        look(&running, "/notes/note").await,
        json!(["first", "second"])
    );

    // Nothing was said to the follower, in another service.
    let log = format!("{}/notes/notifications", running.base_url());
    let follower = start(echoes(), &elsewhere, |config| {
        config.follow = [("notes".to_owned(), log.parse().unwrap())].into();
    });
    let follower = follower.await.unwrap();
    hears(&follower, &["first", "second"]).await;
    follower.shutdown().await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_box_declares_a_format_of_its_own_and_the_program_may_be_told_another() {
    let (data, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let declared = || notes().transcoder(Turned);
    let running = start(declared(), &data, |_| {}).await.unwrap();
    write_note(&running, "abc").await;
    running.shutdown().await;

    let told = in_format("notes", StateFormat::Json);
    let running = start(declared(), &data, told).await.unwrap();
    write_note(&running, "abc").await;
    let turned = STANDARD.encode(br#"{"grkg":"nop"}"#);
    assert_eq!(
        page(&running).await,
        [
            (json!(turned), json!("turned")),
            (json!({ "text": "abc" }), Value::Null)
        ]
    );

    // A follower has to declare that it reads the format; otherwise it says what it lacks.
    let log = format!("{}/notes/notifications", running.base_url());
    let follow = |config: &mut Config| {
        config.follow = [("notes".to_owned(), log.parse().unwrap())].into();
        config.stores = [("echoes".to_owned(), Store::Memory)].into();
    };
    let follower = start(echoes(), &elsewhere, follow).await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !look(&follower, "/readyz")
        .await
        .to_string()
        .contains("encoded as `turned`")
    {
        assert!(Instant::now() < deadline, "it does not say what it lacks");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follower.shutdown().await;

    let follower = start(echoes().reads(Turned), &elsewhere, follow);
    let follower = follower.await.unwrap();
    hears(&follower, &["abc", "abc"]).await;
    follower.shutdown().await;
    running.shutdown().await;
}

#[derive(Debug)]
struct CallsItselfJson;

impl Transcoder for CallsItselfJson {
    fn mark(&self) -> &'static str {
        "json"
    }

    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
        Turned.encode(content)
    }

    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
        Turned.decode(state, reader)
    }
}

#[tokio::test]
async fn a_format_that_can_not_be_used_is_refused_at_the_start() {
    let data = TempDir::new().unwrap();
    let wrong = notes().transcoder(CallsItselfJson);
    let error = start(wrong, &data, |_| {}).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the box `notes` can't run: `json` can't be the mark"),
        "{error}"
    );
    let told = in_format("nots", StateFormat::Json);
    let error = start(notes(), &data, told).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no box `nots` in --format"),
        "{error}"
    );
}
