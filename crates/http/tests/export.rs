//! Notifications as lines of JSON: a page, and a part of the log in one answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;

use boxes_http::NotificationLogOptions;
use boxes_testing::log_fixture::{EPOCH, FailingLog, Plan, SmallLog, small_event};
use bytes::Bytes;
use serde_json::Value;
use support::{PATH, Raw, send, serve};
use url::Url;

const NDJSON: &str = "application/x-ndjson";

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

fn lines(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The body of an answer in chunks, put together; and whether its end came.
fn unchunked(raw: &Raw) -> (Vec<u8>, bool) {
    let (mut rest, mut body) = (&raw.body[..], Vec::new());
    loop {
        let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

async fn export(url: &Url, query: &str) -> Vec<u64> {
    let answer = send(url, "GET", &format!("/export{query}"), &[]).await;
    assert_eq!(answer.status, 200, "{query}");
    assert_eq!(answer.header("content-type"), Some(NDJSON));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let (body, is_whole) = unchunked(&answer);
    assert!(is_whole, "{query}");
    let lines = lines(&body);
    lines
        .iter()
        .map(|item| item["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_page_is_lines_for_those_that_ask_for_them_by_name() {
    let log = SmallLog::with(5, 12).await;
    let mut event = small_event(13);
    event.state = Bytes::from_static(b"{\r\n  \"customer\": \"ALFKI\"\n}");
    log.append_events(vec![event]).await;
    let url = served(&log).await;
    for below in ["", "/1,5", "/13"] {
        let accept = [("accept", NDJSON)];
        let answer = send(&url, "GET", below, &accept).await;
        assert_eq!(answer.header("content-type"), Some(NDJSON));
        let page = send(&url, "GET", below, &[]).await.json();
        if let Some(items) = page["items"].as_array() {
            assert_eq!(&lines(&answer.body), items, "{below}");
        } else {
            assert_eq!(lines(&answer.body)[0]["state"], page["state"]);
        }
    }
    let any = [("accept", "application/*;q=0.1, text/plain")];
    let answer = send(&url, "GET", "/1,5", &any).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_export_goes_from_one_place_to_another_or_to_the_head() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (query, expected) in [
        ("", 1..=13),
        ("?after=3", 4..=13),
        ("?after=0&until=5", 1..=5),
        ("?after=4&until=11", 5..=11),
        ("?until=99", 1..=13),
    ] {
        assert_eq!(
            export(&url, query).await,
            Vec::from_iter(expected),
            "{query}"
        );
    }
    assert_eq!(export(&url, &format!("?after=12@{EPOCH}")).await, [13]);
    for query in ["?after=13", "?after=5&until=5", "?after=5&until=2"] {
        assert_eq!(export(&url, query).await, [0; 0], "{query}");
    }
    for (query, status) in [
        ("?after=14", 409),
        ("?after=1@00000000-0000-4000-8000-000000000009", 409),
        ("?after=x", 400),
        ("?until=x", 400),
        ("?from=1", 400),
    ] {
        let refused = send(&url, "GET", &format!("/export{query}"), &[]).await;
        assert_eq!(refused.status, status, "{query}");
    }
    let head = send(&url, "HEAD", "/export", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let other = [("accept", "application/json")];
    assert_eq!(send(&url, "GET", "/export", &other).await.status, 406);
}

#[tokio::test]
async fn an_export_that_fails_on_its_way_breaks_off() {
    let log = SmallLog::with(5, 13).await;
    let holed = FailingLog::new(log.near(), Plan::WithoutItem(8));
    let url = serve(Arc::new(holed), NotificationLogOptions::new(PATH)).await;
    let answer = send(&url, "GET", "/export", &[]).await;
    let (body, is_whole) = unchunked(&answer);
    assert!(!is_whole, "it looks like all there is");
    assert_eq!(lines(&body).len(), 5);
}
