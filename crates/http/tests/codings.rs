//! Content codings, from outside: what is sent in which, by which tag it is known, and what a reader undoes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use boxes_http::{NotificationLogOptions, NotificationLogResource, RemoteOptions};
use boxes_notification_log::{LogError, NotificationLog, SectionId};
use boxes_testing::log_fixture::{FailingLog, Plan, SmallLog, small_event};
use bytes::Bytes;
use support::{PATH, Raw, remote, remote_with, send, serve, serve_router};
use url::Url;

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

fn options() -> NotificationLogOptions {
    NotificationLogOptions::new(PATH)
}

/// 13 notifications in pages of five, the second of which is a large one.
async fn log() -> SmallLog {
    let log = SmallLog::with(5, 1).await;
    let mut large = small_event(1_000);
    large.state = Bytes::from(format!("\"{}\"", "ALFKI ".repeat(20_000)));
    log.append_events(vec![large]).await;
    log.append(11).await;
    log
}

async fn get(url: &Url, below: &str, accept_encoding: &str) -> Raw {
    send(url, "GET", below, &[("accept-encoding", accept_encoding)]).await
}

/// Undone by the libraries, and not by what is tested.
fn undone(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    match coding {
        "zstd" => zstd::Decoder::new(body).unwrap().read_to_end(&mut whole),
        "br" => brotli::Decompressor::new(body, 4_096).read_to_end(&mut whole),
        _ => flate2::read::GzDecoder::new(body).read_to_end(&mut whole),
    }
    .unwrap();
    whole
}

fn done(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    match coding {
        "zstd" => zstd::stream::copy_encode(body, &mut coded, 1).unwrap(),
        "br" => brotli::CompressorWriter::new(&mut coded, 4_096, 1, 20)
            .write_all(body)
            .unwrap(),
        _ => flate2::write::GzEncoder::new(&mut coded, flate2::Compression::fast())
            .write_all(body)
            .unwrap(),
    }
    coded
}

/// The tag of a coded body, from that of the plain one.
fn suffixed(tag: &str, coding: &str) -> String {
    format!("{}.{coding}\"", tag.strip_suffix('"').unwrap())
}

#[tokio::test]
async fn an_archived_page_or_a_notification_is_the_same_in_every_coding() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    // Another process that serves the same log: a replica, or this one after a restart. It keeps nothing.
    let uncached = NotificationLogOptions {
        cache_bytes: 0,
        ..options()
    };
    let replica = serve(log.near(), uncached).await;
    for below in ["/1,5", "/6,10", "/2"] {
        let plain = get(&url, below, "identity").await;
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(send(&url, "GET", below, &[]).await, plain);
        for coding in CODINGS {
            let coded = get(&url, below, coding).await;
            assert_eq!(coded.status, 200);
            assert_eq!(undone(coding, &coded.body), plain.body, "{below} {coding}");
            assert!(coded.body.len() < plain.body.len());
            assert_eq!(coded.header("content-encoding"), Some(coding));
            let tag = suffixed(plain.header("etag").unwrap(), coding);
            assert_eq!(coded.header("etag"), Some(tag.as_str()));
            let length = coded.body.len().to_string();
            assert_eq!(coded.header("content-length"), Some(length.as_str()));
            assert_eq!(coded.header("vary"), Some("Accept, Accept-Encoding"));
            for same in ["content-type", "cache-control", "link", "vary"] {
                assert_eq!(coded.header(same), plain.header(same));
            }
            // To the byte, by whoever it is sent, once kept and once made.
            assert_eq!(get(&url, below, coding).await, coded);
            assert_eq!(get(&replica, below, coding).await, coded);
            let head = send(&url, "HEAD", below, &[("accept-encoding", coding)]).await;
            assert_eq!((head.headers, head.body.len()), (coded.headers, 0));
        }
    }
}

#[tokio::test]
async fn a_page_is_read_once_for_all_its_codings() {
    let log = log().await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let url = serve(counting.clone(), options()).await;
    for _ in 0..2 {
        for coding in ["gzip", "br", "zstd", "identity", "gzip, identity;q=0"] {
            assert_eq!(get(&url, "/6,10", coding).await.status, 200);
        }
    }
    assert_eq!(counting.sections_read.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_grows_or_is_small_goes_as_it_is_unless_that_is_refused() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    for below in ["", "/11,15", "/16,20", "/log"] {
        let plain = send(&url, "GET", below, &[]).await;
        assert_eq!(get(&url, below, "gzip, br, zstd").await, plain, "{below}");
        let coded = get(&url, below, "gzip, identity;q=0").await;
        assert_eq!(coded.header("content-encoding"), Some("gzip"), "{below}");
        assert_eq!(undone("gzip", &coded.body), plain.body);
        assert_eq!(coded.header("cache-control"), plain.header("cache-control"));
        let tag = plain.header("etag").map(|tag| suffixed(tag, "gzip"));
        assert_eq!(coded.header("etag"), tag.as_deref());
    }
}

#[tokio::test]
async fn the_tag_of_any_coding_that_the_request_takes_is_known() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    for below in ["/1,5", "/2", ""] {
        let plain = send(&url, "GET", below, &[]).await;
        let plain = plain.header("etag").unwrap().to_owned();
        let [gzip, br] = ["gzip", "br"].map(|coding| suffixed(&plain, coding));
        let both = format!("{plain}, W/{gzip}");
        for (accepted, known, answer) in [
            ("gzip", &gzip, Some(&gzip)),
            ("gzip", &plain, Some(&plain)),
            ("gzip, br;q=0.5", &br, Some(&br)),
            ("*", &br, Some(&br)),
            ("gzip", &br, None),
            ("identity", &gzip, None),
            ("gzip;q=0, *", &gzip, None),
            ("gzip, identity;q=0", &plain, None),
            ("gzip, identity;q=0", &both, Some(&gzip)),
        ] {
            let headers = [("accept-encoding", accepted), ("if-none-match", known)];
            // The first time a page is known by its tag alone, then from the cache.
            for _ in 0..2 {
                let raw = send(&url, "GET", below, &headers).await;
                let status = if answer.is_some() { 304 } else { 200 };
                assert_eq!(raw.status, status, "{below} {headers:?}");
                if let Some(tag) = answer {
                    assert_eq!(raw.header("etag"), Some(tag.as_str()));
                    assert_eq!((raw.header("content-encoding"), raw.body.len()), (None, 0));
                    assert!(
                        raw.header("vary")
                            .unwrap()
                            .starts_with("Accept, Accept-Encoding")
                    );
                }
            }
        }
        let headers = [("if-none-match", gzip.as_str())];
        // A request that says nothing of codings takes them all.
        assert_eq!(send(&url, "GET", below, &headers).await.status, 304);
    }
}

