//! Pages as they go over the wire: every rule of the contract, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use boxes_http::{HeaderLink, NotificationLogOptions};
use boxes_notification_log::{LocalNotificationLog, NotificationLog};
use boxes_recorder::{GroupCommit, GroupCommitBounds};
use boxes_testing::log_fixture::{EPOCH, FailingLog, Plan, SmallLog, small_event};
use serde_json::json;
use support::{PATH, Raw, send, send_to, serve};
use url::Url;

/// What pages are offered as, JSON first.
const FORMATS: [&str; 6] = [
    "application/json",
    "text/html",
    "application/atom+xml",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/vnd.saasovation.idovation+json",
];

/// The address for ever of what is below the path.
fn at(below: &str) -> String {
    format!("{PATH}/{EPOCH}{below}")
}

/// The same, below the address of a log that is served at `url`.
fn pinned(below: &str) -> String {
    format!("/{EPOCH}{below}")
}

/// What a JSON page below the path has as alternates.
fn alternates(below: &str) -> impl Iterator<Item = (String, String)> {
    let href = at(below);
    let formats = FORMATS.into_iter().skip(1);
    formats.map(move |format| (format!("alternate {format}"), href.clone()))
}

fn options() -> NotificationLogOptions {
    NotificationLogOptions::new(PATH)
}

async fn served(log: &SmallLog) -> Url {
    serve(log.near(), options()).await
}

async fn get(url: &Url, below: &str) -> Raw {
    send(url, "GET", below, &[]).await
}

async fn get_if_changed(url: &Url, below: &str, tag: &str) -> Raw {
    send(url, "GET", below, &[("if-none-match", tag)]).await
}

/// The tag that the contract's rule gives.
fn tag(of: &str) -> String {
    format!("\"{}.{of}.json-2\"", EPOCH.simple())
}

/// The links of a header: relation to address; for alternates, relation and type.
fn parse_link(header: &str) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    for link in HeaderLink::parse(header.as_bytes()).unwrap() {
        for relation in link.relations() {
            let name = match link.parameter("type") {
                Some(media_type) => format!("{relation} {media_type}"),
                None => relation.to_owned(),
            };
            let before = links.insert(name, link.target().to_owned());
            assert_eq!(before, None, "{relation} is there twice");
        }
    }
    links
}

/// The body's links as the header names them: where the body says `previous` the header says `prev` as well, and
/// `monitor` where it says `stream`.
fn body_links(raw: &Raw) -> BTreeMap<String, String> {
    let mut links = raw.json()["links"].as_object().unwrap().clone();
    let alternates = links.remove("alternate").unwrap();
    let mut links: BTreeMap<_, _> = links
        .into_iter()
        .map(|(name, href)| (name, href.as_str().unwrap().to_owned()))
        .collect();
    if let Some(previous) = links.get("previous").cloned() {
        links.insert("prev".to_owned(), previous);
    }
    if let Some(stream) = links.remove("stream") {
        links.insert("monitor".to_owned(), stream);
    }
    for link in alternates.as_array().unwrap() {
        let (href, media_type) = (&link["href"], &link["type"]);
        let name = format!("alternate {}", media_type.as_str().unwrap());
        links.insert(name, href.as_str().unwrap().to_owned());
    }
    links
}

