//! A reader behind what stands in its way: proxies that drop headers, logs without room, pages that are too large.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use boxes_http::{NotificationLogOptions, NotificationLogResource, RemoteOptions};
use boxes_notification_log::{LogError, NotificationLog, NotificationLogReader};
use boxes_testing::log_fixture::{SmallLog, small_event};
use support::{DEADLINE, PATH, remote_with, send, serve, serve_router};
use url::Url;

fn orders(log: &SmallLog) -> Router {
    let options = NotificationLogOptions::new(PATH);
    let resource = NotificationLogResource::new(log.near(), options);
    resource.unwrap().into_router()
}

/// The log at this address, polled twice a second where it can't be waited for.
fn followed(url: &Url) -> Arc<dyn NotificationLog> {
    let options = RemoteOptions {
        poll_interval: Duration::from_millis(500),
        ..RemoteOptions::default()
    };
    remote_with(url, options)
}

/// Serves these routes behind something, and counts what passes it.
async fn behind<F, Fut>(router: Router, way: F) -> (Url, Arc<AtomicUsize>)
where
    F: Fn(Request, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response> + Send + 'static,
{
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_asked);
    let counting = from_fn(move |request: Request, next: Next| {
        counter.fetch_add(1, Ordering::SeqCst);
        way(request, next)
    });
    let url = serve_router(router.layer(counting)).await;
    (url.join(PATH).unwrap(), n_asked)
}

async fn read(reader: &mut NotificationLogReader) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let batch = reader.next_batch().await.unwrap();
        if batch.is_empty() {
            return found;
        }
        found.extend(batch.iter().map(|item| item.id));
    }
}

/// Waits for two seconds in vain, then for what is appended.
async fn waits_with_pauses(log: &SmallLog, url: &Url, n_asked: &AtomicUsize, max: usize) {
    let mut reader = NotificationLogReader::new(followed(url), None);
    let last = read(&mut reader).await.len();
    n_asked.store(0, Ordering::SeqCst);
    assert!(!reader.wait(Duration::from_secs(2)).await.unwrap());
    let n = n_asked.load(Ordering::SeqCst);
    assert!(n <= max, "asked {n} times after {last}");
    let (woken, ()) = tokio::join!(reader.wait(DEADLINE), log.append(1));
    assert!(woken.unwrap());
    assert_eq!(read(&mut reader).await, [u64::try_from(last).unwrap() + 1]);
}

#[tokio::test]
async fn behind_a_proxy_that_drops_tags_a_log_is_asked_with_pauses() {
    // Empty, in the middle of a page, and where a page is full and the next one has not begun.
    for count in [0, 3, 5] {
        let log = SmallLog::with(5, count).await;
        let (url, n_asked) = behind(orders(&log), |request: Request, next: Next| async move {
            let mut response = next.run(request).await;
            response.headers_mut().remove("etag");
            response
        })
        .await;
        waits_with_pauses(&log, &url, &n_asked, 8).await;
    }
}

#[tokio::test]
async fn behind_a_proxy_that_drops_conditions_a_log_is_asked_with_pauses() {
    for count in [0, 3, 5] {
        let log = SmallLog::with(5, count).await;
        let (url, n_asked) = behind(
            orders(&log),
            |mut request: Request, next: Next| async move {
                request.headers_mut().remove("if-none-match");
                next.run(request).await
            },
        )
        .await;
        waits_with_pauses(&log, &url, &n_asked, 8).await;
    }
}

#[tokio::test]
async fn a_current_page_that_contradicts_the_pages_is_not_followed() {
    let log = SmallLog::with(5, 3).await;
    // Another log, which is ahead.
    let other = SmallLog::with(5, 4).await;
    let current = Arc::new(
        send(
            &serve(other.near(), NotificationLogOptions::new(PATH)).await,
            "GET",
            "",
            &[],
        )
        .await
        .body,
    );
    let (url, n_asked) = behind(orders(&log), move |request: Request, next: Next| {
        let current = Arc::clone(&current);
        async move {
            if request.uri().path() == PATH {
                return ([(CONTENT_TYPE, "application/json")], current.to_vec()).into_response();
            }
            next.run(request).await
        }
    })
    .await;
    waits_with_pauses(&log, &url, &n_asked, 4).await;
}