#[tokio::test]
async fn a_request_that_takes_no_coding_is_told_which_there_are() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    for below in ["", "/1,5", "/2", "/log"] {
        let refused = get(&url, below, "deflate, *;q=0").await;
        assert_eq!(refused.status, 406, "{below}");
        assert_eq!(
            refused.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert_eq!(refused.header("vary"), Some("Accept, Accept-Encoding"));
        let body = refused.json();
        assert_eq!(body["type"], "/problems/coding-not-acceptable");
        assert_eq!(
            body["offered"],
            serde_json::json!(["identity", "zstd", "br", "gzip"])
        );
    }
}

#[tokio::test]
async fn a_reader_asks_for_what_it_can_undo() {
    let log = log().await;
    let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let resource = NotificationLogResource::new(log.near(), options()).unwrap();
    let seeing = seen.clone();
    let router: Router =
        resource
            .into_router()
            .layer(from_fn(move |request: Request, next: Next| {
                let seen = seeing.clone();
                async move {
                    let response = next.run(request).await;
                    let coding = response.headers().get("content-encoding");
                    let coding = coding.map(|value| value.to_str().unwrap().to_owned());
                    seen.lock().unwrap().push(coding);
                    response
                }
            }));
    let url = serve_router(router).await.join(PATH).unwrap();
    let far = remote(&url);
    for low in [1, 6, 11] {
        let link = SectionId::containing(low, 5.try_into().unwrap()).into();
        let there = far.section(&link).await.unwrap();
        assert_eq!(there.items, log.near().section(&link).await.unwrap().items);
    }
    let zstd = || Some("zstd".to_owned());
    assert_eq!(*seen.lock().unwrap(), [zstd(), zstd(), None]);
}

/// A log that answers everything with this body, which is said to be so coded.
async fn answering(coding: &'static str, body: Vec<u8>) -> Url {
    let answer = move || {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", coding),
        ];
        let response: Response = (headers, body.clone()).into_response();
        async move { response }
    };
    let url = serve_router(Router::new().fallback(answer)).await;
    url.join(PATH).unwrap()
}

async fn first_page(log: &dyn NotificationLog) -> Result<usize, LogError> {
    let first = SectionId::first(5.try_into().unwrap());
    Ok(log.section(&first.into()).await?.items.len())
}

#[tokio::test]
async fn what_a_reader_undoes_has_a_bound() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    let page = send(&url, "GET", "/1,5", &[]).await.body;
    let bounded = |max_body_bytes| RemoteOptions {
        max_body_bytes,
        ..RemoteOptions::default()
    };
    for coding in CODINGS {
        let url = answering(coding, done(coding, &page)).await;
        let within = remote_with(&url, bounded(page.len()));
        assert_eq!(first_page(&*within).await.unwrap(), 5, "{coding}");
        let beyond = remote_with(&url, bounded(page.len() - 1));
        let error = first_page(&*beyond).await.unwrap_err();
        assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains("more than"), "{error}");
        // A few kilobytes that would become twenty megabytes.
        let bomb = done(coding, &vec![b' '; 20 * 1024 * 1024]);
        assert!(bomb.len() < 100 * 1024, "{coding}: {}", bomb.len());
        let narrow = bounded(1024 * 1024);
        let error = first_page(&*remote_with(&answering(coding, bomb).await, narrow)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
        assert!(error.to_string().contains("more than"), "{error}");
    }
}

#[tokio::test]
async fn what_can_not_be_undone_is_garbage() {
    let log = log().await;
    let url = serve(log.near(), options()).await;
    let page = send(&url, "GET", "/6,10", &[]).await.body;
    for coding in CODINGS {
        let coded = done(coding, &page);
        let cut = coded[..coded.len() - 3].to_vec();
        for body in [page.clone(), cut, Vec::new()] {
            let error = first_page(&*remote(&answering(coding, body).await)).await;
            assert!(matches!(error, Err(LogError::Garbage { .. })), "{coding}");
        }
    }
    for unknown in ["deflate", "gzip, br", "x", ""] {
        let error = first_page(&*remote(&answering(unknown, page.clone()).await)).await;
        assert!(matches!(error, Err(LogError::Garbage { .. })), "{unknown}");
    }
}