fn assert_problem(raw: &Raw, status: u16, slug: &str) {
    assert_eq!(raw.status, status, "{slug}");
    assert_eq!(raw.header("content-type"), Some("application/problem+json"));
    assert_eq!(raw.header("cache-control"), Some("no-store"));
    assert_eq!(raw.header("etag"), None);
    let body = raw.json();
    assert_eq!(body["type"], format!("/problems/{slug}"));
    assert_eq!(body["status"], status);
    assert!(!body["title"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_growing_page_is_revalidated_each_time_and_says_where_the_log_ends() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let page = get(&url, "/11,15").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    // A request that waits is none whose answer another one may share.
    let vary = "Accept, Accept-Encoding, Prefer";
    assert_eq!(page.header("vary"), Some(vary));
    assert_eq!(page.header("etag"), Some(tag("11-13+").as_str()));
    assert_eq!(
        page.header("content-length"),
        Some(page.body.len().to_string().as_str())
    );
    let body = page.json();
    assert_eq!(body["id"], "11,15");
    assert_eq!(
        (&body["previous_id"], &body["next_id"]),
        (&json!("6,10"), &json!(null))
    );
    assert_eq!(
        (&body["archived"], &body["last"]),
        (&json!(false), &json!(13))
    );
    assert_eq!(body["items"][0]["id"], 11);
    assert_eq!(body["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        body_links(&page),
        BTreeMap::from_iter(
            [
                ("self", at("/11,15")),
                ("current", PATH.to_owned()),
                ("first", at("/1,5")),
                ("prev", at("/6,10")),
                ("previous", at("/6,10")),
                ("prev-archive", at("/6,10")),
                ("last", at("/11,15")),
            ]
            .map(|(name, href)| (name.to_owned(), href))
            .into_iter()
            .chain(alternates("/11,15"))
        )
    );
    // By whichever URL it is the same page.
    assert_eq!(get(&url, "").await, page);
    assert_eq!(get(&url, &pinned("/11,15")).await, page);
}

#[tokio::test]
async fn an_archived_page_may_be_kept_for_ever_and_knows_nothing_of_the_end() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let page = get(&url, &pinned("/6,10")).await;
    let immutable = "max-age=31536000, immutable";
    assert_eq!(
        page.header("cache-control"),
        Some(format!("public, {immutable}").as_str())
    );
    assert_eq!(page.header("etag"), Some(tag("6-10").as_str()));
    assert_eq!(page.header("vary"), Some("Accept, Accept-Encoding"));
    let body = page.json();
    assert_eq!(
        (&body["archived"], &body["next_id"]),
        (&json!(true), &json!("11,15"))
    );
    assert_eq!(body.get("last"), None);
    assert_eq!(
        body_links(&page)
            .into_keys()
            .filter(|name| !name.starts_with("alternate "))
            .collect::<Vec<_>>(),
        [
            "current",
            "first",
            "next",
            "prev",
            "prev-archive",
            "previous",
            "self"
        ]
    );

    let mut restricted = options();
    restricted.restricted = true;
    let url = serve(log.near(), restricted).await;
    for below in ["/6,10", "/7"] {
        let answer = get(&url, &pinned(below)).await;
        assert_eq!(
            answer.header("cache-control"),
            Some(format!("private, {immutable}").as_str())
        );
    }
}

#[tokio::test]
async fn a_page_past_the_end_is_empty_and_not_kept() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, previous, archive) in [("/16,20", "11,15", false), ("/21,25", "16,20", false)] {
        let page = get(&url, below).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("etag"), None);
        assert_eq!(page.json()["items"], json!([]));
        assert_eq!(page.json()["last"], 13);
        let links = body_links(&page);
        assert_eq!(links["previous"], at(&format!("/{previous}")));
        assert_eq!(links["last"], at("/11,15"));
        assert_eq!(links.contains_key("prev-archive"), archive);
        // It has no state that could be known.
        assert_eq!(get_if_changed(&url, below, "*").await.status, 200);
    }
    // At an exact multiple the page before is full, and not archived yet.
    log.append(2).await;
    assert!(!body_links(&get(&url, "/16,20").await).contains_key("prev-archive"));
}

#[tokio::test]
async fn the_header_has_the_links_of_the_body() {
    let log = SmallLog::new(5).await;
    let url = served(&log).await;
    for count in [0, 1, 4, 1, 1, 6] {
        log.append(count).await;
        for below in ["", "/1,5", "/6,10", "/11,15", "/16,20", "/1", "/log"] {
            let page = get(&url, below).await;
            if page.status == 200 {
                assert_eq!(
                    parse_link(page.header("link").unwrap()),
                    body_links(&page),
                    "{below}"
                );
            }
        }
    }
}

