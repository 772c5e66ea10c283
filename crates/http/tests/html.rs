//! Pages for people, from outside and in a real browser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use boxes_http::NotificationLogOptions;
use boxes_recorder::{Encoding, StoredEvent};
use boxes_testing::Browser;
use boxes_testing::log_fixture::{EPOCH, SmallLog, small_event};
use bytes::Bytes;
use support::{PATH, Raw, send, serve};
use url::Url;

/// What Chromium sends.
const BY_BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";
/// The background of a page, light and dark.
const LIGHT: [u8; 3] = [0xfb, 0xfa, 0xf7];
const DARK: [u8; 3] = [0x15, 0x17, 0x1a];
const HOSTILE: &str = "</code></summary></details></pre><script>document.title='owned'</script><img src=x onerror=alert(1)>&amp;\"'";

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), NotificationLogOptions::new(PATH)).await
}

async fn get(url: &Url, below: &str) -> Raw {
    send(url, "GET", below, &[("accept", BY_BROWSER)]).await
}

fn text(raw: &Raw) -> String {
    String::from_utf8(raw.body.clone()).unwrap()
}

/// Events that are hard to show: hostile, encrypted, no UTF-8, long.
fn awkward_events(first: u64) -> Vec<StoredEvent> {
    let mut events: Vec<_> = (first..first + 4).map(small_event).collect();
    let quoted = serde_json::json!(HOSTILE);
    let hostile = format!("{{{quoted}:[{quoted},1.50,null]}}");
    events[0].state = Bytes::from(hostile);
    events[0].metadata = Bytes::from(serde_json::json!({ "note": HOSTILE }).to_string());
    events[0].topic = format!("orders.{HOSTILE}").into();
    events[1].encoding = Encoding::new("json+zlib+aes-256-gcm-siv");
    events[1].state = Bytes::from_static(&[0xff; 300]);
    events[2].state = Bytes::from_static(b"{\"a\":\"\xff\xfe<\0>\"}");
    let lines: Vec<_> = (0..40_000).map(|n| format!("line {n}")).collect();
    events[3].state = Bytes::from(serde_json::json!({ "lines": lines }).to_string());
    events
}

#[tokio::test]
async fn a_browser_gets_html_that_may_load_send_and_run_nothing() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["", "/1,5", "/16,20", "/7", "/log"] {
        let answer = get(&url, below).await;
        assert_eq!(answer.status, 200, "{below}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = answer.header("content-security-policy").unwrap();
        let hash = policy.split("; style-src 'sha256-").nth(1).unwrap();
        assert_eq!(
            policy.replace(hash.split('\'').next().unwrap(), "…"),
            "default-src 'none'; style-src 'sha256-…'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(
            answer
                .header("vary")
                .unwrap()
                .starts_with("Accept, Accept-Encoding")
        );
        let json = send(&url, "GET", below, &[]).await;
        assert_eq!(answer.header("cache-control"), json.header("cache-control"));
        for name in ["content-security-policy", "referrer-policy"] {
            assert_eq!(json.header(name), None);
        }
        if below != "/16,20" {
            assert_ne!(answer.header("etag"), json.header("etag"), "{below}");
            let tag = answer.header("etag").unwrap();
            let sent = [("accept", BY_BROWSER), ("if-none-match", tag)];
            assert_eq!(send(&url, "GET", below, &sent).await.status, 304);
        }
    }
}

#[tokio::test]
async fn a_growing_page_is_kept_in_each_format_and_read_once_for_all_of_them() {
    use boxes_testing::log_fixture::{FailingLog, Plan};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    let log = SmallLog::with(5, 13).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let url = serve(counting.clone(), NotificationLogOptions::new(PATH)).await;
    let accepted = [
        BY_BROWSER,
        "application/json",
        "application/cloudevents-batch+json",
    ];
    for round in 0..3 {
        let before = counting.sections_read.load(Ordering::Relaxed);
        let mut tags = Vec::new();
        for accept in accepted.into_iter().chain(accepted) {
            let answer = send(&url, "GET", "", &[("accept", accept)]).await;
            assert!(
                accept.starts_with(
                    answer
                        .header("content-type")
                        .unwrap()
                        .split(';')
                        .next()
                        .unwrap()
                )
            );
            tags.push(answer.header("etag").unwrap().to_owned());
        }
        assert_eq!(tags[..3], tags[3..]);
        assert!(tags[0] != tags[1] && tags[1] != tags[2]);
        let read = counting.sections_read.load(Ordering::Relaxed) - before;
        assert_eq!(read, usize::from(round == 0), "round {round}");
    }
    log.append(1).await;
    for accept in accepted {
        let grown = send(&url, "GET", "", &[("accept", accept)]).await;
        assert!(text(&grown).contains("0000000e"), "{accept}");
    }
}

