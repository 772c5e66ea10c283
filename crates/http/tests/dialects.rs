//! A log in the dialects of older systems, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use boxes_http::{Dialects, unknown_path};
use boxes_testing::log_fixture::{FailingLog, Plan, SmallLog, small_event};
use serde_json::{Value, json};
use support::{Raw, send, serve_router};
use url::Url;

async fn serve(log: &SmallLog) -> Url {
    let dialects = Dialects::new(log.near(), "/orders/compat").expect("the path can be served");
    let router = dialects.into_router().fallback(unknown_path);
    serve_router(router).await.join("/orders/compat").unwrap()
}

async fn get(url: &Url, below: &str) -> Raw {
    let answer = send(url, "GET", below, &[]).await;
    assert_eq!(
        answer.status,
        200,
        "{below}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    answer
}

/// The ids of the notifications in a body, which is a list or has `items`.
fn ids(body: &Value) -> Vec<u64> {
    let items = body.as_array().or_else(|| body["items"].as_array());
    let items = items.expect("notifications").iter();
    items.map(|item| item["id"].as_u64().unwrap()).collect()
}

/// Status and the last part of the `type` of what is refused.
async fn refusal(url: &Url, below: &str) -> (u16, String) {
    let answer = send(url, "GET", below, &[]).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let kind = answer.json()["type"].as_str().unwrap().to_owned();
    (
        answer.status,
        kind.trim_start_matches("/problems/").to_owned(),
    )
}

#[tokio::test]
async fn a_section_that_is_asked_for_with_an_encoded_comma_is_at_its_one_address() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(&log).await;
    for (below, location) in [
        ("/eventsourcing-9/3%2C12", "/eventsourcing-9/3,12"),
        ("/eventsourcing-8/6%2c10/", "/eventsourcing-8/6,10/"),
        (
            "/eventsourcing-1/orders/6%2C10/",
            "/eventsourcing-1/orders/6,10/",
        ),
        ("/iddd/notifications/1%2C20", "/iddd/notifications/1,20"),
    ] {
        let moved = send(&url, "GET", below, &[]).await;
        assert_eq!(moved.status, 308, "{below}");
        let location = format!("/orders/compat{location}");
        assert_eq!(moved.header("location"), Some(&*location));
        let there = support::send_to(&url, "GET", &location, &[]).await;
        assert_eq!(there.status, 200, "{location}");
        let read = there.json();
        assert!(read["items"].is_array() || read["notifications"].is_array());
    }
    assert_eq!(refusal(&url, "/eventsourcing-9/01%2C5").await.0, 400);
    let base = Some("https://shop.example/".parse().unwrap());
    let dialects = Dialects::new(log.near(), "/orders/compat").unwrap();
    let based = serve_router(dialects.public_base(base).into_router()).await;
    let path = "/orders/compat/iddd/notifications/1%2C20";
    let moved = support::send_to(&based, "GET", path, &[]).await;
    let location = "https://shop.example/orders/compat/iddd/notifications/1,20";
    assert_eq!(moved.header("location"), Some(location));
}

#[tokio::test]
async fn version_9_gets_a_section_of_at_most_10_from_anywhere() {
    let url = serve(&SmallLog::with(20, 25).await).await;
    let page = get(&url, "/eventsourcing-9/18,22").await.json();
    assert_eq!(page["id"], "18,22");
    assert_eq!(page["next_id"], "23,27");
    assert_eq!(ids(&page), [18, 19, 20, 21, 22]);
    assert_eq!(
        page["items"][0],
        json!({
            "id": 18,
            "originator_id": "00000020000000000000000000000012",
            "originator_version": 1,
            "topic": "orders.order.placed",
            "state": "eyJjdXN0b21lciI6IkFMRktJIiwibiI6MTh9",
        })
    );
    for (asked, id, next, n_items) in [
        ("1,20", json!("1,10"), json!("11,20"), 10),
        ("0,3", json!("1,3"), json!("4,6"), 3),
        ("16,25", json!("16,25"), json!("26,35"), 10),
        ("21,30", json!("21,25"), Value::Null, 5),
        ("26,35", Value::Null, Value::Null, 0),
        ("5,4", Value::Null, Value::Null, 0),
        (
            "18446744073709551615,18446744073709551615",
            Value::Null,
            Value::Null,
            0,
        ),
    ] {
        for slash in ["", "/"] {
            let page = get(&url, &format!("/eventsourcing-9/{asked}{slash}"))
                .await
                .json();
            assert_eq!((&page["id"], &page["next_id"]), (&id, &next), "{asked}");
            assert_eq!(ids(&page).len(), n_items, "{asked}");
        }
    }
}