#[tokio::test]
async fn each_format_names_all_others_at_its_own_address() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, own) in [("", "/11,15"), ("/1,5", "/1,5"), ("/7", "/7")] {
        let mut tags = BTreeMap::new();
        for format in FORMATS {
            let answer = send(&url, "GET", below, &[("accept", format)]).await;
            assert_eq!(answer.status, 200, "{format}");
            let links = parse_link(answer.header("link").unwrap());
            let alternates = links.into_iter().filter_map(|(name, href)| {
                Some((name.strip_prefix("alternate ")?.to_owned(), href))
            });
            let others = FORMATS.into_iter().filter(|other| *other != format);
            let own = match (below, format) {
                // The current feed is known by its own address.
                ("", "application/atom+xml") => PATH.to_owned(),
                _ => at(own),
            };
            let expected = others.map(|other| (other.to_owned(), own.clone()));
            assert_eq!(
                alternates.collect::<BTreeMap<_, _>>(),
                expected.collect::<BTreeMap<_, _>>(),
                "{below} {format}"
            );
            let vary = answer.header("vary").unwrap();
            assert!(vary.starts_with("Accept, Accept-Encoding"), "{vary}");
            let tag = answer.header("etag").unwrap().to_owned();
            assert_eq!(tags.insert(tag, format), None, "each has a tag of its own");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_asked_for_with_an_encoded_comma_is_at_its_one_address() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, location) in [
        ("/1%2C5", "/1,5"),
        ("/11%2c15", "/11,15"),
        ("/16%2C20", "/16,20"),
        // Whether there is such a page is said at its address.
        ("/2%2C6", "/2,6"),
    ] {
        for method in ["GET", "HEAD"] {
            let moved = send(&url, method, below, &[]).await;
            assert_eq!((moved.status, moved.body.len()), (308, 0), "{below}");
            let location = format!("{PATH}{location}");
            assert_eq!(moved.header("location"), Some(&*location));
            assert_eq!(moved.header("cache-control"), Some("max-age=86400"));
        }
        let allowed = send(&url, "OPTIONS", below, &[]).await;
        assert_eq!(allowed.status, 204);
        assert_eq!(send(&url, "POST", below, &[]).await.status, 405);
    }
    let options = NotificationLogOptions {
        public_base: Some("https://shop.example/eu/".parse().unwrap()),
        ..NotificationLogOptions::new(PATH)
    };
    let based = serve(log.near(), options).await;
    let moved = send(&based, "GET", "/6%2C10", &[]).await;
    let location = format!("https://shop.example/eu{PATH}/6,10");
    assert_eq!(moved.header("location"), Some(&*location));
    let moved = send(&url, "GET", &pinned("/6%2C10"), &[]).await;
    assert_eq!(moved.header("location"), Some(&*at("/6,10")));
    // A seal, a notification or a stream has no comma.
    assert_eq!(get(&url, "/log%2C1").await.status, 400);
}

#[tokio::test]
async fn links_name_a_host_only_if_one_is_configured() {
    let log = SmallLog::with(5, 6).await;
    let mut behind = options();
    behind.public_base = Some("https://shop.example/api/".parse().unwrap());
    behind.service_description = Some("/orders/openapi.json".to_owned());
    let url = serve(log.near(), behind).await;
    let links = body_links(&get(&url, "").await);
    assert_eq!(
        links["self"],
        format!("https://shop.example/api{}", at("/6,10"))
    );
    assert_eq!(
        links["service-desc"],
        "https://shop.example/api/orders/openapi.json"
    );
    let description = get(&url, "/log").await.json();
    let template = format!("https://shop.example/api{}", at("/{low},{high}"));
    assert_eq!(description["uri_template"], template);

    let url = served(&log).await;
    let forwarded = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
    ];
    let page = send(&url, "GET", "", &forwarded).await;
    for href in body_links(&page).values() {
        assert!(href.starts_with(PATH), "{href}");
    }
}

#[tokio::test]
async fn an_archived_page_is_the_same_after_appends_and_on_every_instance() {
    let log = SmallLog::with(20, 41).await;
    let url = served(&log).await;
    let before = [
        get(&url, &pinned("/1,20")).await,
        get(&url, &pinned("/21,40")).await,
        get(&url, &pinned("/7")).await,
    ];
    for _ in 0..10 {
        log.append(1_000).await;
    }
    let recorder = Arc::clone(log.writer().recorder());
    let another = GroupCommit::start(recorder, GroupCommitBounds::default())
        .await
        .unwrap();
    let another = serve(Arc::new(LocalNotificationLog::new(&another)), options()).await;
    let mut without_cache = options();
    without_cache.cache_bytes = 0;
    let restarted = serve(log.near(), without_cache).await;
    for url in [url, another, restarted] {
        for _ in 0..2 {
            let now = [
                get(&url, &pinned("/1,20")).await,
                get(&url, &pinned("/21,40")).await,
                get(&url, &pinned("/7")).await,
            ];
            assert_eq!(now, before);
        }
    }
}

