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
use support::{PATH, send, send_to, serve};
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

/// The address for ever of what is below the path.
fn at(below: &str) -> String {
    format!("{PATH}/{EPOCH}{below}")
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
        ("", false, Some(at("/6,10"))),
        ("/6,10", true, Some(at("/1,5"))),
        ("/1,5", true, None),
    ] {
        let feed = xml(&url, below).await;
        assert_eq!(feed.contains("<fh:archive/>"), is_archive, "{below}");
        let link = "<link rel=\"prev-archive\" type=\"application/atom+xml\" href=\"";
        assert_eq!(
            all(&feed, link, "\"/>").first().copied(),
            previous.as_deref(),
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
            "<link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n</entry>",
            at(&format!("/{}", newest["id"]))
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

const FEED: &str = "/orders/atom";

async fn served_as_a_feed(log: &SmallLog) -> Url {
    let options = NotificationLogOptions {
        atom: Some(FEED.to_owned()),
        ..NotificationLogOptions::new(PATH)
    };
    serve(log.near(), options).await
}

/// The addresses of the links of a feed by their relation, without those of its entries.
fn links(xml: &str) -> Vec<(String, String)> {
    let head = xml.split("<entry>").next().unwrap();
    all(head, "<link rel=\"", "\"/>")
        .into_iter()
        .map(|link| {
            let (relation, rest) = link.split_once('"').unwrap();
            let href = rest.split_once("href=\"").unwrap().1;
            (relation.to_owned(), href.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_feed_for_readers_that_accept_nothing_by_name_leads_to_itself_alone() {
    let log = SmallLog::with(5, 13).await;
    let url = served_as_a_feed(&log).await;
    let archived = format!("{FEED}/{EPOCH}/6,10");
    for (path, own, cache_control) in [
        (FEED, FEED, "no-cache"),
        (&*format!("{FEED}/6,10"), &*archived, "no-cache"),
        (&archived, &archived, "public, max-age=31536000, immutable"),
    ] {
        for accept in ["*/*", "text/html", "application/json"] {
            let answer = send_to(&url, "GET", path, &[("accept", accept)]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-type"), Some(ATOM));
            assert_eq!(answer.header("cache-control"), Some(cache_control));
            assert!(!answer.header("vary").unwrap().contains("Accept,"));
            let tag = [("if-none-match", answer.header("etag").unwrap())];
            assert_eq!(send_to(&url, "GET", path, &tag).await.status, 304);
            let links = links(std::str::from_utf8(&answer.body).unwrap());
            assert!(links.contains(&("self".to_owned(), own.to_owned())));
            for (relation, href) in &links {
                assert!(href.starts_with(FEED), "{relation} of {path}: {href}");
            }
            let entries = String::from_utf8(answer.body).unwrap();
            assert!(entries.contains(&format!("href=\"{PATH}/{EPOCH}/")));
        }
    }
    for (below, status) in [("/2,6", 400), ("/7", 400), ("/x/1,5", 400), ("?x", 400)] {
        let answer = send_to(&url, "GET", &format!("{FEED}{below}"), &[]).await;
        assert_eq!(answer.status, status, "{below}");
    }
    let moved = send_to(&url, "GET", &format!("{FEED}/6%2C10"), &[]).await;
    assert_eq!(moved.header("location"), Some(&*format!("{FEED}/6,10")));
}

#[tokio::test]
async fn the_current_feed_is_known_by_its_own_address_and_its_pages_by_theirs() {
    let log = SmallLog::with(5, 13).await;
    let url = served_as_a_feed(&log).await;
    let accept = [("accept", ATOM)];
    for (current, page) in [
        (PATH.to_owned(), at("/11,15")),
        (FEED.to_owned(), format!("{FEED}/{EPOCH}/11,15")),
    ] {
        let mut tags = Vec::new();
        for path in [current, page] {
            let answer = send_to(&url, "GET", &path, &accept).await;
            tags.push(answer.header("etag").unwrap().to_owned());
            let links = links(std::str::from_utf8(&answer.body).unwrap());
            assert!(links.contains(&("self".to_owned(), path)), "{links:?}");
        }
        assert_ne!(tags[0], tags[1], "two bodies under one tag");
    }
}

#[tokio::test]
async fn characters_that_xml_lacks_are_what_they_were_for_who_reads_the_json() {
    let log = SmallLog::new(5).await;
    let mut odd = small_event(1);
    odd.state = "{\"a\":\"\u{ffff}\u{fffe}\u{7f}é\u{1f4a9}\"}".into();
    log.append_events(vec![odd]).await;
    let url = served(&log).await;
    let feed = xml(&url, "").await;
    let content = all(&feed, "<content type=\"text\">", "</content>");
    let item: Value = serde_json::from_str(&unescaped(content[0])).unwrap();
    assert_eq!(item["state"]["a"], "\u{ffff}\u{fffe}\u{7f}é\u{1f4a9}");
    assert!(content[0].contains("\\uffff\\ufffe\\u007fé"), "{feed}");
}
