//! Pages as `IDDD_Samples` have them, from outside.
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
use boxes_testing::log_fixture::{SmallLog, small_event};
use bytes::Bytes;
use serde_json::{Value, json};
use support::{PATH, send, serve};
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
    assert_eq!(
        archived["linkSelf"],
        link("self", "/orders/notifications/1,5")
    );
    assert_eq!(archived["linkPrevious"], Value::Null);
    assert_eq!(
        archived["linkNext"],
        link("next", "/orders/notifications/6,10")
    );
    let (_, current) = get(&url, "").await;
    assert_eq!(current["archived"], false);
    assert_eq!(
        current["linkSelf"],
        link("self", "/orders/notifications/6,10")
    );
    assert_eq!(
        current["linkPrevious"],
        link("previous", "/orders/notifications/1,5")
    );
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