#[tokio::test]
async fn a_full_page_that_a_client_keeps_gains_its_next() {
    let log = SmallLog::with(5, 5).await;
    let url = served(&log).await;
    let kept = get(&url, "/1,5").await;
    assert_eq!(kept.json()["next_id"], json!(null));
    let kept_tag = kept.header("etag").unwrap();
    assert_eq!(get_if_changed(&url, "/1,5", kept_tag).await.status, 304);
    log.append(1).await;
    let now = get_if_changed(&url, "/1,5", kept_tag).await;
    assert_eq!(now.status, 200);
    assert_eq!(now.json()["next_id"], "6,10");
    assert_eq!(body_links(&now)["next"], at("/6,10"));
    // The current page is another one now, and so is its tag.
    assert_eq!(
        get_if_changed(&url, "", kept_tag).await.json()["id"],
        "6,10"
    );
}

#[tokio::test]
async fn what_is_known_is_answered_without_reading_events() {
    let log = SmallLog::with(5, 13).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let near: Arc<dyn NotificationLog> = counting.clone();
    let url = serve(near, options()).await;
    let description = get(&url, "/log").await;
    let of_description = description.header("etag").unwrap().to_owned();
    let immutable = "public, max-age=31536000, immutable";
    let known = [
        (String::new(), tag("11-13+"), "no-cache"),
        ("/11,15".to_owned(), tag("11-13+"), "no-cache"),
        (pinned("/1,5"), tag("1-5"), immutable),
        (pinned("/13"), tag("13"), immutable),
        ("/1,5".to_owned(), tag("1-5"), "no-cache"),
        ("/13".to_owned(), tag("13"), "no-cache"),
        ("/log".to_owned(), of_description, "no-cache"),
    ];
    for (below, tag, cache_control) in &known {
        for sent in [tag.clone(), format!("\"a,b\" , W/{tag}"), "*".to_owned()] {
            let answer = get_if_changed(&url, below, &sent).await;
            assert_eq!(
                (answer.status, answer.body.len()),
                (304, 0),
                "{below} {sent}"
            );
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert_eq!(answer.header("cache-control"), Some(*cache_control));
            assert!(
                answer
                    .header("vary")
                    .unwrap()
                    .starts_with("Accept, Accept-Encoding")
            );
            assert_eq!(answer.header("content-type"), None);
        }
    }
    assert_eq!(counting.sections_read.load(Ordering::Relaxed), 0);
    for (below, _, _) in &known {
        for other in [
            tag("11-12+"),
            tag("1-5").replace("5b0c", "5b0d"),
            "\"x\"".to_owned(),
        ] {
            assert_eq!(
                get_if_changed(&url, below, &other).await.status,
                200,
                "{below}"
            );
        }
    }
    assert!(counting.sections_read.load(Ordering::Relaxed) > 0);
    // What is not there yet is not known either, whatever is claimed.
    assert_eq!(get_if_changed(&url, "/14", &tag("14")).await.status, 404);
    assert_eq!(
        get_if_changed(&url, "/16,20", &tag("16-20")).await.status,
        200
    );
    assert_eq!(
        get_if_changed(&url, "/11,15", &tag("11-15")).await.status,
        200
    );
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["", "/1,5", "/11,15", "/16,20", "/7", "/log"] {
        let (get, head) = (get(&url, below).await, send(&url, "HEAD", below, &[]).await);
        assert_eq!(
            (get.status, &get.headers),
            (head.status, &head.headers),
            "{below}"
        );
        assert!(!get.body.is_empty() && head.body.is_empty());
    }
    for below in ["/99", "/x", "/2,6", "?x=1", "/nothing/1,5"] {
        let (get, head) = (get(&url, below).await, send(&url, "HEAD", below, &[]).await);
        assert_eq!(
            (get.status, &get.headers),
            (head.status, &head.headers),
            "{below}"
        );
        assert!(get.status >= 400 && head.body.is_empty());
    }
}

#[tokio::test]
async fn methods_that_are_not_there_are_refused_with_those_that_are() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let allow = Some("GET, HEAD, OPTIONS");
    for below in ["", "/1,5", "/7", "/log"] {
        let options = send(&url, "OPTIONS", below, &[]).await;
        assert_eq!((options.status, options.header("allow")), (204, allow));
        assert!(options.body.is_empty());
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
            let answer = send(&url, method, below, &[("content-length", "0")]).await;
            assert_problem(&answer, 405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allow);
        }
    }
}

