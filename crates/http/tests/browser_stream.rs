//! A browser's `EventSource` reads the stream of events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use boxes_http::{NotificationLogOptions, NotificationLogResource};
use boxes_testing::Browser;
use boxes_testing::log_fixture::SmallLog;
use futures::StreamExt;
use support::{DEADLINE, PATH, serve_router};
use tokio::sync::Notify;

/// Tells the server of each event that it sees.
const PAGE: &str = "<!doctype html><title>watch</title><script>
const source = new EventSource('/orders/notifications/stream?after=0');
source.addEventListener('orders.order.placed', event => fetch('/seen', {
    method: 'POST', body: event.lastEventId.split('@')[0] + ' ' + JSON.parse(event.data).state.n }));
</script>";

#[derive(Debug, Default)]
struct Watched {
    /// What the page has told.
    seen: Mutex<Vec<String>>,
    /// With which `Last-Event-ID` it connected.
    connected: Mutex<Vec<Option<String>>>,
    /// Cuts the stream that is open.
    cut: Notify,
}

impl Watched {
    async fn sees(&self, n_events: usize) {
        let all = async {
            while self.seen.lock().unwrap().len() < n_events {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE * 2, all).await;
        assert!(in_time.is_ok(), "{self:?}");
    }
}

async fn watch(watched: Arc<Watched>, request: Request, next: Next) -> Response {
    if !request.uri().path().ends_with("/stream") {
        return next.run(request).await;
    }
    let last = request.headers().get("last-event-id");
    let last = last.map(|id| id.to_str().unwrap().to_owned());
    watched.connected.lock().unwrap().push(last);
    let (head, body) = next.run(request).await.into_parts();
    let cut = async move { watched.cut.notified().await };
    let events = body.into_data_stream().take_until(Box::pin(cut));
    Response::from_parts(head, Body::from_stream(events))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_each_event_once_also_when_the_stream_breaks_off() {
    let log = SmallLog::with(5, 7).await;
    let watched = Arc::new(Watched::default());
    let telling = Arc::clone(&watched);
    let seen = post(move |text: String| async move { telling.seen.lock().unwrap().push(text) });
    let resource =
        NotificationLogResource::new(log.near(), NotificationLogOptions::new(PATH)).unwrap();
    let layer = Arc::clone(&watched);
    let router = Router::new()
        .route("/watch", get(async || Html(PAGE)))
        .route("/seen", seen)
        .merge(resource.into_router())
        .layer(from_fn(move |request, next| {
            watch(Arc::clone(&layer), request, next)
        }));
    let url = serve_router(router).await.join("/watch").unwrap();
    let page = tokio::task::spawn_blocking(move || Browser::new().open(url.as_str()));
    let page = page.await.unwrap();
    watched.sees(7).await;
    log.append(2).await;
    watched.sees(9).await;
    // The browser connects again by itself, and says where it was.
    watched.cut.notify_one();
    log.append(2).await;
    watched.sees(11).await;
    let mut seen = watched.seen.lock().unwrap().clone();
    // Requests of a page overtake each other.
    seen.sort_by_key(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap());
    let expected: Vec<_> = (1..=11).map(|n| format!("{n} {n}")).collect();
    assert_eq!(seen, expected);
    let connected = watched.connected.lock().unwrap().clone();
    assert_eq!(connected.len(), 2, "{connected:?}");
    assert_eq!(connected[0], None);
    let last = connected[1].as_deref().unwrap();
    // The id of a notification, with the epoch.
    let last: u64 = last.split('@').next().unwrap().parse().unwrap();
    assert!((9..=11).contains(&last), "it had seen {last}");
    tokio::task::spawn_blocking(move || drop(page))
        .await
        .unwrap();
}