#[tokio::test]
async fn version_9_selects_by_query() {
    let log = SmallLog::with(4, 12).await;
    let events = (13..=20).map(|n| {
        let mut event = small_event(n);
        if n % 3 == 0 {
            event.topic = "orders.order.paid".into();
        }
        event
    });
    log.append_events(events.collect()).await;
    let url = serve(&log).await;
    for (query, expected) in [
        ("", (1..=10).collect()),
        ("?limit=3", vec![1, 2, 3]),
        ("?start=&limit=2", vec![1, 2]),
        ("?start=0&limit=2", vec![1, 2]),
        ("?start=7&limit=2", vec![7, 8]),
        ("?start=7&limit=2&inclusive_of_start=False", vec![8, 9]),
        ("?start=7&limit=2&inclusive_of_start=true", vec![7, 8]),
        ("?start=20&inclusive_of_start=false", vec![]),
        ("?topic=orders.order.paid", vec![15, 18]),
        ("?topics=orders.order.paid&limit=1", vec![15]),
        ("?start=19&topic=orders.order.paid", vec![]),
        (
            "?start=16&topic=orders.order.paid&topic=orders.order.placed",
            vec![16, 17, 18, 19, 20],
        ),
        ("?topic=nothing", vec![]),
        ("?start=18446744073709551615", vec![]),
    ] {
        let answer = get(&url, &format!("/eventsourcing-9{query}")).await.json();
        assert!(answer.is_array(), "{query}: {answer}");
        assert_eq!(ids(&answer), expected, "{query}");
    }
}

#[tokio::test]
async fn version_9_is_never_told_that_the_log_ends_where_a_rare_topic_is_still_to_come() {
    let log = SmallLog::with(1_000, 12_000).await;
    let mut rare = small_event(12_001);
    rare.topic = "rare".into();
    log.append_events(vec![rare]).await;
    let url = serve(&log).await;
    // As the library's reader does it: it goes on after the last of each answer, to the first empty one.
    let (mut start, mut found, mut n_answers) = (0, Vec::new(), 0);
    loop {
        let below = format!("/eventsourcing-9?start={start}&topic=rare&inclusive_of_start=false");
        let answer = get(&url, &below).await.json();
        let Some(last) = ids(&answer).last().copied() else {
            break;
        };
        let items = answer.as_array().unwrap().iter();
        found.extend(
            items
                .filter(|i| i["topic"] == "rare")
                .map(|i| i["id"].clone()),
        );
        (start, n_answers) = (last, n_answers + 1);
    }
    assert_eq!(found, [12_001]);
    assert_eq!(n_answers, 2, "what one request looks at is bounded");
}