#[tokio::test]
async fn a_format_is_given_only_if_it_is_accepted() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["", "/1,5", "/7", "/log"] {
        for accept in [
            "*/*",
            "application/*",
            "text/plain, */*;q=0.1",
            "image/png;q=1, application/json;q=0.001",
            "text/html;q=0.8, application/json;q=0.801",
        ] {
            let answer = send(&url, "GET", below, &[("accept", accept)]).await;
            assert_eq!(answer.status, 200, "{accept}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
        for accept in ["text/html", "text/*", "application/json;q=0, */*"] {
            let answer = send(&url, "GET", below, &[("accept", accept)]).await;
            assert_eq!(answer.status, 200, "{accept}");
            let html = Some("text/html; charset=utf-8");
            assert_eq!(answer.header("content-type"), html, "{accept}");
        }
        for accept in [
            "text/plain",
            "application/json;q=0",
            "*/*;q=0",
            "text/*;q=0, application/json;q=0, */*;q=0",
        ] {
            let answer = send(&url, "GET", below, &[("accept", accept)]).await;
            assert_problem(&answer, 406, "not-acceptable");
            let offered = match below {
                "/log" => json!(["application/json", "text/html"]),
                _ => json!(FORMATS),
            };
            assert_eq!(answer.json()["offered"], offered);
            assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
        }
    }
}

#[tokio::test]
async fn each_bad_request_is_told_what_is_wrong_with_it() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in [
        "/x",
        "/a,b",
        "/1,2,3",
        "/,",
        "/1,",
        "/,5",
        "/5,1",
        "/0,4",
        "/0,5",
        "/01,5",
        "/1,05",
        "/+1,5",
        "/-1,5",
        "/1.0,5",
        "/1,99999999999999999999",
        "/%31,5",
        "/1%2C5%2C9",
        "/01%2C5",
        "/1%252C5",
        "/1,5%20",
        "/0",
        "/01",
        "/+1",
        "/-1",
        "/1.0",
        "/99999999999999999999",
        "/LOG",
        "/%FF",
    ] {
        assert_problem(&get(&url, below).await, 400, "malformed-page-id");
    }
    for (below, enclosing) in [("/2,6", "1,5"), ("/5,9", "1,5"), ("/13,17", "11,15")] {
        let answer = get(&url, below).await;
        assert_problem(&answer, 400, "misaligned-page");
        assert_eq!(answer.json()["page_size"], 5);
        assert_eq!(answer.json()["enclosing_page"], enclosing);
        assert_eq!(get(&url, &format!("/{enclosing}")).await.status, 200);
    }
    for below in ["/1,2", "/1,10", "/1,1", "/2,3", "/1,18446744073709551615"] {
        let answer = get(&url, below).await;
        assert_problem(&answer, 400, "wrong-page-size");
        assert_eq!(answer.json()["page_size"], 5);
    }
    for below in ["/14", "/100", "/18446744073709551615"] {
        assert_problem(&get(&url, below).await, 404, "unknown-notification");
    }
    assert_eq!(get(&url, "/14").await.json()["last"], 13);
    for path in [
        "/",
        "/orders",
        "/orders/notifications/",
        "/orders/notifications/1,5/",
        "/orders/notifications/1,5/x/y",
        "/problems/none",
    ] {
        assert_problem(&send_to(&url, "GET", path, &[]).await, 404, "unknown-path");
    }
}

#[tokio::test]
async fn every_problem_that_is_named_is_described() {
    let log = SmallLog::new(5).await;
    let url = served(&log).await;
    let answer = send_to(&url, "GET", "/problems/misaligned-page", &[]).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["status"], 400);
    assert!(
        answer.json()["advice"]
            .as_str()
            .unwrap()
            .contains("enclosing_page")
    );
    let all = send_to(&url, "GET", "/problems", &[]).await.json();
    let slugs: BTreeSet<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["slug"].to_string())
        .collect();
    assert_eq!(slugs.len(), boxes_http::ProblemKind::ALL.len());
    let answer = send_to(&url, "POST", "/problems", &[("content-length", "0")]).await;
    assert_problem(&answer, 405, "method-not-allowed");
}

