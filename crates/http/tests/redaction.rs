//! What is seen over HTTP of notifications that were redacted, because their streams were deleted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_http::{Dialects, NotificationLogOptions, REDACTED_TOPIC};
use boxes_notification_log::{
    DerivedLog, LocalNotificationLog, LogError, Translation, WITHHELD_TOPIC,
};
use boxes_recorder::{GroupCommit, GroupCommitBounds, Notification, StoredEvent};
use boxes_testing::log_fixture::{EPOCH, SmallLog};
use support::{DEADLINE, PATH, Raw, send, serve, serve_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

/// A process of its own on the same store.
async fn replica(log: &SmallLog) -> (GroupCommit, Url) {
    let recorder = Arc::clone(log.writer().recorder());
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default())
        .await
        .unwrap();
    let local = LocalNotificationLog::new(&writer);
    let url = serve(Arc::new(local), NotificationLogOptions::new(PATH)).await;
    (writer, url)
}

async fn get(url: &Url, below: &str) -> Raw {
    let got = send(url, "GET", below, &[]).await;
    assert_eq!(got.status, 200, "{below}");
    got
}

fn tag(got: &Raw) -> &str {
    got.header("etag").unwrap()
}

async fn status_with(url: &Url, below: &str, tag: &str) -> u16 {
    send(url, "GET", below, &[("if-none-match", tag)])
        .await
        .status
}

const PAGES: [&str; 8] = ["/1,5", "/6,10", "/11,15", "", "/6", "/7", "/8", "/log"];

#[tokio::test]
async fn a_redaction_changes_exactly_what_holds_it_and_its_tag() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let mut before = Vec::new();
    for below in PAGES {
        before.push(get(&url, below).await);
    }
    log.delete(7).await;
    for (below, before) in PAGES.into_iter().zip(&before) {
        let after = get(&url, below).await;
        let is_changed = ["/6,10", "/7", "/log"].contains(&below);
        assert_eq!(tag(&after) != tag(before), is_changed, "{below}");
        assert_eq!(after.body != before.body, is_changed, "{below}");
        let expected = if is_changed { 200 } else { 304 };
        assert_eq!(status_with(&url, below, tag(before)).await, expected);
        assert_eq!(status_with(&url, below, tag(&after)).await, 304, "{below}");
    }
    let page = get(&url, "/6,10").await.json();
    let (whole, redacted) = (&page["items"][0], &page["items"][1]);
    assert!(whole.get("redacted").is_none() && whole["state"]["n"] == 6);
    assert_eq!(redacted["state"], serde_json::Value::Null);
    assert_eq!(redacted["redacted"], true);
    assert_eq!(redacted["topic"], "orders.order.placed");
    assert_eq!(redacted["metadata"], serde_json::json!({}));
    assert_eq!(get(&url, "/7").await.json()["redacted"], true);
    assert_eq!(get(&url, "/log").await.json()["redacted"], 1);
}

#[tokio::test]
async fn each_further_redaction_in_a_page_is_another_tag_also_where_it_grows_and_where_it_is_coded()
{
    let log = SmallLog::with(20, 33).await;
    let url = served(&log).await;
    let coded = [("accept-encoding", "gzip")];
    let mut tags = Vec::new();
    for n in [0, 3, 9, 25, 26] {
        if n > 0 {
            log.delete(n).await;
        }
        for below in ["/1,20", "", "/21,40"] {
            tags.push((below, tag(&get(&url, below).await).to_owned()));
        }
        let got = send(&url, "GET", "/1,20", &coded).await;
        assert_eq!(got.header("content-encoding"), Some("gzip"));
        let of_plain = tags[tags.len() - 3].1.trim_end_matches('"');
        assert_eq!(tag(&got), format!("{of_plain}.gzip\""));
        let again = [coded[0], ("if-none-match", tag(&got))];
        assert_eq!(send(&url, "GET", "/1,20", &again).await.status, 304);
    }
    let of = |wanted: &str| -> Vec<&str> {
        let tags = tags.iter().filter(|(below, _)| *below == wanted);
        tags.map(|(_, tag)| tag.as_str()).collect()
    };
    let archived = of("/1,20");
    assert!(archived[0] != archived[1] && archived[1] != archived[2]);
    assert_eq!(archived[2..], [archived[2]; 3]);
    let growing = of("");
    assert_eq!(growing[..3], [growing[0]; 3]);
    assert!(growing[2] != growing[3] && growing[3] != growing[4]);
    assert_eq!(growing, of("/21,40"));
}