#[tokio::test]
async fn a_log_without_room_for_those_who_wait_is_polled() {
    let log = SmallLog::with(5, 3).await;
    let is_refused = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&is_refused);
    let (url, n_asked) = behind(orders(&log), move |request: Request, next: Next| {
        let noted = Arc::clone(&noted);
        async move {
            if !request.headers().contains_key("prefer") {
                return next.run(request).await;
            }
            noted.store(true, Ordering::SeqCst);
            let headers = [
                (CONTENT_TYPE, "application/problem+json"),
                (axum::http::header::RETRY_AFTER, "5"),
            ];
            let problem = r#"{"type":"/problems/too-many-waiters"}"#;
            (StatusCode::SERVICE_UNAVAILABLE, headers, problem).into_response()
        }
    })
    .await;
    waits_with_pauses(&log, &url, &n_asked, 8).await;
    assert!(is_refused.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_page_beyond_the_bound_is_read_by_its_single_notifications() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    let page = send(&url, "GET", "/1,5", &[]).await.body.len();
    let single = send(&url, "GET", "/1", &[]).await.body.len();
    let options = |max_body_bytes: usize| RemoteOptions {
        max_body_bytes,
        poll_interval: Duration::from_millis(10),
        ..RemoteOptions::default()
    };
    assert!(single + 600 < page);
    let mut reader = NotificationLogReader::new(remote_with(&url, options(page - 1)), None);
    assert_eq!(read(&mut reader).await, (1..=13).collect::<Vec<_>>());
    for (count, expected) in [(2, 14..=15), (1, 16..=16), (9, 17..=25)] {
        assert!(!reader.wait(Duration::ZERO).await.unwrap());
        let (woken, ()) = tokio::join!(reader.wait(DEADLINE), log.append(count));
        assert!(woken.unwrap());
        assert_eq!(read(&mut reader).await, expected.collect::<Vec<_>>());
    }
    // A single one that is too large says what to do.
    let mut reader = NotificationLogReader::new(remote_with(&url, options(700)), None);
    let error = reader.next_batch().await.unwrap_err();
    assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
    assert!(error.to_string().contains("--upstream-max-body"), "{error}");
}

#[tokio::test]
async fn a_history_that_was_replaced_is_noticed_from_afar() {
    for position in [13, 15] {
        let log = SmallLog::with(5, position).await;
        let other = SmallLog::new(5).await;
        let events = 1_001..=1_000 + position + 50;
        other.append_events(events.map(small_event).collect()).await;
        let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
        let mut reader = NotificationLogReader::new(followed(&url), None);
        read(&mut reader).await;
        let at = reader.position();
        log.delete(position).await;
        log.append(2).await;
        let mut same = NotificationLogReader::new(followed(&url), at);
        assert_eq!(read(&mut same).await.len(), 2);
        let url = serve(other.near(), NotificationLogOptions::new(PATH)).await;
        let mut resumed = NotificationLogReader::new(followed(&url), at);
        let error = resumed.next_batch().await.unwrap_err();
        assert!(
            matches!(error, LogError::HistoryReplaced { id, .. } if id == position),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn links_that_name_the_public_host_are_followed_where_the_log_is_reached() {
    let log = SmallLog::with(5, 13).await;
    let options = NotificationLogOptions {
        public_base: Some("https://shop.example".parse().unwrap()),
        ..NotificationLogOptions::new(PATH)
    };
    let url = serve(log.near(), options).await;
    for navigation in [
        boxes_notification_log::Navigation::Jump,
        boxes_notification_log::Navigation::Links,
    ] {
        let mut reader =
            NotificationLogReader::new(followed(&url), None).with_navigation(navigation);
        assert_eq!(read(&mut reader).await, (1..=13).collect::<Vec<_>>());
    }
}