#[tokio::test]
async fn a_place_that_is_none_of_the_log_is_refused() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let (epoch, position) = ("notification-log-epoch", "notification-log-position");
    let this = EPOCH.to_string();
    let other = "00000000-0000-0000-0000-000000000009";
    for below in ["", "/1,5", "/11,15", "/16,20", "/7", "/log"] {
        for place in ["0", "12", "13"] {
            let answer = send(&url, "GET", below, &[(epoch, &this), (position, place)]).await;
            assert_eq!(answer.status, 200, "{below} {place}");
        }
        for place in ["14", "15", "16", "1000", "18446744073709551615"] {
            let answer = send(&url, "GET", below, &[(epoch, &this), (position, place)]).await;
            assert_problem(&answer, 409, "ahead-of-log");
            assert_eq!(answer.json()["last"], 13);
        }
        let answer = send(&url, "GET", below, &[(epoch, other), (position, "1000")]).await;
        assert_problem(&answer, 409, "epoch-changed");
        assert_eq!(answer.json()["epoch"], this);
        for place in ["-1", "+1", "01", "", "x", "1,5"] {
            let answer = send(&url, "GET", below, &[(position, place)]).await;
            assert_problem(&answer, 400, "malformed-resume-point");
        }
        let answer = send(&url, "GET", below, &[(epoch, "x")]).await;
        assert_problem(&answer, 400, "malformed-resume-point");
    }
}

/// As another process serves it, which asks for the head so seldom that it never learns of it by that.
async fn served_by_another_process(log: &SmallLog) -> Url {
    let bounds = GroupCommitBounds {
        head_poll_interval: support::DEADLINE * 1_000,
        ..GroupCommitBounds::default()
    };
    let another = GroupCommit::start(Arc::clone(log.writer().recorder()), bounds)
        .await
        .unwrap();
    serve(Arc::new(LocalNotificationLog::new(&another)), options()).await
}

#[tokio::test]
async fn the_current_page_is_kept_by_nobody_when_another_process_wrote_beyond_it() {
    let log = SmallLog::with(5, 13).await;
    let url = served_by_another_process(&log).await;
    assert_eq!(get(&url, "/log").await.json()["last"], 13);
    log.append(20).await;
    let current = get(&url, "").await;
    assert_eq!(current.header("cache-control"), Some("no-cache"));
    let page = current.json();
    assert_eq!((&page["id"], &page["last"]), (&json!("31,35"), &json!(33)));
    let known = get_if_changed(&url, "", current.header("etag").unwrap()).await;
    assert_eq!(known.status, 304);
}

#[tokio::test]
async fn a_place_that_another_process_wrote_is_one_of_the_log() {
    let log = SmallLog::with(5, 13).await;
    let url = served_by_another_process(&log).await;
    assert_eq!(get(&url, "/log").await.json()["last"], 13);
    log.append(20).await;
    for place in ["13", "14", "15", "16", "33"] {
        let answer = send(&url, "GET", "/1,5", &[("notification-log-position", place)]).await;
        assert_eq!(answer.status, 200, "{place}");
    }
    let answer = send(&url, "GET", "/1,5", &[("notification-log-position", "34")]).await;
    assert_problem(&answer, 409, "ahead-of-log");
    assert_eq!(get(&url, "").await.json()["id"], "31,35");
    // And a page that was known to be growing is archived once it was read.
    assert_eq!(get(&url, "/11,15").await.json()["archived"], true);
}

#[tokio::test]
async fn a_single_notification_is_the_item_of_its_page() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for id in [1_u64, 10, 13] {
        let single = get(&url, &pinned(&format!("/{id}"))).await;
        let mut body = single.json();
        assert_eq!(single.header("etag"), Some(tag(&id.to_string()).as_str()));
        assert_eq!(
            single.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
        let page = body_links(&single)["collection"].clone();
        assert_eq!(body["log"], "orders");
        for beyond in ["log", "epoch", "links"] {
            body.as_object_mut().unwrap().remove(beyond);
        }
        let page = send_to(&url, "GET", &page, &[]).await.json();
        let item = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["id"] == id);
        assert_eq!(Some(&body), item);
        assert_eq!(body["event_id"], small_event(id).event_id.to_string());
    }
}

