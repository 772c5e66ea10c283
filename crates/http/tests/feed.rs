//! The profile of HTTP Feeds, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use boxes_http::NotificationLogOptions;
use boxes_testing::log_fixture::{EPOCH, SmallLog};
use serde_json::Value;
use support::{DEADLINE, PATH, Raw, send, serve};
use url::Url;

const BATCH: &str = "application/cloudevents-batch+json";

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

async fn feed(url: &Url, query: &str) -> Raw {
    let answer = send(url, "GET", &format!("/feed{query}"), &[]).await;
    assert_eq!(answer.status, 200, "{query}");
    assert_eq!(answer.header("content-type"), Some(BATCH));
    answer
}

fn ids(answer: &Raw) -> Vec<String> {
    let events = answer.json();
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The ids of these notifications as events have them.
fn with_epoch(ids: impl IntoIterator<Item = u32>) -> Vec<String> {
    let ids = ids.into_iter();
    ids.map(|id| format!("{id}@{EPOCH}")).collect()
}

#[tokio::test]
async fn a_reader_that_asks_after_the_last_id_each_time_has_all_of_it_once() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let (mut query, mut found, mut n_answers) = (String::new(), Vec::new(), 0);
    loop {
        let answer = feed(&url, &query).await;
        n_answers += 1;
        assert!(n_answers < 10, "{query}: it never ends");
        let Some(last) = ids(&answer).last().cloned() else {
            assert_eq!(answer.body, b"[]");
            break;
        };
        found.extend(ids(&answer));
        query = format!("?lastEventId={last}");
    }
    assert_eq!(found, with_epoch(1..=13));
    assert_eq!(n_answers, 4, "three batches, and none");
    // Also from a place off the grid.
    assert_eq!(ids(&feed(&url, "?lastEventId=3").await), with_epoch(4..=8));
}

#[tokio::test]
async fn its_events_are_those_of_pages_but_for_their_ids() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let mut events = feed(&url, "").await.json();
    let page = send(&url, "GET", "/1,5", &[("accept", BATCH)]).await;
    for event in events.as_array_mut().unwrap() {
        let event = event.as_object_mut().unwrap();
        let own: Value = event.remove("eventid").unwrap();
        event.insert("id".to_owned(), own);
    }
    assert_eq!(events, page.json());
}

#[tokio::test]
async fn a_whole_batch_may_be_kept_and_the_end_of_the_log_may_not() {
    let log = SmallLog::with(5, 7).await;
    let url = served(&log).await;
    let for_ever = format!("?lastEventId=2@{EPOCH}");
    let whole = feed(&url, &for_ever).await;
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    let plain = feed(&url, "?lastEventId=2").await;
    assert_eq!(plain.header("cache-control"), Some("no-cache"));
    assert_eq!(plain.body, whole.body);
    let known = [("if-none-match", plain.header("etag").unwrap())];
    let again = send(&url, "GET", "/feed?lastEventId=2", &known).await;
    assert_eq!(again.status, 304);
    log.append(5).await;
    assert_eq!(feed(&url, &for_ever).await, whole);
    assert_eq!(feed(&url, "?lastEventId=2").await, plain);
    for query in ["?lastEventId=10", "?lastEventId=12"] {
        let answer = feed(&url, query).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{query}");
    }
}

#[tokio::test]
async fn a_reader_waits_for_news_and_is_told_when_there_are_none() {
    let log = SmallLog::with(5, 5).await;
    let url = served(&log).await;
    let begun = Instant::now();
    let answer = feed(&url, "?lastEventId=5&timeout=300").await;
    assert_eq!(answer.body, b"[]");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    // Waits longer than the test may take, unless it is woken.
    let waiting = tokio::time::timeout(DEADLINE, feed(&url, "?lastEventId=5&timeout=30000"));
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        log.append(1).await;
    });
    assert_eq!(ids(&answer.unwrap()), with_epoch([6]));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_problem() {
    let log = SmallLog::with(5, 5).await;
    let url = served(&log).await;
    for (query, accept, status, slug) in [
        ("?lastEventId=x", "*/*", 400, "malformed-resume-point"),
        ("?timeout=-1", "*/*", 400, "malformed-request"),
        ("?lastEventId=6", BATCH, 409, "ahead-of-log"),
        (
            "?lastEventId=2@00000000-0000-4000-8000-000000000009",
            BATCH,
            409,
            "epoch-changed",
        ),
        ("?compacted=true", BATCH, 400, "unknown-parameter"),
        ("", "application/json", 406, "not-acceptable"),
    ] {
        let refused = send(&url, "GET", &format!("/feed{query}"), &[("accept", accept)]).await;
        assert_eq!(refused.status, status, "{query}");
        assert_eq!(refused.json()["type"], format!("/problems/{slug}"));
    }
    let mut options = NotificationLogOptions::new(PATH);
    options.max_waiters = 0;
    let full = serve(log.near(), options).await;
    let refused = send(&full, "GET", "/feed?lastEventId=5&timeout=1000", &[]).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["type"], "/problems/too-many-waiters");
}
