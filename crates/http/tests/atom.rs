//! Pages as Atom feeds, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use boxes_http::NotificationLogOptions;
use boxes_recorder::Encoding;
use boxes_testing::log_fixture::{EPOCH, SmallLog, small_event};
use bytes::Bytes;
use serde_json::Value;
use support::{PATH, send, serve};
use url::Url;

const ATOM: &str = "application/atom+xml";

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

async fn xml(url: &Url, below: &str) -> String {
    let answer = send(url, "GET", below, &[("accept", ATOM)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(ATOM));
    String::from_utf8(answer.body).unwrap()
}

/// What stands between the tags, each time that they occur.
fn all<'a>(xml: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let parts = xml.split(begin).skip(1);
    parts.map(|rest| rest.split_once(end).unwrap().0).collect()
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

#[tokio::test]
async fn archived_pages_are_archives_and_the_current_one_leads_to_them() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, is_archive, previous) in [
        ("", false, Some("/orders/notifications/6,10")),
        ("/6,10", true, Some("/orders/notifications/1,5")),
        ("/1,5", true, None),
    ] {
        let feed = xml(&url, below).await;
        assert_eq!(feed.contains("<fh:archive/>"), is_archive, "{below}");
        let link = "<link rel=\"prev-archive\" type=\"application/atom+xml\" href=\"";
        assert_eq!(
            all(&feed, link, "\"/>").first().copied(),
            previous,
            "{below}"
        );
        let current =
            "<link rel=\"current\" type=\"application/atom+xml\" href=\"/orders/notifications\"/>";
        assert!(feed.contains(current), "{feed}");
    }
}

#[tokio::test]
async fn entries_hold_the_items_of_the_page_newest_first() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["", "/1,5"] {
        let feed = xml(&url, below).await;
        let items = send(&url, "GET", below, &[]).await.json()["items"].clone();
        let mut items = items.as_array().unwrap().clone();
        items.reverse();
        let contents = all(&feed, "<content type=\"text\">", "</content>");
        let contents = contents.iter().map(|text| unescaped(text));
        let contents: Vec<Value> = contents
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect();
        assert_eq!(contents, items);
        let newest = &items[0];
        let updated = newest["occurred_on"].as_str().unwrap();
        assert!(feed.contains(&format!("<updated>{updated}</updated>")));
        let link = format!(
            "<link rel=\"alternate\" type=\"text/html\" href=\"{PATH}/{}\"/>\n</entry>",
            newest["id"]
        );
        assert!(feed.contains(&link), "{feed}");
    }
}

#[tokio::test]
async fn no_id_names_a_host() {
    let log = SmallLog::with(5, 13).await;
    let mut options = NotificationLogOptions::new(PATH);
    options.public_base = Some("https://shop.example/".parse().unwrap());
    for url in [served(&log).await, serve(log.near(), options).await] {
        let feed = xml(&url, "/1,5").await;
        let ids = all(&feed, "<id>", "</id>");
        assert_eq!(ids[0], format!("urn:uuid:{EPOCH}"));
        assert_eq!(ids[1], format!("urn:uuid:{}", small_event(5).event_id));
        assert_eq!(ids.len(), 6);
        let single = xml(&url, "/5").await;
        assert_eq!(all(&single, "<id>", "</id>"), [ids[1], ids[0]]);
    }
}

#[tokio::test]
async fn an_empty_log_is_a_feed_without_entries() {
    let url = served(&SmallLog::new(5).await).await;
    let feed = xml(&url, "").await;
    assert!(feed.contains("<updated>1970-01-01T00:00:00.000000Z</updated>"));
    assert!(!feed.contains("<entry>") && !feed.contains("<fh:archive/>"));
}

#[tokio::test]
async fn what_an_event_says_never_becomes_markup() {
    let log = SmallLog::new(5).await;
    let mut hostile = small_event(1);
    hostile.topic = "orders.<b>&\"'\u{1}".into();
    hostile.state = Bytes::from_static(b"{\"a\":\"]]></content><script>\"}");
    let mut sealed = small_event(2);
    sealed.encoding = Encoding::new("json+zlib");
    sealed.state = Bytes::from_static(b"\0\x01\xff");
    log.append_events(vec![hostile, sealed]).await;
    let url = served(&log).await;
    let feed = xml(&url, "").await;
    assert!(feed.contains("<title>orders.&lt;b&gt;&amp;&quot;&#39;\u{fffd}</title>"));
    assert!(feed.contains("]]&gt;&lt;/content&gt;&lt;script&gt;"));
    let state =
        "&quot;state&quot;:&quot;AAH/&quot;,&quot;content_encoding&quot;:&quot;json+zlib&quot;";
    assert!(feed.contains(state), "{feed}");
    assert_eq!(feed.matches("</content>").count(), 2);
}