#[tokio::test]
async fn the_description_has_what_a_reader_needs_to_count() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let description = get(&url, "/log").await;
    assert_eq!(description.header("cache-control"), Some("no-cache"));
    let body = description.json();
    assert_eq!(
        body,
        json!({
            "name": "orders", "epoch": EPOCH.to_string(), "page_size": 5, "first_available": 1, "last": 13, "redacted": 0,
            "formats": FORMATS, "uri_template": at("/{low},{high}"),
            "links": {
                "self": "/orders/notifications/log", "current": "/orders/notifications",
                "first": at("/1,5"), "stream": "/orders/notifications/stream",
                "alternate": [{ "href": "/orders/notifications/log", "type": "text/html" }],
            },
        })
    );
    log.append(1).await;
    let tag = description.header("etag").unwrap();
    assert_eq!(get_if_changed(&url, "/log", tag).await.json()["last"], 14);
}

#[tokio::test]
async fn state_and_metadata_lie_in_the_page_byte_for_byte() {
    let log = SmallLog::new(5).await;
    let mut event = small_event(1);
    let state = br#"{"b":1.50,  "a":[ "\u00e9",null ]}"#;
    event.state = state[..].into();
    let metadata = br#"{"traceparent":"00-\u0034"}"#;
    event.metadata = metadata[..].into();
    log.append_events(vec![event]).await;
    let url = served(&log).await;
    for below in ["", "/1"] {
        let body = get(&url, below).await.body;
        let holds = |part: &[u8]| body.windows(part.len()).any(|bytes| bytes == part);
        assert!(holds(state) && holds(metadata));
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_without_what_it_said() {
    let log = SmallLog::with(5, 13).await;
    let failing = FailingLog::new(log.near(), Plan::Sections(FailingLog::unavailable()));
    let url = serve(Arc::new(failing), options()).await;
    for below in ["", "/1,5", "/7"] {
        let answer = get(&url, below).await;
        assert_problem(&answer, 503, "store-unavailable");
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert!(!String::from_utf8(answer.body).unwrap().contains("planned"));
    }
    let pruned = FailingLog::new(log.near(), Plan::PrunedBefore(6));
    let url = serve(Arc::new(pruned), options()).await;
    let answer = get(&url, "/1,5").await;
    assert_problem(&answer, 410, "page-pruned");
    assert_eq!(answer.json()["first_available"], 6);
    // A page with a hole is not given away, least of all to be kept for ever.
    let holed = FailingLog::new(log.near(), Plan::WithoutItem(2));
    let url = serve(Arc::new(holed), options()).await;
    for below in ["/1,5", "/1", "/2"] {
        assert_problem(&get(&url, below).await, 500, "log-damaged");
    }
    assert_eq!(get(&url, "/6,10").await.status, 200);
}

#[tokio::test]
async fn a_page_that_many_ask_for_at_once_is_read_once() {
    let log = SmallLog::with(5, 13).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let near: Arc<dyn NotificationLog> = counting.clone();
    let url = serve(near, options()).await;
    for below in ["/1,5", "/11,15"] {
        let before = counting.sections_read.load(Ordering::Relaxed);
        let asking: Vec<_> = (0..50)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { get(&url, below).await })
            })
            .collect();
        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await.unwrap());
        }
        assert!(
            answers
                .iter()
                .all(|answer| *answer == answers[0] && answer.status == 200)
        );
        assert_eq!(
            counting.sections_read.load(Ordering::Relaxed),
            before + 1,
            "{below}"
        );
    }
}

