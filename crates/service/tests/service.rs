//! Services as their clients and operators see them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::routing::{get, post};
use boxes_application::{App, Error, Notification};
use boxes_domain::{Aggregate, Event, Id};
use boxes_service::{
    BoundedContext, Config, Delivery, Failure, Json, Path, Problem, Running, Service, StartError,
    Stopped, Store, Token, Tokens,
};
use http::StatusCode;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(20);
const TOKEN: &str = "command-0123456789abcdef";
const READ_TOKEN: &str = "read-0123456789abcdef";

// Two boxes: a bell that is rung, and a counter that counts what it hears of the bell.

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bells.bell", crate = "boxes_domain")]
enum BellEvent {
    Hung,
    Rung {},
}

#[derive(Default, Clone)]
struct Bell;

impl Aggregate for Bell {
    type Event = BellEvent;
    fn apply(&mut self, _: &BellEvent) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "ears.ear", crate = "boxes_domain")]
enum EarEvent {
    Heard {},
}

#[derive(Default, Clone)]
struct Ear {
    n_heard: u64,
}

impl Aggregate for Ear {
    type Event = EarEvent;
    fn apply(&mut self, _: &EarEvent) {
        self.n_heard += 1;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it is night")]
struct Night;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bells.bell", crate = "boxes_domain")]
enum Ring {
    Rung {},
}

fn ear() -> Id<Ear> {
    Id::named("ear")
}

async fn on_ring(_: Notification<Ring>, app: App) -> Result<(), Error> {
    match app.create(ear(), EarEvent::Heard {}).await {
        Err(Error::AlreadyExists { .. }) => {
            app.update(ear(), |_: &Ear| EarEvent::Heard {}).await?;
        }
        done => drop(done?),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Hanging {
    id: Id<Bell>,
}

#[derive(Deserialize)]
struct Slowly {
    milliseconds: u64,
}

async fn hang(State(app): State<App>, Json(hanging): Json<Hanging>) -> Result<StatusCode, Problem> {
    app.create(hanging.id, BellEvent::Hung).await?;
    Ok(StatusCode::CREATED)
}

async fn ring(State(app): State<App>, Path(id): Path<Id<Bell>>) -> Result<StatusCode, Problem> {
    app.update(id, |_: &Bell| BellEvent::Rung {}).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ring_at_night(
    State(app): State<App>,
    Path(id): Path<Id<Bell>>,
) -> Result<StatusCode, Problem> {
    app.update(id, |_: &Bell| Err::<BellEvent, _>(Night))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn slow(Query(slowly): Query<Slowly>) -> StatusCode {
    tokio::time::sleep(Duration::from_millis(slowly.milliseconds)).await;
    StatusCode::NO_CONTENT
}

async fn n_heard(State(app): State<App>) -> Result<Json<u64>, Problem> {
    match app.get(ear()).await {
        Err(Error::NotFound { .. }) => Ok(Json(0)),
        heard => Ok(Json(heard?.n_heard)),
    }
}

fn bells() -> BoundedContext {
    BoundedContext::new("bells").aggregate::<Bell>().routes(|| {
        Router::new()
            .route("/bells", post(hang))
            .route("/bells/{id}/ring", post(ring))
            .route("/bells/{id}/ring-at-night", post(ring_at_night))
            .route("/slow", get(slow))
            .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
            .route(
                "/broken",
                get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "the password is 1234") }),
            )
            .route("/panic", get(panics))
    })
}

async fn panics() -> StatusCode {
    panic!("the password is 1234")
}

fn ears() -> BoundedContext {
    BoundedContext::new("ears")
        .aggregate::<Ear>()
        .follow("bells", on_ring)
        .routes(|| Router::new().route("/heard", get(n_heard)))
}

fn config() -> Config {
    let memory = |name: &str| (name.to_owned(), Store::Memory);
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [memory("bells"), memory("ears")].into(),
        poll_interval: Duration::from_millis(100),
        ..Config::default()
    }
}

fn with_tokens() -> Config {
    let token = |text| vec![Token::new(text).unwrap()];
    Config {
        tokens: Tokens::new(token(TOKEN), token(READ_TOKEN)),
        ..config()
    }
}

async fn start(config: Config) -> Running {
    Service::start([bells(), ears()], config).await.unwrap()
}

fn client() -> Client {
    // The second one to install it finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().timeout(DEADLINE).build().unwrap()
}

fn request(running: &Running, method: Method, path: &str) -> RequestBuilder {
    client().request(method, format!("{}{path}", running.base_url()))
}

async fn get_json(running: &Running, path: &str) -> Value {
    let response = request(running, Method::GET, path).send().await.unwrap();
    assert!(
        response.status().is_success(),
        "{path}: {}",
        response.status()
    );
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

async fn post_json(running: &Running, path: &str, body: &Value) -> Response {
    request(running, Method::POST, path)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

/// The problem document of an answer that has to be one.
async fn problem(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json",
        "{status}"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let document: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(document["status"], status);
    let text = |member: &str| document[member].as_str().unwrap_or_default().to_owned();
    (status, text("type"), text("detail"))
}

async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bell() -> Id<Bell> {
    Id::named("bell")
}

async fn hang_and_ring(running: &Running, n_rings: u64) {
    let app = running.app("bells").unwrap();
    app.create(bell(), BellEvent::Hung).await.unwrap();
    for _ in 0..n_rings {
        app.update(bell(), |_: &Bell| BellEvent::Rung {})
            .await
            .unwrap();
    }
}

async fn heard(running: &Running) -> u64 {
    get_json(running, "/ears/heard").await.as_u64().unwrap()
}

#[tokio::test]
async fn a_command_over_http_is_heard_in_the_other_box() {
    let running = start(config()).await;
    assert_eq!(
        post_json(&running, "/bells/bells", &json!({ "id": bell() }))
            .await
            .status(),
        201
    );
    assert_eq!(
        post_json(
            &running,
            &format!("/bells/bells/{}/ring", bell()),
            &json!({})
        )
        .await
        .status(),
        204
    );
    eventually("the ring is heard", || async { heard(&running).await == 1 }).await;
    let page = get_json(&running, "/bells/notifications").await;
    assert_eq!(page["items"][1]["topic"], "bells.bell.rung");
    assert_eq!(running.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn with_synchronous_delivery_it_has_been_heard_when_the_command_returns() {
    let running = start(Config {
        delivery: Delivery::Synchronous,
        ..config()
    })
    .await;
    hang_and_ring(&running, 3).await;
    assert_eq!(heard(&running).await, 3);
    assert_eq!(running.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn two_services_follow_each_other_over_http_each_with_the_others_token() {
    let sender = Service::start(
        [bells(), ears()],
        Config {
            serve: vec!["bells".to_owned()],
            ..with_tokens()
        },
    )
    .await
    .unwrap();
    let url = format!("{}/bells/notifications", sender.base_url())
        .parse()
        .unwrap();
    let listener = Config {
        serve: vec!["ears".to_owned()],
        follow: [("bells".to_owned(), url)].into(),
        upstream_tokens: [(String::new(), Token::new(READ_TOKEN).unwrap())].into(),
        ..config()
    };
    let listener = Service::start([bells(), ears()], listener).await.unwrap();
    hang_and_ring(&sender, 5).await;
    eventually("all rings are heard", || async {
        heard(&listener).await == 5
    })
    .await;
    let ready = get_json(&listener, "/readyz").await;
    assert_eq!(ready["followers"][0]["lag"], 0);
    assert_eq!(
        (sender.shutdown().await, listener.shutdown().await),
        (Stopped::Drained, Stopped::Drained)
    );
}

#[tokio::test]
async fn two_services_in_one_process_have_figures_of_their_own() {
    let (one, other) = (start(config()).await, start(config()).await);
    hang_and_ring(&one, 4).await;
    let figure = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
    };
    let metrics = |running: &Running| {
        let request = request(running, Method::GET, "/metrics");
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    eventually("the rings are heard", || async { heard(&one).await == 4 }).await;
    let (of_one, of_other) = (metrics(&one).await, metrics(&other).await);
    assert_eq!(
        figure(&of_one, r#"boxes_log_head{box="bells"}"#).as_deref(),
        Some("5"),
        "{of_one}"
    );
    assert_eq!(
        figure(&of_other, r#"boxes_log_head{box="bells"}"#).as_deref(),
        Some("0"),
        "{of_other}"
    );
    assert_eq!(
        figure(&of_one, r#"boxes_events_appended_total{box="ears"}"#).as_deref(),
        Some("4")
    );
    let heard = r#"boxes_http_requests_total{route="/ears/heard",method="GET",status="200"}"#;
    assert!(
        figure(&of_one, heard).is_some() && figure(&of_other, heard).is_none(),
        "{of_one}"
    );
    for (name, value) in [("position", "5"), ("lag", "0"), ("stopped", "0")] {
        let name = format!(r#"boxes_follower_{name}{{box="ears",upstream="bells"}}"#);
        assert_eq!(figure(&of_one, &name).as_deref(), Some(value), "{of_one}");
    }
    assert_eq!(
        figure(
            &of_one,
            r#"boxes_follower_errors_total{box="ears",upstream="bells"}"#
        )
        .as_deref(),
        Some("0")
    );
}

#[tokio::test]
async fn readiness_tells_of_every_box_and_every_follower() {
    let running = start(config()).await;
    hang_and_ring(&running, 2).await;
    eventually("the follower has caught up", || async {
        get_json(&running, "/readyz").await["followers"][0]["position"] == 3
    })
    .await;
    eventually("the follower says so", || async {
        get_json(&running, "/readyz").await["followers"][0]["state"] == "following"
    })
    .await;
    assert_eq!(
        get_json(&running, "/readyz").await,
        json!({
            "status": "ready",
            "boxes": [{ "box": "bells", "store": "ok", "head": 3 }, { "box": "ears", "store": "ok", "head": 2 }],
            "followers": [{ "box": "ears", "upstream": "bells", "state": "following", "position": 3, "lag": 0, "failures": 0 }],
        })
    );
    assert_eq!(
        request(&running, Method::GET, "/healthz")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "ok\n"
    );
}

#[tokio::test]
async fn a_follower_that_is_held_up_is_told_with_its_error_and_the_service_stays_ready() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = Config {
        serve: vec!["ears".to_owned()],
        follow: [(
            "bells".to_owned(),
            format!("http://{nowhere}/bells/notifications")
                .parse()
                .unwrap(),
        )]
        .into(),
        ..with_tokens()
    };
    let running = start(config).await;
    let ready = |token: Option<&'static str>| {
        let request = request(&running, Method::GET, "/readyz");
        let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
        async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).unwrap()
        }
    };
    eventually("the follower retries", || async {
        ready(None).await["status"] == "degraded"
    })
    .await;
    assert_eq!(
        ready(None).await,
        json!({ "status": "degraded" }),
        "what is in the way is not for everyone"
    );
    let told = ready(Some(READ_TOKEN)).await;
    assert_eq!(told["followers"][0]["state"], "retrying");
    eventually("the error is told", || async {
        ready(Some(READ_TOKEN)).await["followers"][0]["error"].is_string()
    })
    .await;
    assert_eq!(running.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn a_request_that_took_too_long_says_whose_fault_it_was() {
    let running = start(Config {
        request_timeout: Duration::from_millis(100),
        ..config()
    })
    .await;
    let slow = request(&running, Method::GET, "/bells/slow?milliseconds=60000");
    let slow = slow.send().await.unwrap();
    assert_eq!(slow.status(), 504);
    // A client that obeyed would do it twice.
    assert!(!slow.headers().contains_key("retry-after"));
    let slow: Value = serde_json::from_slice(&slow.bytes().await.unwrap()).unwrap();
    let detail = slow["detail"].as_str().unwrap();
    assert!(detail.contains("may be recorded"), "{detail}");

    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    let head = "POST /bells/bells HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("connection: close") && answer.contains("slow-body"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_id_of_a_client_is_taken_over_if_it_is_short_and_plain() {
    let running = start(config()).await;
    let answered = async |ids: &[&str]| {
        let asked = request(&running, Method::GET, "/bells/teapot");
        let asked = ids
            .iter()
            .fold(asked, |asked, id| asked.header("x-request-id", *id));
        let answer = asked.send().await.unwrap();
        answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(answered(&["req-1.a_b:c/d"]).await, "req-1.a_b:c/d");
    let long = "x".repeat(129);
    for ids in [
        &[&*long][..],
        &["a b"],
        &["\"quoted\""],
        &["one", "two"],
        &[""],
    ] {
        let id = answered(ids).await;
        assert!(id.parse::<uuid::Uuid>().is_ok(), "{ids:?}: {id}");
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_command_to_its_events_and_to_those_that_follow_from_them() {
    let running = start(config()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let hang = request(&running, Method::POST, "/bells/bells")
        .header("content-type", "application/json")
        .header("traceparent", "00-no-trace-01")
        .body(format!("{{\"id\":\"{}\"}}", bell()));
    assert_eq!(hang.send().await.unwrap().status(), 201);
    let ring = format!("/bells/bells/{}/ring", bell());
    let ring = request(&running, Method::POST, &ring).header("traceparent", trace);
    assert_eq!(ring.send().await.unwrap().status(), 204);
    let traces = async |log: &str| {
        let page = get_json(&running, &format!("/{log}/notifications")).await;
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["metadata"]["traceparent"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(traces("bells").await, [Value::Null, json!(trace)]);
    eventually("the ear has heard it", || async {
        traces("ears").await == [json!(trace)]
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_counted() {
    let running = start(config()).await;
    let mut leaving = TcpStream::connect(running.address()).await.unwrap();
    let head = "GET /bells/slow?milliseconds=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    leaving.write_all(head.as_bytes()).await.unwrap();
    let figures = async || {
        let figures = request(&running, Method::GET, "/metrics")
            .send()
            .await
            .unwrap();
        figures.text().await.unwrap()
    };
    let begun = || async {
        figures()
            .await
            .contains("\nboxes_http_requests_under_way 2\n")
    };
    eventually("it is under way", begun).await;
    drop(leaving);
    let counted = || async { figures().await.contains("status=\"499\"") };
    eventually("it is counted", counted).await;
}

#[tokio::test]
async fn a_command_is_an_object_and_no_array() {
    let running = start(config()).await;
    let post = async |body: String| {
        let asked = request(&running, Method::POST, "/bells/bells");
        let asked = asked.header("content-type", "application/json").body(body);
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(format!("[\"{}\"]", bell())).await, 422);
    assert_eq!(post(format!("{{\"id\":\"{}\"}}", bell())).await, 201);
}

#[tokio::test]
async fn a_request_that_is_half_sent_does_not_take_the_time_that_others_have_to_finish() {
    let running = start(Config {
        shutdown_timeout: Duration::from_secs(600),
        ..config()
    })
    .await;
    let send = async |head: &str| {
        let mut stream = TcpStream::connect(running.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let half_sent = [
        "GET /bells/not",
        "POST /bells/bells HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        "",
    ];
    let mut held = Vec::new();
    for head in half_sent {
        held.push(send(head).await);
    }
    // One that is worked on is finished.
    let mut slow =
        send("GET /bells/slow?milliseconds=2000 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    eventually("both requests are under way", || async {
        let figures = request(&running, Method::GET, "/metrics")
            .send()
            .await
            .unwrap();
        let figures = figures.text().await.unwrap();
        figures.contains("\nboxes_http_requests_under_way 3\n")
    })
    .await;
    let stopped = tokio::time::timeout(DEADLINE, running.shutdown()).await;
    assert_eq!(stopped.unwrap(), Stopped::Drained);
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn every_error_that_a_client_can_get_is_a_problem_document() {
    let running = start(Config {
        max_body: 1024,
        request_timeout: Duration::from_millis(100),
        ..config()
    })
    .await;
    hang_and_ring(&running, 0).await;
    let (id, unknown) = (bell(), Id::<Bell>::named("unknown"));
    let get = |path: &str| request(&running, Method::GET, path);
    let json = |path: &str, body: String| {
        request(&running, Method::POST, path)
            .header("content-type", "application/json")
            .body(body)
    };
    let cases: Vec<(RequestBuilder, u16, &str, &str)> = vec![
        (get("/nowhere"), 404, "unknown-path", ""),
        (get("/bells/nowhere"), 404, "unknown-path", ""),
        (get("/bells/bells"), 405, "method-not-allowed", ""),
        (
            request(&running, Method::POST, "/healthz"),
            405,
            "method-not-allowed",
            "",
        ),
        (
            request(&running, Method::DELETE, "/bells/notifications"),
            405,
            "method-not-allowed",
            "",
        ),
        (get("/bells/notifications/1,7"), 400, "wrong-page-size", ""),
        (
            get("/bells/slow?milliseconds=x"),
            400,
            "malformed-request",
            "milliseconds",
        ),
        (
            json("/bells/bells", "{".to_owned()),
            400,
            "malformed-request",
            "line 1",
        ),
        (
            json("/bells/bells", "{}".to_owned()),
            422,
            "unexpected-body",
            "`id`",
        ),
        (
            json("/bells/bells", format!("\"{}\"", "x".repeat(2000))),
            413,
            "body-too-large",
            "",
        ),
        (
            request(&running, Method::POST, "/bells/bells").body("{}"),
            415,
            "unsupported-media-type",
            "application/json",
        ),
        (
            json("/bells/bells/7/ring", String::new()),
            400,
            "malformed-request",
            "UUID",
        ),
        (
            json(&format!("/bells/bells/{unknown}/ring"), String::new()),
            404,
            "not-found",
            "does not exist",
        ),
        (
            json("/bells/bells", format!(r#"{{"id":"{id}"}}"#)),
            409,
            "already-exists",
            "exists already",
        ),
        (
            json(&format!("/bells/bells/{id}/ring-at-night"), String::new()),
            422,
            "rejected",
            "it is night",
        ),
        (get("/bells/broken"), 500, "internal", ""),
        (get("/bells/panic"), 500, "internal", "log"),
        (
            get("/bells/slow?milliseconds=60000"),
            504,
            "timed-out",
            "0.1 s",
        ),
    ];
    for (request, status, slug, part) in cases {
        let response = request.send().await.unwrap();
        let path = response.url().path().to_owned();
        if status == 405 {
            assert!(!response.headers()["allow"].is_empty(), "{path}");
        }
        let (found, kind, detail) = problem(response).await;
        assert_eq!(
            (found, kind),
            (status, format!("/problems/{slug}")),
            "{path}"
        );
        assert!(
            detail.contains(part) && !detail.contains("1234"),
            "{path}: {detail}"
        );
        assert!(get_json(&running, &format!("/problems/{slug}")).await["advice"].is_string());
    }
    let response = get("/bells/teapot").send().await.unwrap();
    assert_eq!(
        problem(response).await,
        (418, "about:blank".to_owned(), String::new())
    );
}

#[tokio::test]
async fn who_has_no_token_is_refused_and_who_may_only_read_can_not_command() {
    let running = start(with_tokens()).await;
    let send = |method: Method, path: &str, authorization: Option<&str>| {
        let request = request(&running, method, path);
        let request = authorization.into_iter().fold(request, |request, value| {
            request.header("authorization", value)
        });
        async move { request.send().await.unwrap() }
    };
    let (read, command) = (format!("Bearer {READ_TOKEN}"), format!("bearer {TOKEN}"));
    for path in [
        "/",
        "/metrics",
        "/bells/notifications",
        "/bells/notifications/1,20",
        "/bells/notifications/log",
        "/ears/heard",
    ] {
        for wrong in [
            None,
            Some("Bearer "),
            Some("Bearer wrong-0123456789abcdef"),
            Some("Basic cmVhZA=="),
            Some(READ_TOKEN),
        ] {
            let response = send(Method::GET, path, wrong).await;
            assert!(
                response.headers()["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Bearer realm="),
                "{path}"
            );
            let (status, kind, _) = problem(response).await;
            assert_eq!(
                (status, kind.as_str()),
                (401, "/problems/unauthenticated"),
                "{path} {wrong:?}"
            );
        }
    }
    for path in ["/", "/metrics", "/bells/notifications", "/ears/heard"] {
        assert_eq!(
            send(Method::GET, path, Some(&read)).await.status(),
            200,
            "{path}"
        );
        assert_eq!(
            send(Method::HEAD, path, Some(&command)).await.status(),
            200,
            "{path}"
        );
    }
    for path in [
        "/healthz",
        "/readyz",
        "/problems",
        "/problems/unauthenticated",
    ] {
        assert_eq!(
            send(Method::GET, path, None).await.status(),
            200,
            "{path} is open"
        );
    }
    let ring = format!("/bells/bells/{}/ring", bell());
    let response = send(Method::POST, &ring, Some(&read)).await;
    assert!(
        response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .contains("insufficient_scope")
    );
    assert_eq!(problem(response).await.0, 403);
    assert_eq!(problem(send(Method::POST, &ring, None).await).await.0, 401);
    assert_eq!(
        problem(send(Method::POST, &ring, Some(&command)).await)
            .await
            .0,
        404,
        "it got through to the box"
    );
    let page = send(Method::GET, "/bells/notifications", Some(&read)).await;
    assert!(
        !page.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("public")
    );
}

#[tokio::test]
async fn the_index_lists_the_boxes_under_the_public_base() {
    let running = start(Config {
        public_url: Some("https://shop.example/boxes/".parse().unwrap()),
        ..config()
    })
    .await;
    let index = get_json(&running, "/").await;
    assert_eq!(
        index["boxes"][1],
        json!({
            "box": "ears",
            "url": "https://shop.example/boxes/ears",
            "notifications": "https://shop.example/boxes/ears/notifications",
            "logs": [{
                "log": "ears",
                "notifications": "https://shop.example/boxes/ears/notifications",
                "description": "https://shop.example/boxes/ears/notifications/log",
                "topics": "https://shop.example/boxes/ears/topics",
            }],
            "openapi": "https://shop.example/boxes/ears/openapi.json",
            "asyncapi": "https://shop.example/boxes/ears/asyncapi.json",
        })
    );
    let running = start(config()).await;
    assert_eq!(
        get_json(&running, "/").await["boxes"][0]["notifications"],
        "/bells/notifications"
    );
}

#[tokio::test]
async fn an_answer_bears_the_id_of_its_request() {
    let running = start(config()).await;
    let made_up = request(&running, Method::GET, "/ears/heard")
        .send()
        .await
        .unwrap();
    assert!(!made_up.headers()["x-request-id"].is_empty());
    let own = request(&running, Method::GET, "/ears/heard")
        .header("x-request-id", "mine")
        .send()
        .await
        .unwrap();
    assert_eq!(own.headers()["x-request-id"], "mine");
}

/// A box whose one route says on a channel that it has begun, and then takes its time.
fn lazy(milliseconds: u64) -> (BoundedContext, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (begun, has_begun) = tokio::sync::mpsc::unbounded_channel();
    let route = move || {
        let begun = begun.clone();
        async move {
            begun.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            StatusCode::NO_CONTENT
        }
    };
    (
        BoundedContext::new("lazy").routes(|| Router::new().route("/slow", get(route))),
        has_begun,
    )
}

async fn start_lazy(context: BoundedContext, config: Config) -> Running {
    Service::start(
        [context],
        Config {
            stores: [("lazy".to_owned(), Store::Memory)].into(),
            ..config
        },
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way_and_listens_no_more() {
    let (context, mut begun) = lazy(300);
    let running = start_lazy(context, config()).await;
    let address = running.address();
    let slow = tokio::spawn(request(&running, Method::GET, "/lazy/slow").send());
    begun.recv().await.unwrap();
    assert_eq!(running.shutdown().await, Stopped::Drained);
    assert_eq!(slow.await.unwrap().unwrap().status(), 204);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_off_what_takes_longer_than_it_may() {
    let (context, mut begun) = lazy(600_000);
    let running = start_lazy(
        context,
        Config {
            shutdown_timeout: Duration::from_millis(200),
            ..config()
        },
    )
    .await;
    let slow = tokio::spawn(request(&running, Method::GET, "/lazy/slow").send());
    begun.recv().await.unwrap();
    assert_eq!(running.shutdown().await, Stopped::CutOff);
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn shutdown_ends_who_waits_for_news() {
    let running = start(config()).await;
    let page = request(&running, Method::GET, "/bells/notifications")
        .send()
        .await
        .unwrap();
    let etag = page.headers()["etag"].to_str().unwrap().to_owned();
    let waits = request(&running, Method::GET, "/bells/notifications")
        .header("prefer", "wait=30")
        .header("if-none-match", etag);
    let waits = tokio::spawn(waits.send());
    eventually("it waits, beside the request for the figures", || async {
        let figures = request(&running, Method::GET, "/metrics");
        let figures = figures.send().await.unwrap().text().await.unwrap();
        figures.contains("\nboxes_http_requests_under_way 2\n")
    })
    .await;
    assert_eq!(running.shutdown().await, Stopped::Drained);
    assert_eq!(waits.await.unwrap().unwrap().status(), 304);
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_restart_and_is_not_heard_twice() {
    let folder = TempDir::new().unwrap();
    let config = || Config {
        stores: BTreeMap::new(),
        data: folder.path().join("new/data"),
        ..config()
    };
    let running = start(config()).await;
    hang_and_ring(&running, 3).await;
    eventually("the rings are heard", || async {
        heard(&running).await == 3
    })
    .await;
    running.shutdown().await;
    let running = start(config()).await;
    running
        .app("bells")
        .unwrap()
        .update(bell(), |_: &Bell| BellEvent::Rung {})
        .await
        .unwrap();
    eventually("the fourth is heard", || async {
        heard(&running).await >= 4
    })
    .await;
    assert_eq!(heard(&running).await, 4);
    assert_eq!(running.shutdown().await, Stopped::Drained);
}

/// What a program prints when it does not start.
fn printed(started: Result<Running, StartError>) -> String {
    format!("{:?}", Failure::from(started.unwrap_err()))
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_one_sentence() {
    let taken = start(config()).await;
    let error = Service::start(
        [bells()],
        Config {
            bind: taken.address(),
            stores: [("bells".to_owned(), Store::Memory)].into(),
            ..Config::default()
        },
    )
    .await;
    let error = printed(error);
    assert!(
        error.starts_with(&format!("can't listen at {}: ", taken.address())),
        "{error}"
    );

    let folder = TempDir::new().unwrap();
    let file = Store::Sqlite(folder.path().join("bells.db"));
    let config = |page_size: u32| Config {
        stores: [("bells".to_owned(), file.clone())].into(),
        page_size: page_size.try_into().ok(),
        bind: config().bind,
        ..Config::default()
    };
    Service::start([bells()], config(5))
        .await
        .unwrap()
        .shutdown()
        .await;
    let error = printed(Service::start([bells()], config(7)).await);
    assert!(
        error.contains("`bells`")
            && error.contains("bells.db")
            && error.contains('5')
            && error.contains('7'),
        "{error}"
    );
}

#[tokio::test]
async fn a_box_can_not_hide_its_log_behind_a_route_of_its_own() {
    let nothing = || async {};
    let routes: [(&str, axum::routing::MethodRouter<App>); 5] = [
        ("/notifications", get(nothing)),
        ("/notifications", post(nothing)),
        ("/notifications", axum::routing::any(nothing)),
        ("/notifications/{id}", get(nothing)),
        ("/openapi.json", get(nothing)),
    ];
    for (path, route) in routes {
        let hiding = BoundedContext::new("bells").routes(|| Router::new().route(path, route));
        let error = Service::start([hiding], config())
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(
            error.split(';').next().unwrap().replace("{page}", "{id}"),
            format!("the box `bells` can't run: its route `{path}` is taken by the kit")
        );
    }
    let beside = BoundedContext::new("bells").routes(|| {
        Router::new()
            .route("/{thing}", get(|| async { "thing" }))
            .route("/{thing}/{part}", get(nothing))
    });
    let config = Config {
        stores: [("bells".to_owned(), Store::Memory)].into(),
        ..config()
    };
    let running = Service::start([beside], config).await.unwrap();
    assert_eq!(
        get_json(&running, "/bells/notifications/1,20").await["id"],
        "1,20"
    );
    let thing = request(&running, Method::GET, "/bells/thing")
        .send()
        .await
        .unwrap();
    assert_eq!(thing.text().await.unwrap(), "thing");
}

#[tokio::test]
async fn a_body_bound_of_the_route_itself_is_not_widened() {
    let tight = BoundedContext::new("bells")
        .aggregate::<Bell>()
        .routes(|| Router::new().route("/bells", post(hang).layer(DefaultBodyLimit::max(10))));
    let running = Service::start(
        [tight],
        Config {
            stores: [("bells".to_owned(), Store::Memory)].into(),
            bind: config().bind,
            ..Config::default()
        },
    )
    .await
    .unwrap();
    let (status, kind, _) =
        problem(post_json(&running, "/bells/bells", &json!({ "id": bell() })).await).await;
    assert_eq!((status, kind.as_str()), (413, "/problems/body-too-large"));
}

/// For one box, in memory, with the settings of these variables.
fn alone(name: &str, variables: &[(&str, &str)]) -> Config {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config {
        stores: [(name.to_owned(), Store::Memory)].into(),
        mapper: Config::load(&boxes_service::ServeOptions::default(), variables)
            .unwrap()
            .mapper,
        ..config()
    }
}

const KEYS: &str = "2:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[tokio::test]
async fn an_encrypted_box_is_followed_over_http_by_one_that_has_the_keys_and_by_no_other() {
    let encrypted = alone(
        "bells",
        &[("BOXES_KEYS", KEYS), ("BOXES_IN_THE_CLEAR", "refuse")],
    );
    let upstream = Service::start([bells()], encrypted).await.unwrap();
    hang_and_ring(&upstream, 3).await;
    let page = get_json(&upstream, "/bells/notifications/1,20").await;
    for item in page["items"].as_array().unwrap() {
        assert_eq!(
            item["content_encoding"], "json+aes-256-gcm-siv-data-key@bells",
            "{item}"
        );
        // The number of the data key, then what no one can read.
        assert!(
            item["state"].as_str().unwrap().starts_with("AAAAA"),
            "{item}"
        );
    }
    let following = |variables: &[(&str, &str)]| {
        let url = format!("{}/bells/notifications", upstream.base_url());
        let config = Config {
            follow: [("bells".to_owned(), url.parse().unwrap())].into(),
            ..alone("ears", variables)
        };
        Service::start([ears()], config)
    };
    let with_keys = following(&[("BOXES_KEYS", KEYS), ("BOXES_ENCRYPT", "none")])
        .await
        .unwrap();
    eventually("three rings are heard", async || {
        heard(&with_keys).await == 3
    })
    .await;
    let page = get_json(&with_keys, "/ears/notifications/1,20").await;
    assert!(page["items"][0].get("content_encoding").is_none(), "{page}");

    let without = following(&[]).await.unwrap();
    eventually("it says which key it lacks", async || {
        let ready = get_json(&without, "/readyz").await.to_string();
        ready.contains("encrypted with key 1, and no keys are configured here")
    })
    .await;
    assert_eq!(heard(&without).await, 0);
    for running in [with_keys, without, upstream] {
        assert_eq!(running.shutdown().await, Stopped::Drained);
    }
}

#[tokio::test]
async fn an_encrypted_box_reads_its_own_events_again_and_those_from_before_it_was_encrypted() {
    let folder = TempDir::new().unwrap();
    let kept = |variables: &[(&str, &str)]| Config {
        stores: BTreeMap::new(),
        data: folder.path().to_owned(),
        ..alone("bells", variables)
    };
    let plain = Service::start([bells()], kept(&[])).await.unwrap();
    hang_and_ring(&plain, 1).await;
    assert_eq!(plain.shutdown().await, Stopped::Drained);
    let with_keys = [("BOXES_KEYS", KEYS), ("BOXES_ENCRYPT", "bells.bell")];
    for n_before in [2, 3] {
        let running = Service::start([bells()], kept(&with_keys)).await.unwrap();
        let app = running.app("bells").unwrap();
        assert_eq!(
            app.history(bell()).take(u64::MAX).await.unwrap().len(),
            n_before
        );
        app.update(bell(), |_: &Bell| BellEvent::Rung {})
            .await
            .unwrap();
        assert_eq!(running.shutdown().await, Stopped::Drained);
    }
    // Without keys it would write plaintext, so it has to be told.
    let refused = Service::start([bells()], kept(&[])).await.unwrap_err();
    let refused = format!("{:?}", Failure::from(refused));
    assert!(
        refused.contains("events of the log `bells` are encrypted"),
        "{refused}"
    );
    let in_the_clear = Config {
        encrypts_none: true,
        ..kept(&[])
    };
    let without = Service::start([bells()], in_the_clear).await.unwrap();
    let error = without.app("bells").unwrap().get(bell()).await.err();
    assert!(matches!(error, Some(Error::Mapper(_))), "{error:?}");
    assert_eq!(without.shutdown().await, Stopped::Drained);
}
