//! A reader that finds its way by `Link` headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, LINK};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use boxes_http::{NotificationLogOptions, NotificationLogResource, RemoteOptions};
use boxes_notification_log::{LogError, Navigation, NotificationLogReader, SectionId, SectionLink};
use boxes_testing::log_fixture::{EPOCH, SmallLog};
use serde_json::Value;
use support::{PATH, remote, remote_with, serve, serve_router};
use tower::ServiceExt;
use url::Url;

/// Where the other server has its pages: nowhere that follows from an id by the template of a box.
const PAGES: &str = "/archive/page";

/// A server that is none of ours: its pages have addresses of its own, which stand in `Link` alone, since its bodies
/// have no links. `changed` is what becomes of that header's text.
async fn other_server(log: &SmallLog, changed: fn(String) -> String) -> Url {
    let options = NotificationLogOptions::new(PATH);
    let resource = NotificationLogResource::new(log.near(), options).unwrap();
    let inner: Router = resource.into_router();
    let answer = move |request: Request| {
        let inner = inner.clone();
        async move {
            let path = request.uri().path();
            let path = match path.strip_prefix(PAGES) {
                Some(id) => format!("{PATH}/{}", id.replace('-', ",")),
                None if path == PATH => PATH.to_owned(),
                None => return StatusCode::NOT_FOUND.into_response(),
            };
            let asked = Request::get(path).body(Body::empty()).unwrap();
            without_links(inner.oneshot(asked).await.unwrap(), changed).await
        }
    };
    let router = Router::new().fallback(answer);
    serve_router(router).await.join(PATH).unwrap()
}

async fn without_links(page: Response, changed: fn(String) -> String) -> Response {
    let (mut head, body) = page.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut document: Value = serde_json::from_slice(&body).unwrap();
    document.as_object_mut().unwrap().remove("links").unwrap();
    let link = head.headers[LINK].to_str().unwrap();
    let elsewhere = |id: &str| format!("{PAGES}{}", id.replace(',', "-"));
    let mut written = String::new();
    for part in link.split_inclusive('>') {
        let address = part.split_once(&format!("<{PATH}/{EPOCH}/"));
        match address.and_then(|(before, id)| Some((before, id.strip_suffix('>')?))) {
            Some((before, id)) => written.push_str(&format!("{before}<{}>", elsewhere(id))),
            None => written.push_str(part),
        }
    }
    let written = HeaderValue::from_str(&changed(written)).unwrap();
    head.headers.insert(LINK, written);
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(document.to_string()))
}

async fn read_by_links(url: &Url) -> Result<Vec<u64>, LogError> {
    let mut reader =
        NotificationLogReader::new(remote(url), None).with_navigation(Navigation::Links);
    let mut read = Vec::new();
    loop {
        let batch = reader.next_batch().await?;
        read.extend(batch.iter().map(|item| item.id));
        if !reader.has_more() {
            return Ok(read);
        }
    }
}

#[tokio::test]
async fn a_log_whose_bodies_have_no_links_is_read_whole_by_its_link_headers() {
    let log = SmallLog::with(5, 13).await;
    let url = other_server(&log, |link| link).await;
    assert_eq!(read_by_links(&url).await.unwrap(), Vec::from_iter(1..=13));
    let current = remote(&url).current().await.unwrap();
    let previous = current.previous.unwrap();
    assert!(previous.href.unwrap().ends_with("/archive/page6-10"));
}

#[tokio::test]
async fn a_header_is_read_by_its_grammar_and_not_by_its_looks() {
    let log = SmallLog::with(5, 13).await;
    // What others write: relations in other cases and orders, parameters between, values with commas and signs.
    let url = other_server(&log, |link| {
        let link = link
            .replace(
                "rel=\"next\"",
                "title=\"<x>; rel=\\\"prev\\\", <y>\" ; REL = Next",
            )
            .replace("rel=\"prev\"", "rel=up")
            .replace("rel=\"previous\"", "x; rel=\"up previous\"; rel=next");
        format!(", </style.css,1>; rel=preload; as=style,,{link}, ")
    })
    .await;
    assert_eq!(read_by_links(&url).await.unwrap(), Vec::from_iter(1..=13));
}

#[tokio::test]
async fn a_way_that_leads_to_two_places_is_refused_with_both_of_them() {
    let log = SmallLog::with(5, 13).await;
    let url = other_server(&log, |link| format!("{link}, <{PAGES}1-5>; rel=\"prev\"")).await;
    let refused = read_by_links(&url).await.unwrap_err();
    assert!(matches!(refused, LogError::Garbage { .. }), "{refused:?}");
    for part in ["/archive/page6-10", "/archive/page1-5", "`Link` header"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

#[tokio::test]
async fn a_header_leads_within_the_origin_of_the_log_only() {
    let log = SmallLog::with(5, 13).await;
    let url = other_server(&log, |link| {
        link.replace("</archive", "<http://127.0.0.1:9/archive")
    })
    .await;
    let refused = read_by_links(&url).await.unwrap_err();
    assert!(matches!(refused, LogError::Garbage { .. }), "{refused:?}");
    assert!(refused.to_string().contains("another origin"), "{refused}");
}

#[tokio::test]
async fn a_box_is_read_by_links_as_before_and_a_page_that_nothing_leads_to_by_its_id() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    assert_eq!(read_by_links(&url).await.unwrap(), Vec::from_iter(1..=13));
    let far = remote(&url);
    let id: SectionId = "6,10".parse().unwrap();
    assert_eq!(far.section(&id.into()).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn a_link_with_an_encoded_comma_leads_to_the_page_within_the_bound_for_redirects() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    let link = SectionLink {
        id: "6,10".parse().unwrap(),
        href: Some(format!("{PATH}/6%2C10")),
    };
    let page = remote(&url).section(&link).await.unwrap();
    assert_eq!(page.items.len(), 5);
    // What the page says of its neighbours is relative to where it was found.
    assert_eq!(
        page.next.unwrap().href.as_deref(),
        Some(&*format!("{url}/{EPOCH}/11,15"))
    );
    let without = RemoteOptions {
        max_redirects: 0,
        ..RemoteOptions::default()
    };
    let refused = remote_with(&url, without).section(&link).await.unwrap_err();
    assert!(matches!(refused, LogError::Garbage { .. }), "{refused:?}");
}