#[tokio::test]
async fn only_an_address_that_carries_the_epoch_is_kept_for_ever() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    let immutable = Some("public, max-age=31536000, immutable");
    for below in ["/1,5", "/7"] {
        let plain = get(&url, below).await;
        assert_eq!(plain.header("cache-control"), Some("no-cache"), "{below}");
        let for_ever = get(&url, &pinned(below)).await;
        assert_eq!(for_ever.header("cache-control"), immutable, "{below}");
        assert_eq!(
            (&plain.body, plain.header("etag")),
            (&for_ever.body, for_ever.header("etag"))
        );
    }
    for below in ["/11,15", "/16,20"] {
        let growing = get(&url, &pinned(below)).await;
        assert_ne!(growing.header("cache-control"), immutable, "{below}");
    }

    let other = "00000000-0000-4000-8000-000000000009";
    let this = EPOCH.to_string();
    for below in ["/1,5", "/7", "/11,15", "/16,20"] {
        let answer = get(&url, &format!("/{other}{below}")).await;
        assert_problem(&answer, 409, "epoch-changed");
        assert_eq!(answer.json()["epoch"], this);
        // The header and the address name two epochs: one of them is another history's.
        let header = [("notification-log-epoch", other)];
        let answer = send(&url, "GET", &pinned(below), &header).await;
        assert_problem(&answer, 409, "epoch-changed");
        // An epoch has one form.
        for form in [this.to_uppercase(), EPOCH.simple().to_string()] {
            if form != this {
                let answer = get(&url, &format!("/{form}{below}")).await;
                assert_problem(&answer, 400, "malformed-page-id");
            }
        }
    }
    for segment in ["x", "1", "1,5", "log"] {
        let answer = get(&url, &format!("/{segment}/1,5")).await;
        assert_problem(&answer, 400, "malformed-page-id");
    }
}

#[tokio::test]
async fn a_parameter_that_a_resource_does_not_have_is_refused_with_those_that_it_has() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for (below, known) in [
        ("", json!(["after", "wait"])),
        ("/1,5", json!([])),
        ("/7", json!([])),
        ("/log", json!([])),
        ("/stream", json!(["after", "event"])),
        ("/feed", json!(["lastEventId", "timeout"])),
        (&pinned("/1,5"), json!([])),
        (&pinned("/7"), json!([])),
    ] {
        for query in ["?x=1", "?page=2&after=1", "?After=1", "?&"] {
            for method in ["GET", "HEAD"] {
                let answer = send(&url, method, &format!("{below}{query}"), &[]).await;
                assert_eq!(answer.status, 400, "{below}{query}");
            }
            let answer = get(&url, &format!("{below}{query}")).await;
            assert_problem(&answer, 400, "unknown-parameter");
            assert_eq!(answer.json()["parameters"], known, "{below}{query}");
        }
    }
    assert_eq!(send_to(&url, "GET", "/problems?x", &[]).await.status, 400);
}

#[tokio::test]
async fn other_public_bases_make_other_bodies_under_other_tags() {
    let log = SmallLog::with(5, 13).await;
    let mut seen = BTreeMap::new();
    for base in [None, Some("https://a.example"), Some("https://b.example/x")] {
        let options = NotificationLogOptions {
            public_base: base.map(|base| base.parse().unwrap()),
            ..options()
        };
        let url = serve(log.near(), options).await;
        for below in ["", "/1,5", "/7", "/log"] {
            for format in FORMATS {
                let answer = send(&url, "GET", below, &[("accept", format)]).await;
                let Some(tag) = answer.header("etag").map(str::to_owned) else {
                    continue;
                };
                let one = (below, tag);
                let all = (
                    answer.body.clone(),
                    answer.header("link").map(str::to_owned),
                );
                if let Some(before) = seen.insert(one.clone(), all.clone()) {
                    assert_eq!(before, all, "{one:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_names_another_state_is_not_answered_with_this_one() {
    let log = SmallLog::with(5, 13).await;
    let url = served(&log).await;
    for below in ["", "/1,5", "/7", "/log"] {
        let tag = get(&url, below).await.header("etag").unwrap().to_owned();
        for (named, status) in [
            (tag.clone(), 200),
            (format!("\"x\", {tag}"), 200),
            ("*".to_owned(), 200),
            ("\"x\"".to_owned(), 412),
            (format!("W/{tag}"), 412),
        ] {
            let answer = send(&url, "GET", below, &[("if-match", &named)]).await;
            assert_eq!(answer.status, status, "{below} {named}");
            if status == 412 {
                assert_problem(&answer, 412, "precondition-failed");
            }
        }
        // What the request may have already comes after what it must have.
        let both = [("if-match", "\"x\""), ("if-none-match", &*tag)];
        assert_eq!(send(&url, "GET", below, &both).await.status, 412);
        let both = [("if-match", &*tag), ("if-none-match", &*tag)];
        assert_eq!(send(&url, "GET", below, &both).await.status, 304);
    }
    let missing = send(&url, "GET", "/99", &[("if-match", "*")]).await;
    assert_eq!(missing.status, 404);
}