#[tokio::test]
async fn every_process_on_the_store_has_the_new_tag_within_the_poll_interval_and_after_a_restart() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let (_running, other) = replica(&log).await;
    let before = get(&other, "/6,10").await;
    assert_eq!(before, get(&url, "/6,10").await);
    log.delete(7).await;
    let after = get(&url, "/6,10").await;
    assert_ne!(tag(&after), tag(&before));
    let since = Instant::now();
    while status_with(&other, "/6,10", tag(&before)).await == 304 {
        assert!(since.elapsed() < DEADLINE, "not noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get(&other, "/6,10").await, after);
    let (_restarted, restarted) = replica(&log).await;
    assert_eq!(status_with(&restarted, "/6,10", tag(&before)).await, 200);
    assert_eq!(status_with(&restarted, "/6,10", tag(&after)).await, 304);
    assert_eq!(get(&restarted, "/6,10").await, after);
}

#[tokio::test]
async fn who_waits_for_a_page_at_another_process_is_told_as_soon_as_that_knows() {
    let log = SmallLog::with(5, 13).await;
    let (_running, other) = replica(&log).await;
    let kept = tag(&get(&other, "").await).to_owned();
    let waiting = tokio::spawn(async move {
        let headers = [("if-none-match", &*kept), ("prefer", "wait=30")];
        send(&other, "GET", "", &headers).await
    });
    log.delete(12).await;
    // Within the deadline of every request here, which is shorter than the wait.
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["items"][1]["redacted"], true);
}

#[tokio::test]
async fn caches_keep_a_log_that_may_be_redacted_for_a_while_only_and_from_the_start() {
    let log = SmallLog::with(5, 13).await;
    let hour = Some(Duration::from_secs(3_600));
    let freshness = async |url: &Url, below: &str| {
        let got = get(url, below).await;
        let cache_control = got.header("cache-control").unwrap().to_owned();
        let unchanged = send(url, "GET", below, &[("if-none-match", tag(&got))]).await;
        assert_eq!(unchanged.status, 304);
        assert_eq!(unchanged.header("cache-control"), Some(&*cache_control));
        cache_control
    };
    let url = served(&log).await;
    let pinned = |below: &str| format!("/{EPOCH}{below}");
    assert!(freshness(&url, &pinned("/1,5")).await.contains("immutable"));
    for (restricted, scope) in [(false, "public"), (true, "private")] {
        let options = NotificationLogOptions {
            redactable: hour,
            restricted,
            ..NotificationLogOptions::new(PATH)
        };
        let url = serve(log.near(), options).await;
        let expected = format!("{scope}, max-age=3600, must-revalidate");
        assert_eq!(freshness(&url, &pinned("/1,5")).await, expected);
        assert_eq!(freshness(&url, &pinned("/3")).await, expected);
        for below in ["", "/1,5", "/3"] {
            assert_eq!(freshness(&url, below).await, "no-cache");
        }
    }
}

