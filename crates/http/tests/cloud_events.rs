//! Pages as batches of `CloudEvents`, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use boxes_http::NotificationLogOptions;
use boxes_testing::log_fixture::{EPOCH, SmallLog};
use serde_json::json;
use support::{PATH, Raw, send, serve};
use url::Url;

const BATCH: &str = "application/cloudevents-batch+json";

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

async fn get(url: &Url, below: &str, accept: &str) -> Raw {
    send(url, "GET", below, &[("accept", accept)]).await
}

#[tokio::test]
async fn each_notification_of_a_page_is_an_event_of_the_batch() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, n_events) in [("/1,5", 5), ("/11,15", 3), ("", 3), ("/16,20", 0)] {
        let page = get(&url, below, "application/json").await;
        let batch = get(&url, below, BATCH).await;
        assert_eq!(batch.status, 200);
        assert_eq!(batch.header("content-type"), Some(BATCH));
        for same in ["cache-control", "vary"] {
            assert_eq!(batch.header(same), page.header(same), "{below} {same}");
        }
        let (page, batch) = (page.json(), batch.json());
        let (items, events) = (page["items"].as_array().unwrap(), batch.as_array().unwrap());
        assert_eq!((items.len(), events.len()), (n_events, n_events));
        for (item, event) in items.iter().zip(events) {
            let expected = json!({
                "specversion": "1.0",
                "id": item["event_id"],
                "source": format!("urn:uuid:{EPOCH}"),
                "type": item["topic"],
                "subject": item["originator_id"],
                "time": item["occurred_on"],
                "sequence": format!("{:020}", item["id"].as_u64().unwrap()),
                "log": page["log"],
                "originatorversion": item["originator_version"].to_string(),
                "schemaversion": item["version"].to_string(),
                "datacontenttype": "application/json",
                "data": item["state"],
            });
            assert_eq!(*event, expected);
        }
    }
}

#[tokio::test]
async fn a_single_notification_is_a_batch_of_one() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let single = get(&url, "/7", BATCH).await.json();
    let page = get(&url, "/6,10", BATCH).await.json();
    assert_eq!(single, json!([page[1]]));
}

#[tokio::test]
async fn a_batch_is_given_only_to_those_who_name_it() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        (
            "application/json, application/cloudevents-batch+json;q=0.9",
            "application/json",
        ),
        (
            "application/json;q=0.9, application/cloudevents-batch+json",
            BATCH,
        ),
        (
            "text/plain, Application/CloudEvents-Batch+JSON; charset=utf-8",
            BATCH,
        ),
        ("application/json;q=0, */*", "text/html; charset=utf-8"),
        (
            "application/json;q=0, application/*",
            "application/atom+xml",
        ),
        (
            "application/cloudevents-batch+json;q=0",
            "application/problem+json",
        ),
    ] {
        let answer = get(&url, "/1,5", accept).await;
        assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
    }
}

#[tokio::test]
async fn each_format_has_a_tag_of_its_own() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["/1,5", "/7", ""] {
        let batch = get(&url, below, BATCH).await;
        let tag = batch.header("etag").unwrap();
        let page = get(&url, below, "application/json").await;
        assert_ne!(page.header("etag"), Some(tag));
        for (accept, status) in [(BATCH, 304), ("application/json", 200)] {
            let sent = [("accept", accept), ("if-none-match", tag)];
            assert_eq!(
                send(&url, "GET", below, &sent).await.status,
                status,
                "{below} {accept}"
            );
        }
    }
}