#[tokio::test]
async fn what_an_event_says_never_becomes_markup() {
    let log = SmallLog::new(5).await;
    log.append_events(awkward_events(1)).await;
    let url = served(&log).await;
    for below in ["", "/1", "/2", "/3", "/4"] {
        let html = text(&get(&url, below).await);
        for markup in ["<script", "<img", "onerror=alert(1)>", "</details></pre>"] {
            assert!(!html.contains(markup), "{below} {markup}");
        }
    }
    let page = text(&get(&url, "").await);
    assert!(page.contains("&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;"));
    assert!(page.contains("1.50"), "numbers keep their digits");
    assert!(page.contains("json+zlib+aes-256-gcm-siv, 300 bytes"));
    assert!(page.contains("//////////"), "in base64");
    assert!(page.contains("\u{fffd}\u{fffd}&lt;\u{fffd}&gt;"));
    // Of what is long there is the beginning, and a way to more of it.
    assert!(page.contains("line 100") && !page.contains("line 39999"));
    assert!(page.contains("This is the beginning of 496 KiB"));
    assert!(page.len() < 200_000, "{}", page.len());
    let alone = text(&get(&url, "/4").await);
    assert!(alone.contains("line 10000") && !alone.contains("line 39999"));
    assert!(alone.contains("Ask for <code>application/json</code> to have all of it"));
}

#[tokio::test]
async fn a_page_says_whether_it_will_change_and_where_to_go_on() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let archived = text(&get(&url, "/6,10").await);
    assert!(archived.contains("never changes"));
    let of_epoch = format!("{PATH}/{EPOCH}");
    for link in [
        &format!(r#"<link rel="prev previous" href="{of_epoch}/1,5">"#),
        &format!(r#"<a rel="prev" href="{of_epoch}/1,5">‹ Older 1–5</a>"#),
        &format!(r#"<a rel="next" href="{of_epoch}/11,15">Newer 11–15 ›</a>"#),
        &format!(r#"<a rel="first" href="{of_epoch}/1,5">« First</a>"#),
        r#"<a rel="current" href="/orders/notifications">Newest »</a>"#,
        &format!(r#"<a href="{of_epoch}/7">7</a>"#),
    ] {
        assert!(archived.contains(link), "{link} is missing in {archived}");
    }
    let growing = text(&get(&url, "").await);
    assert!(growing.contains("The newest notification is 13"));
    assert!(growing.contains("<span aria-disabled=true>Newer ›</span>"));
    let beyond = text(&get(&url, "/21,25").await);
    assert!(beyond.contains("The log ends before this page"));
    let empty = served(&SmallLog::new(5).await).await;
    assert!(text(&get(&empty, "").await).contains("Nothing has happened yet"));
    let about = text(&get(&url, "/log").await);
    assert!(about.contains(&EPOCH.to_string()) && about.contains("application/json"));
    let single = text(&get(&url, "/7").await);
    assert!(
        single.contains("Notification of orders") && single.contains(&format!("{of_epoch}/6,10"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_walks_by_links_through_the_whole_log_both_ways() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let walked = tokio::task::spawn_blocking(move || {
        let browser = Browser::new();
        let walk = |from: Url, relation: &str| {
            let (mut at, mut found) = (Some(from), Vec::new());
            while let Some(url) = at {
                let document = browser.document(url.as_str());
                // As parsed: a link that the browser made of the markup, not what the server wrote.
                let ids = document.split("<td class=\"no\" id=\"n").skip(1);
                found.push(
                    ids.map(|rest| rest.split('"').next().unwrap().to_owned())
                        .collect::<Vec<_>>(),
                );
                let ways = document
                    .split(&format!("<a rel=\"{relation}\" href=\""))
                    .nth(1);
                at = ways.map(|rest| url.join(rest.split('"').next().unwrap()).unwrap());
            }
            found
        };
        let older = walk(url.clone(), "prev");
        let first = Url::parse(&format!("{url}/1,5")).unwrap();
        (older, walk(first, "next"))
    });
    let (older, mut newer) = walked.await.unwrap();
    let expected = [
        vec!["11", "12", "13"],
        vec!["6", "7", "8", "9", "10"],
        vec!["1", "2", "3", "4", "5"],
    ];
    assert_eq!(older, expected);
    newer.reverse();
    assert_eq!(newer, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_shows_it_in_light_and_dark_and_runs_nothing_of_what_it_holds() {
    let log = SmallLog::new(5).await;
    log.append_events(awkward_events(1)).await;
    let url = served(&log).await;
    let looked = tokio::task::spawn_blocking(move || {
        let browser = Browser::new();
        let shots = [(1_100, false), (1_100, true), (420, false)];
        let shots = shots.map(|(width, dark)| browser.screenshot(url.as_str(), width, dark));
        (shots, browser.document(url.as_str()))
    });
    let ([light, dark, narrow], document) = looked.await.unwrap();
    // The style was let in by its hash.
    assert_eq!(
        [light.corner, dark.corner, narrow.corner],
        [LIGHT, DARK, LIGHT]
    );
    for shot in [&light, &dark, &narrow] {
        assert!(shot.n_changing_rows > 100, "{}", shot.n_changing_rows);
    }
    assert_ne!(light.png, dark.png);
    assert!(
        document.contains("<title>orders 1,5</title>"),
        "no script ran"
    );
    assert_eq!(document.matches("<details>").count(), 4);
    assert!(!document.contains("<script") && !document.contains("<img"));
}