#[tokio::test]
async fn version_8_gets_the_section_around_what_it_names() {
    let log = SmallLog::with(5, 7).await;
    let url = serve(&log).await;
    let first = get(&url, "/eventsourcing-8/1,5/").await;
    let text = String::from_utf8(first.body.clone()).unwrap();
    assert!(
        text.starts_with(r#"{"section_id":"1,5","items":[{"id":1,"#),
        "{text}"
    );
    assert!(
        text.ends_with(r#"],"previous_id":null,"next_id":"6,10"}"#),
        "{text}"
    );
    let first = first.json();
    assert_eq!(first.as_object().unwrap().len(), 4);
    assert_eq!(
        first["items"][1],
        json!({
            "id": 2,
            "originator_id": {"UUID": "00000020000000000000000000000002"},
            "originator_version": 1,
            "topic": "orders.order.placed",
            "state": {"__bytes__": "eyJjdXN0b21lciI6IkFMRktJIiwibiI6Mn0="},
            "causal_dependencies": null,
        })
    );
    for below in ["/6,10/", "/6,10", "/8,12/", "/10,1/", "/current/"] {
        let page = get(&url, &format!("/eventsourcing-8{below}")).await.json();
        assert_eq!(page["section_id"], "6,10", "{below}");
        assert_eq!(page["previous_id"], "1,5", "{below}");
        assert_eq!(page["next_id"], Value::Null, "{below}");
        assert_eq!(ids(&page), [6, 7], "{below}");
    }
    assert_eq!(get(&url, "/eventsourcing-8/section_size/").await.body, b"5");
    log.append(3).await;
    let full = get(&url, "/eventsourcing-8/6,10/").await.json();
    assert_eq!(full["next_id"], "11,15", "a full section has a next one");
    let current = get(&url, "/eventsourcing-8/current/").await.json();
    assert_eq!(current["section_id"], "11,15");
    assert_eq!(current["previous_id"], "6,10");
    assert!(ids(&current).is_empty());
}

#[tokio::test]
async fn the_form_of_2017_has_four_members_and_a_next_only_where_there_is_something() {
    let log = SmallLog::with(5, 5).await;
    let url = serve(&log).await;
    let full = get(&url, "/eventsourcing-1/orders/1,5/").await;
    let text = String::from_utf8(full.body.clone()).unwrap();
    let first = concat!(
        r#"{"id":"1,5","items":[{"id":1,"originator_id":{"UUID":"00000020000000000000000000000001"},"#,
        r#""originator_version":1,"topic":"orders.order.placed","state":"{\"customer\":\"ALFKI\",\"n\":1}"},"#,
    );
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.ends_with(r#"],"previous_id":null,"next_id":null}"#),
        "{text}"
    );
    assert_eq!(full.header("cache-control"), Some("no-cache"));
    // At an exact multiple the current one is the next, and empty.
    assert_eq!(
        get(&url, "/eventsourcing-1/orders/current/").await.body,
        br#"{"id":"6,10","items":[],"previous_id":"1,5","next_id":null}"#
    );
    log.append(2).await;
    let archived = get(&url, "/eventsourcing-1/orders/1,5/").await;
    assert_eq!(archived.json()["next_id"], "6,10");
    // No epoch is part of its address.
    assert_eq!(archived.header("cache-control"), Some("no-cache"));
    assert_ne!(archived.header("etag"), full.header("etag"));
    for below in ["/6,10/", "/6,10", "/current", "/current/"] {
        let page = get(&url, &format!("/eventsourcing-1/orders{below}")).await;
        let page = page.json();
        assert_eq!(ids(&page), [6, 7], "{below}");
        assert_eq!(page.as_object().unwrap().len(), 4);
    }
    for (below, status, slug) in [
        ("/orders/2,6/", 400, "misaligned-page"),
        ("/orders/1,10/", 400, "wrong-page-size"),
        ("/orders/x/", 400, "malformed-page-id"),
        ("/payments/1,5/", 404, "unknown-path"),
    ] {
        let refused = refusal(&url, &format!("/eventsourcing-1{below}")).await;
        assert_eq!(refused, (status, slug.to_owned()), "{below}");
    }
}

#[tokio::test]
async fn an_empty_log_has_empty_answers() {
    let url = serve(&SmallLog::new(20).await).await;
    assert_eq!(get(&url, "/eventsourcing-9").await.body, b"[]");
    assert_eq!(
        get(&url, "/eventsourcing-9/1,10").await.json(),
        json!({"id": null, "next_id": null, "items": []})
    );
    assert_eq!(
        get(&url, "/eventsourcing-8/current/").await.json(),
        json!({"section_id": "1,20", "items": [], "previous_id": null, "next_id": null})
    );
}

#[tokio::test]
async fn what_is_whole_stays_the_same_and_everything_is_asked_for_again() {
    let log = SmallLog::with(5, 7).await;
    let url = serve(&log).await;
    for below in [
        "/eventsourcing-9/1,7",
        "/eventsourcing-9?start=2&limit=5",
        "/eventsourcing-8/1,5/",
    ] {
        let before = get(&url, below).await;
        assert_eq!(before.header("cache-control"), Some("no-cache"), "{below}");
        log.append(3).await;
        assert_eq!(get(&url, below).await, before, "{below}");
        let tag = before.header("etag").unwrap();
        let again = send(&url, "GET", below, &[("if-none-match", tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{below}");
    }
    for below in [
        "/eventsourcing-9/11,20",
        "/eventsourcing-9?start=14",
        "/eventsourcing-8/current/",
    ] {
        let before = get(&url, below).await;
        assert_eq!(before.header("cache-control"), Some("no-cache"), "{below}");
        let tag = before.header("etag").unwrap();
        let same = send(&url, "GET", below, &[("if-none-match", tag)]).await;
        assert_eq!(same.status, 304, "{below}");
        log.append(1).await;
        let grown = send(&url, "GET", below, &[("if-none-match", tag)]).await;
        assert_eq!(grown.status, 200, "{below}");
        assert_ne!(grown.header("etag"), Some(tag), "{below}");
    }
    for below in ["/eventsourcing-9/100,109", "/eventsourcing-8/section_size/"] {
        let answer = get(&url, below).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{below}");
        assert_eq!(answer.header("etag"), None, "{below}");
    }
}

#[tokio::test]
async fn what_is_known_is_answered_without_reading_events() {
    let log = SmallLog::with(5, 13).await;
    let plain = serve(&log).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let dialects = Dialects::new(counting.clone(), "/orders/compat").unwrap();
    let router = dialects.into_router().fallback(unknown_path);
    let url = serve_router(router).await.join("/orders/compat").unwrap();
    for below in [
        "/eventsourcing-9/1,10",
        "/eventsourcing-9/11,20",
        "/eventsourcing-9?start=4&limit=5",
        "/eventsourcing-8/1,5/",
        "/eventsourcing-1/orders/6,10/",
        "/eventsourcing-1/orders/11,15/",
        "/iddd/notifications/1,20",
        "/iddd/notifications",
    ] {
        let tag = get(&plain, below).await.header("etag").unwrap().to_owned();
        let answer = send(&url, "GET", below, &[("if-none-match", &tag)]).await;
        assert_eq!(answer.status, 304, "{below}");
        assert_eq!(answer.header("etag"), Some(&*tag));
    }
    assert_eq!(counting.sections_read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_same_sections_are_read_once_for_all_that_ask() {
    let log = SmallLog::with(5, 42).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let dialects = Dialects::new(counting.clone(), "/orders/compat").unwrap();
    let url = serve_router(dialects.into_router()).await;
    let url = url.join("/orders/compat").unwrap();
    let topics = "/eventsourcing-9?topic=orders.order.rare";
    for below in [
        topics,
        topics,
        "/eventsourcing-8/6,10/",
        "/eventsourcing-9/1,10",
    ] {
        assert_eq!(get(&url, below).await.status, 200);
        let read = counting.sections_read.load(Ordering::Relaxed);
        assert_eq!(read, 9, "{below}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_problem() {
    let url = serve(&SmallLog::with(5, 7).await).await;
    for below in [
        "/eventsourcing-9/1",
        "/eventsourcing-9/-1,10",
        "/eventsourcing-9/01,10",
        "/eventsourcing-9/1,x",
        "/eventsourcing-8/0,5/",
        "/eventsourcing-8/1,/",
        "/eventsourcing-8/last/",
    ] {
        let refused = refusal(&url, below).await;
        assert_eq!(refused, (400, "malformed-page-id".to_owned()), "{below}");
    }
    for query in [
        "limit=0",
        "limit=11",
        "limit=x",
        "limit=",
        "start=-1",
        "start=x",
        "inclusive_of_start=maybe",
    ] {
        let refused = refusal(&url, &format!("/eventsourcing-9?{query}")).await;
        assert_eq!(refused, (400, "malformed-request".to_owned()), "{query}");
    }
    for below in [
        "/eventsourcing-9?stop=3",
        "/eventsourcing-9/1,10?x=1",
        "/eventsourcing-8/1,5/?x=1",
    ] {
        let refused = refusal(&url, below).await;
        assert_eq!(refused, (400, "unknown-parameter".to_owned()), "{below}");
    }
    let other = (
        "notification-log-epoch",
        "00000000-0000-4000-8000-000000000009",
    );
    for header in [other, ("notification-log-position", "8")] {
        for below in ["/eventsourcing-9/1,10", "/eventsourcing-8/current/"] {
            let answer = send(&url, "GET", below, &[header]).await;
            assert_eq!(answer.status, 409, "{below} with {header:?}");
        }
    }
    let refused = refusal(&url, "/eventsourcing-7/1,5").await;
    assert_eq!(refused, (404, "unknown-path".to_owned()));
    let answer = send(&url, "POST", "/eventsourcing-9", &[]).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let answer = send(&url, "HEAD", "/eventsourcing-9/1,5", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}