#[tokio::test]
async fn readers_of_older_systems_go_over_it() {
    let log = SmallLog::with(5, 13).await;
    let dialects = Dialects::new(log.near(), PATH).unwrap();
    let url = serve_router(dialects.into_router())
        .await
        .join(PATH)
        .unwrap();
    let paths = ["/eventsourcing-9/1,10", "/eventsourcing-8/6,10"];
    let before = [get(&url, paths[0]).await, get(&url, paths[1]).await];
    log.delete(7).await;
    for (below, before) in paths.into_iter().zip(before) {
        let after = get(&url, below).await;
        assert_ne!(tag(&after), tag(&before));
        assert_eq!(status_with(&url, below, tag(&before)).await, 200);
        let (before, after) = (before.json(), after.json());
        let at = before["items"].as_array().unwrap().len() - 4;
        assert_eq!(after["items"][at]["id"], 7);
        assert_eq!(after["items"][at]["topic"], REDACTED_TOPIC);
        let state = &after["items"][at]["state"];
        assert_eq!(state.get("__bytes__").unwrap_or(state), "e30=");
        assert_eq!(after["items"][at - 1], before["items"][at - 1]);
        assert_eq!(after["next_id"], before["next_id"]);
    }
}

#[tokio::test]
async fn every_format_and_a_stream_of_events_show_that_nothing_is_left() {
    let log = SmallLog::with(5, 7).await;
    let url = served(&log).await;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for got in [&mut first, &mut second] {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {PATH}/stream?after=5 HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        while !String::from_utf8_lossy(got).contains("id: 7@") {
            let more = tokio::time::timeout(DEADLINE, stream.read_buf(got)).await;
            assert!(more.unwrap().unwrap() > 0, "the stream ended");
        }
        log.delete(6).await;
    }
    let (first, second) = (
        String::from_utf8(first).unwrap(),
        String::from_utf8(second).unwrap(),
    );
    assert!(first.contains(r#""n":6"#), "{first}");
    assert!(
        !second.contains(r#""n":6"#) && second.contains(r#""redacted":true"#),
        "{second}"
    );
    let in_format = async |format: &str, below: &str| {
        let got = send(&url, "GET", below, &[("accept", format)]).await;
        assert_eq!(got.status, 200, "{format}");
        String::from_utf8(got.body).unwrap()
    };
    for below in ["/6,10", "/6"] {
        for (format, sign) in [
            ("text/html", "redacted"),
            ("application/atom+xml", "\"redacted\":true"),
            (
                "application/vnd.saasovation.idovation+json",
                "\"event\":null",
            ),
        ] {
            let page = in_format(format, below).await.replace("&quot;", "\"");
            assert!(page.contains(sign) && !page.contains("\"n\":6"), "{page}");
        }
    }
    let batch = [("accept", "application/cloudevents-batch+json")];
    let batch = send(&url, "GET", "/6,10", &batch).await.json();
    assert_eq!(
        (&batch[0]["redacted"], batch[0].get("data")),
        (&true.into(), None)
    );
}

/// Publishes the even ones.
#[derive(Debug)]
struct Even;

impl Translation for Even {
    fn translate(&self, notification: &Notification) -> Result<Option<StoredEvent>, LogError> {
        let is_even = notification.id.is_multiple_of(2);
        Ok(is_even.then(|| notification.event.clone()))
    }
}

#[tokio::test]
async fn a_log_that_is_made_of_another_one_is_redacted_with_it() {
    let log = SmallLog::with(5, 13).await;
    let derived = DerivedLog::new(log.near(), Arc::new(Even), "even", 1);
    let url = serve(Arc::new(derived), NotificationLogOptions::new(PATH)).await;
    let before = [get(&url, "/1,5").await, get(&url, "/6,10").await];
    log.delete(8).await;
    log.delete(9).await;
    assert_eq!(get(&url, "/1,5").await, before[0]);
    assert_eq!(status_with(&url, "/6,10", tag(&before[1])).await, 200);
    let after = get(&url, "/6,10").await;
    assert!(tag(&after).contains("-r2."), "{after:?}");
    assert_eq!(status_with(&url, "/6,10", tag(&after)).await, 304);
    let items = &after.json()["items"];
    assert_eq!(items[2]["topic"], "orders.order.placed");
    assert_eq!(items[3]["topic"], WITHHELD_TOPIC);
    for redacted in [&items[2], &items[3]] {
        assert_eq!(redacted["redacted"], true);
    }
    assert!(items[0].get("redacted").is_none());
}
