//! Pages as `IDDD_Samples` have them, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use boxes_http::{Dialects, NotificationLogOptions, unknown_path};
use boxes_recorder::Encoding;
use boxes_testing::log_fixture::{EPOCH, SmallLog, small_event};
use bytes::Bytes;
use serde_json::{Value, json};
use support::{PATH, send, serve, serve_router};
use url::Url;

const IDDD: &str = "application/vnd.saasovation.idovation+json";

async fn get(url: &Url, below: &str) -> (String, Value) {
    let answer = send(url, "GET", below, &[("accept", IDDD)]).await;
    assert_eq!(answer.status, 200, "{below}");
    assert_eq!(answer.header("content-type"), Some(IDDD));
    (
        String::from_utf8(answer.body.clone()).unwrap(),
        answer.json(),
    )
}

/// The address for ever of what is below the path.
fn at(below: &str) -> String {
    format!("{PATH}/{EPOCH}{below}")
}

fn link(relation: &str, href: &str) -> Value {
    json!({ "href": href, "rel": relation, "title": null, "type": IDDD })
}

#[tokio::test]
async fn a_page_has_the_members_of_the_book_and_no_other() {
    let log = SmallLog::with(5, 7).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    let (text, archived) = get(&url, "/1,5").await;
    assert!(
        text.starts_with(concat!(
            r#"{"archived":true,"id":"1,5","notifications":[{"event":{"customer":"ALFKI","n":1},"notificationId":1,"#,
            r#""occurredOn":"1795446000123","typeName":"orders.order.placed","version":1},"#,
        )),
        "{text}"
    );
    let names: Vec<_> = archived.as_object().unwrap().keys().collect();
    let expected = [
        "archived",
        "id",
        "linkNext",
        "linkPrevious",
        "linkSelf",
        "notifications",
    ];
    assert_eq!(names, expected);
    assert_eq!(archived["notifications"].as_array().unwrap().len(), 5);
    assert_eq!(archived["linkSelf"], link("self", &at("/1,5")));
    assert_eq!(archived["linkPrevious"], Value::Null);
    assert_eq!(archived["linkNext"], link("next", &at("/6,10")));
    let (_, current) = get(&url, "").await;
    assert_eq!(current["archived"], false);
    assert_eq!(current["linkSelf"], link("self", &at("/6,10")));
    assert_eq!(current["linkPrevious"], link("previous", &at("/1,5")));
    assert_eq!(current["linkNext"], Value::Null);
    let (_, single) = get(&url, "/7").await;
    assert_eq!(single, current["notifications"][1]);
}

#[tokio::test]
async fn state_that_is_not_plain_json_is_base64() {
    let log = SmallLog::new(5).await;
    let mut sealed = small_event(1);
    sealed.encoding = Encoding::new("json+zlib");
    sealed.state = Bytes::from_static(b"\0\x01\xff");
    log.append_events(vec![sealed]).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    let (_, page) = get(&url, "").await;
    assert_eq!(page["notifications"][0]["event"], "AAH/");
}

#[tokio::test]
async fn by_its_own_path_pages_are_of_twenty_and_links_are_absolute_where_a_base_is_known() {
    let log = SmallLog::with(7, 20).await;
    let dialects = Dialects::new(log.near(), "/orders/compat").unwrap();
    let base = Some("https://shop.example/".parse().unwrap());
    let router = dialects.public_base(base).into_router();
    let url = serve_router(router.fallback(unknown_path)).await;
    let url = url.join("/orders/compat/iddd/notifications").unwrap();
    let path = "https://shop.example/orders/compat/iddd/notifications";
    let page = async |below: &str| {
        let answer = send(&url, "GET", below, &[]).await;
        assert_eq!(answer.header("content-type"), Some(IDDD), "{below}");
        answer
    };
    // At an exact multiple the full page is the current one, and has no next.
    let full = page("").await;
    assert_eq!(full.json()["id"], "1,20");
    assert_eq!(full.json()["archived"], false);
    assert_eq!(full.json()["linkNext"], Value::Null);
    assert_eq!(full.header("cache-control"), Some("no-cache"));
    assert_eq!(page("/1,20").await, full);
    log.append(3).await;
    let archived = page("/1,20/").await;
    assert_eq!(
        archived.json()["linkNext"],
        link("next", &format!("{path}/21,40"))
    );
    assert_eq!(
        archived.json()["notifications"].as_array().unwrap().len(),
        20
    );
    assert_eq!(archived.header("cache-control"), Some("no-cache"));
    assert_ne!(archived.header("etag"), full.header("etag"));
    let current = page("").await.json();
    assert_eq!(current["linkSelf"], link("self", &format!("{path}/21,40")));
    assert_eq!(
        current["linkPrevious"],
        link("previous", &format!("{path}/1,20"))
    );
    assert_eq!(current["notifications"][2]["notificationId"], 23);
    for (below, slug) in [
        ("/1,7", "wrong-page-size"),
        ("/2,21", "misaligned-page"),
        ("/x", "malformed-page-id"),
    ] {
        let refused = send(&url, "GET", below, &[]).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["type"], format!("/problems/{slug}"));
    }
}
