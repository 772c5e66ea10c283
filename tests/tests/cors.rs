//! A script of another origin, in a real browser: it reads and commands a box that lets its origin in, and no other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxes::axum::response::Html;
use boxes::prelude::*;
use boxes::service::{Config, CorsOrigin, Running, Service, Stopped, Store};
use boxes_testing::Browser;
use boxes_tests::{DEADLINE, Entries, write_entries};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A page that reads two boxes and tells its own server what it gets to see.
const PAGE: &str = r#"<!doctype html><title>shop</title><script>
const tell = (what) => fetch("/told", { method: "POST", body: what });
for (const [name, base] of Object.entries(BOXES)) {
    const log = base + "/archive/notifications";
    const stream = new EventSource(log + "/stream?after=0");
    stream.addEventListener("archive.entry.written", (event) => tell(`${name} event ${event.lastEventId.split("@")[0]}`));
    stream.onerror = () => { stream.close(); tell(`${name} stream refused`); };
    fetch(log, { headers: { "If-None-Match": '"none"', Prefer: "wait=0" } }).then(
        (page) => tell(`${name} page ${page.status} ${page.headers.has("etag")} ${page.headers.has("link")}`),
        () => tell(`${name} page refused`));
    // As a form is sent: without a question beforehand, and without seeing the answer.
    fetch(base + "/archive/ring", { method: "POST", mode: "no-cors" }).then(() => tell(`${name} rung`));
}
</script>"#;

/// The server of the page, on an origin of its own; and what the page tells it.
async fn serve_page(
    listener: TcpListener,
    boxes: [(&str, &Running); 2],
) -> UnboundedReceiver<String> {
    let boxes = boxes.map(|(name, running)| format!("{name}: '{}'", running.base_url()));
    let page = PAGE.replace("BOXES", &format!("{{ {} }}", boxes.join(", ")));
    let (tell, told) = unbounded_channel();
    let take = |State(tell): State<UnboundedSender<String>>, what: String| async move {
        tell.send(what).unwrap();
    };
    let router = Router::new()
        .route("/", get(async || Html(page)))
        .route("/told", post(take))
        .with_state(tell);
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    told
}

async fn archive(cors_origins: Vec<CorsOrigin>, n_rings: &Arc<AtomicUsize>) -> Running {
    let config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        stores: [("archive".to_owned(), Store::Memory)].into(),
        cors_origins,
        ..Config::default()
    };
    let n_rings = Arc::clone(n_rings);
    let ring = async move || {
        n_rings.fetch_add(1, Ordering::SeqCst);
        StatusCode::NO_CONTENT
    };
    let archive = BoundedContext::new("archive")
        .aggregate::<Entries>()
        .route("/ring", post(ring));
    let running = Service::start([archive], config).await.unwrap();
    write_entries(&running, 2).await;
    running
}

#[tokio::test]
async fn a_script_reads_and_commands_a_box_that_lets_its_origin_in_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (n_open, n_closed) = (Arc::default(), Arc::default());
    let open = archive(vec![origin.parse().unwrap()], &n_open).await;
    let closed = archive(vec!["https://shop.example".parse().unwrap()], &n_closed).await;
    let mut told = serve_page(listener, [("open", &open), ("closed", &closed)]).await;

    let page = Browser::new().open(&origin);
    let mut heard = Vec::new();
    let mut wait_for = async |expected: &[&str]| {
        let listening = async {
            while !expected
                .iter()
                .all(|what| heard.iter().any(|told| told == what))
            {
                heard.push(told.recv().await.unwrap());
            }
        };
        let waited = tokio::time::timeout(DEADLINE, listening).await;
        assert!(waited.is_ok(), "the page told no more than {heard:?}");
    };
    wait_for(&[
        "open event 1",
        "open event 2",
        "open page 200 true true",
        "closed stream refused",
        "closed page refused",
        "open rung",
        "closed rung",
    ])
    .await;
    let n_rings = [n_open, n_closed].map(|n| n.load(Ordering::SeqCst));
    assert_eq!(
        n_rings,
        [1, 0],
        "the route runs for the one, and not for the other"
    );
    write_entries(&open, 1).await;
    wait_for(&["open event 3"]).await;
    assert!(
        heard
            .iter()
            .all(|told| !told.starts_with("closed event") && told != "open stream refused"),
        "{heard:?}"
    );
    drop(page);
    assert_eq!(open.shutdown().await, Stopped::Drained);
    assert_eq!(closed.shutdown().await, Stopped::Drained);
}
