//! What may happen between a reader and a log far away, and what the reader makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use boxes_http::{
    BearerToken, NotificationLogOptions, NotificationLogResource, RemoteError,
    RemoteNotificationLog, RemoteOptions,
};
use boxes_notification_log::{
    LogError, NotificationLog, NotificationLogReader, SectionId, SectionLink,
};
use boxes_testing::log_fixture::SmallLog;
use bytes::Bytes;
use futures::StreamExt as _;
use support::{DEADLINE, PATH, remote, remote_with, send, serve, serve_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use url::Url;

fn first() -> SectionLink {
    SectionId::first(NonZeroU32::new(5).unwrap()).into()
}

/// A log that answers everything with these bytes, and then closes the connection.
async fn answering(bytes: impl Into<Vec<u8>>) -> Url {
    let bytes: Vec<u8> = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            if stream.read(&mut request).await.is_ok() && stream.write_all(&bytes).await.is_ok() {
                // The client decides when it has had enough.
                drop(stream.shutdown().await);
            }
        }
    });
    format!("http://{address}{PATH}").parse().unwrap()
}

/// A log that answers everything with this status and body.
async fn answering_with(
    status: StatusCode,
    headers: &[(&'static str, &str)],
    body: &'static str,
) -> Url {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let handler = move || {
        let mut response = (status, body).into_response();
        response.headers_mut().remove(CONTENT_TYPE);
        for (name, value) in &headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        async move { response }
    };
    serve_router(Router::new().fallback(handler))
        .await
        .join(PATH)
        .unwrap()
}

/// One page of a real log, as it goes over the wire.
async fn real_page() -> String {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    String::from_utf8(send(&url, "GET", "/1,5", &[]).await.body).unwrap()
}

fn with_length(length: usize, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn error_of(log: &dyn NotificationLog) -> LogError {
    let answer = tokio::time::timeout(DEADLINE, log.section(&first())).await;
    answer
        .expect("an answer in time")
        .expect_err("it is no page")
}

/// Asserts that it is garbage, which names the log and repeats nothing of what came.
fn assert_garbage(error: &LogError) {
    assert!(matches!(error, LogError::Garbage { .. }), "{error:?}");
    assert!(error.is_transient());
    assert!(!format!("{error:?}").contains("ALFKI"), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_no_page() {
    let page = real_page().await;
    for cut in [0, 1, page.len() / 2, page.len() - 1] {
        // The connection ends before the length that was announced,
        assert_garbage(
            &error_of(&*remote(
                &answering(with_length(page.len(), &page[..cut])).await,
            ))
            .await,
        );
        // or the length is shorter than the page,
        assert_garbage(&error_of(&*remote(&answering(with_length(cut, &page)).await)).await);
        // or the last chunk does not come.
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n",
            cut.max(1),
            &page[..cut.max(1)]
        );
        assert_garbage(&error_of(&*remote(&answering(chunked).await)).await);
    }
    // The same page whole is one.
    let whole = remote(&answering(with_length(page.len(), &page)).await);
    assert_eq!(whole.section(&first()).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn what_is_no_page_of_the_log_is_refused() {
    let page = real_page().await;
    let json = ("content-type", "application/json");
    for (headers, body) in [
        (
            vec![("content-type", "text/html")],
            "<html>Welcome to the hotel's network</html>",
        ),
        (vec![], "{}"),
        (vec![json], ""),
        (vec![json], "[]"),
        (vec![json], "{\"customer\":\"ALFKI\"}"),
        (vec![json], "\u{0}\u{1}"),
        (vec![json, ("content-encoding", "gzip")], "{}"),
    ] {
        assert_garbage(
            &error_of(&*remote(
                &answering_with(StatusCode::OK, &headers, body).await,
            ))
            .await,
        );
    }
    // A page, but not the one that was asked for.
    let log = remote(&answering(with_length(page.len(), &page)).await);
    let second = log
        .section(&SectionId::first(NonZeroU32::new(5).unwrap()).next().into())
        .await;
    assert_garbage(&second.unwrap_err());
    // Something that is no HTTP.
    let error = error_of(&*remote(&answering("SSH-2.0-OpenSSH_9.9\r\n").await)).await;
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_log_of_another_name_is_refused() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), NotificationLogOptions::new(PATH)).await;
    let named = |name: &str| {
        let expected_name = Some(name.to_owned());
        remote_with(
            &url,
            RemoteOptions {
                expected_name,
                ..RemoteOptions::default()
            },
        )
    };
    assert!(named("orders").section(&first()).await.is_ok());
    let payments = named("payments");
    for error in [
        payments.section(&first()).await.unwrap_err(),
        payments.current().await.unwrap_err(),
        payments.describe().await.unwrap_err(),
        payments.wait(0, Duration::ZERO).await.unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .contains("is the log `orders`, expected `payments`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_slow_log_is_given_up_within_the_time_out() {
    let quick = RemoteOptions {
        request_timeout: Duration::from_millis(200),
        ..RemoteOptions::default()
    };
    // Never an answer; and one that never ends.
    let silent = Router::new().fallback(std::future::pending::<()>);
    let trickling = Router::new().fallback(|| async {
        let bytes =
            futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) });
        let body = Body::from_stream(bytes.chain(futures::stream::pending()));
        ([(CONTENT_TYPE, "application/json")], body)
    });
    for router in [silent, trickling] {
        let url = serve_router(router).await.join(PATH).unwrap();
        let error = error_of(&*remote_with(&url, quick.clone())).await;
        assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("in time"), "{error}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_the_bound_and_no_further() {
    let options = RemoteOptions {
        max_body_bytes: 10_000,
        ..RemoteOptions::default()
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let endless = Router::new().fallback({
        let sent = Arc::clone(&sent);
        move || {
            let sent = Arc::clone(&sent);
            async move {
                let spaces = futures::stream::repeat_with(move || {
                    sent.fetch_add(1_000, Ordering::Relaxed);
                    Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1_000]))
                });
                (
                    [(CONTENT_TYPE, "application/json")],
                    Body::from_stream(spaces),
                )
            }
        }
    });
    let url = serve_router(endless).await.join(PATH).unwrap();
    let too_large = |error: LogError| {
        assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
        assert!(!error.is_contradiction() && !format!("{error:?}").contains("ALFKI"));
    };
    too_large(error_of(&*remote_with(&url, options.clone())).await);
    // What lies in buffers of the network was sent as well, but not more and more.
    assert!(sent.load(Ordering::Relaxed) < 50_000_000);

    let announced = answering(with_length(10_001, "{")).await;
    let error = error_of(&*remote_with(&announced, options.clone())).await;
    assert!(
        error.to_string().contains("more than the 10000 bytes"),
        "{error}"
    );

    let page = real_page().await;
    let exact = RemoteOptions {
        max_body_bytes: page.len(),
        ..options.clone()
    };
    let less = RemoteOptions {
        max_body_bytes: page.len() - 1,
        ..options
    };
    let url = answering(with_length(page.len(), &page)).await;
    assert!(remote_with(&url, exact).section(&first()).await.is_ok());
    too_large(error_of(&*remote_with(&url, less)).await);
}

/// A log with what it is asked: `Authorization`, where it is there.
async fn recording(router: Router) -> (Url, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&seen);
    let record = from_fn(move |request: Request, next: Next| {
        recorded.lock().unwrap().push(request.headers().clone());
        next.run(request)
    });
    (
        serve_router(router.layer(record)).await.join(PATH).unwrap(),
        seen,
    )
}

fn orders(log: &SmallLog) -> Router {
    let options = NotificationLogOptions::new(PATH);
    NotificationLogResource::new(log.near(), options)
        .unwrap()
        .into_router()
}

#[tokio::test]
async fn nothing_is_asked_of_another_origin() {
    let log = SmallLog::with(5, 13).await;
    let (elsewhere, seen) = recording(orders(&log)).await;
    let token = Some(BearerToken::new("s3cret").unwrap());
    let options = RemoteOptions {
        token,
        ..RemoteOptions::default()
    };

    // Not by a redirect,
    let target = format!("{elsewhere}/1,5");
    let redirecting = answering_with(StatusCode::FOUND, &[("location", &target)], "").await;
    let error = error_of(&*remote_with(&redirecting, options.clone())).await;
    assert_garbage(&error);
    assert!(error.to_string().contains("another origin"), "{error}");

    // not by a link of a page,
    let real = real_page().await;
    let page = real.replace(
        "\"next\":\"/orders",
        &format!("\"next\":\"http://{}/elsewhere", elsewhere.authority()),
    );
    assert_ne!(page, real);
    let linking = remote_with(
        &answering(with_length(page.len(), &page)).await,
        options.clone(),
    );
    let next = linking.section(&first()).await.unwrap().next.unwrap();
    assert_garbage(&linking.section(&next).await.unwrap_err());
    for href in [
        "//example.com/1,5",
        "https:/orders/1,5",
        "file:///etc/passwd",
        "http://[",
        "javascript:1",
    ] {
        let link = SectionLink {
            href: Some(href.to_owned()),
            ..first()
        };
        assert_garbage(&linking.section(&link).await.unwrap_err());
    }

    // and not by a template.
    let described = answering_with(
        StatusCode::OK,
        &[("content-type", "application/json")],
        r#"{"name":"orders","epoch":"00000000-0000-0000-0000-000000000001","page_size":5,"first_available":1,"last":13,
            "uri_template":"http://example.com/{low},{high}"}"#,
    );
    let described = remote_with(&described.await, options);
    described.describe().await.unwrap();
    assert_garbage(&described.section(&first()).await.unwrap_err());

    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed_a_few_times() {
    let log = SmallLog::with(5, 13).await;
    let hops = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hops);
    let moved = move |request: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        async move {
            let hop = path
                .strip_prefix("/hop")
                .and_then(|rest| rest.split_once('/'));
            let to = match hop {
                Some(("0", rest)) => format!("{PATH}/{}", rest.rsplit('/').next().unwrap()),
                Some((n, rest)) => format!("/hop{}/{rest}", n.parse::<u32>().unwrap() - 1),
                None => path,
            };
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)])
        }
    };
    let url = serve_router(orders(&log).fallback(moved)).await;
    let at = |path: &str| remote(&url.join(path).unwrap());
    assert_eq!(
        at("/hop2/x").section(&first()).await.unwrap().items.len(),
        5
    );
    assert_garbage(&error_of(&*at("/hop9/x")).await);
    hops.store(0, Ordering::Relaxed);
    assert_garbage(&error_of(&*at("/round/x")).await);
    assert_eq!(
        hops.load(Ordering::Relaxed),
        RemoteOptions::DEFAULT_MAX_REDIRECTS + 1
    );
}

#[tokio::test]
async fn a_status_is_the_error_that_it_stands_for() {
    let retry = |seconds: &'static str| vec![("retry-after", seconds)];
    let secs = |n| Some(Duration::from_secs(n));
    for (status, headers, retry_after) in [
        (StatusCode::INTERNAL_SERVER_ERROR, vec![], None),
        (StatusCode::BAD_GATEWAY, vec![], None),
        (StatusCode::SERVICE_UNAVAILABLE, retry("7"), secs(7)),
        (StatusCode::TOO_MANY_REQUESTS, retry("3"), secs(3)),
        (StatusCode::SERVICE_UNAVAILABLE, retry("soon"), None),
        (StatusCode::NOT_FOUND, vec![], None),
    ] {
        let error = error_of(&*remote(&answering_with(status, &headers, "ALFKI").await)).await;
        assert!(
            matches!(error, LogError::Unavailable { .. }),
            "{status}: {error:?}"
        );
        assert_eq!(error.retry_after(), retry_after, "{status}");
        assert!(
            error.to_string().contains(status.as_str()) && !error.to_string().contains("ALFKI"),
            "{error}"
        );
    }
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let error = error_of(&*remote(&answering_with(status, &[], "").await)).await;
        assert!(
            matches!(error, LogError::Forbidden { .. }),
            "{status}: {error:?}"
        );
    }
    let gone = error_of(&*remote(&answering_with(StatusCode::GONE, &[], "").await)).await;
    assert!(
        matches!(gone, LogError::Pruned { first_available: 0 }),
        "{gone:?}"
    );
    for status in [
        StatusCode::IM_A_TEAPOT,
        StatusCode::NO_CONTENT,
        StatusCode::NOT_MODIFIED,
        StatusCode::BAD_REQUEST,
    ] {
        assert_garbage(&error_of(&*remote(&answering_with(status, &[], "").await)).await);
    }
    // A problem that lacks what the error needs is taken by its status.
    let problem =
        r#"{"type":"https://shop.example/problems/page-pruned","first_available":"ALFKI"}"#;
    let gone = error_of(&*remote(
        &answering_with(StatusCode::GONE, &[], problem).await,
    ))
    .await;
    assert!(
        matches!(gone, LogError::Pruned { first_available: 0 }),
        "{gone:?}"
    );
    let problem = r#"{"type":"https://shop.example/problems/page-pruned","first_available":6}"#;
    let gone = error_of(&*remote(
        &answering_with(StatusCode::GONE, &[], problem).await,
    ))
    .await;
    assert!(
        matches!(gone, LogError::Pruned { first_available: 6 }),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_log_that_is_down_is_unavailable_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let log = remote(&format!("http://{address}{PATH}").parse().unwrap());
    for error in [
        error_of(&*log).await,
        log.describe().await.unwrap_err(),
        log.current().await.unwrap_err(),
        log.wait(0, Duration::from_secs(1)).await.unwrap_err(),
    ] {
        assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn a_reader_recovers_from_whatever_happened_in_between() {
    let log = SmallLog::with(5, 43).await;
    let broken = Arc::new(AtomicUsize::new(0));
    let breaking = Arc::clone(&broken);
    let breaks = from_fn(move |request: Request, next: Next| {
        let n = breaking.fetch_add(1, Ordering::Relaxed);
        async move {
            let response = next.run(request).await;
            match n % 6 {
                0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                1 => ([(CONTENT_TYPE, "application/json")], "garbage").into_response(),
                2 => {
                    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
                        .await
                        .unwrap();
                    let half = bytes.slice(..bytes.len() / 2);
                    ([(CONTENT_TYPE, "application/json")], half).into_response()
                }
                3 => Response::new(Body::from("<html></html>")),
                _ => response,
            }
        }
    });
    let url = serve_router(orders(&log).layer(breaks))
        .await
        .join(PATH)
        .unwrap();
    let mut reader = NotificationLogReader::new(remote(&url), None);
    let (mut read, mut failures) = (Vec::new(), 0);
    while read.last() != Some(&43) {
        match reader.next_batch().await {
            Ok(batch) => read.extend(batch.iter().map(|notification| notification.id)),
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                failures += 1;
                assert!(failures < 1_000, "it gets nowhere");
            }
        }
    }
    assert!(failures > 3);
    assert_eq!(read, (1..=43).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_shows_its_token_and_where_it_is_and_prints_neither() {
    let log = SmallLog::with(5, 13).await;
    let (url, seen) = recording(orders(&log)).await;
    let token = Some(BearerToken::new("s3cret").unwrap());
    let options = RemoteOptions {
        token,
        ..RemoteOptions::default()
    };
    assert!(!format!("{options:?}").contains("s3cret"));
    let log = remote_with(&url, options);
    assert!(!format!("{log:?}").contains("s3cret"));
    let mut reader = NotificationLogReader::new(log, None);
    while !reader.next_batch().await.unwrap().is_empty() {}
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|headers| headers["authorization"] == "Bearer s3cret")
    );
    let last = seen.last().unwrap();
    assert_eq!(last["notification-log-position"], "13");
    assert_eq!(
        last["notification-log-epoch"],
        reader.position().unwrap().epoch.to_string()
    );
}

#[tokio::test]
async fn a_log_that_can_not_be_waited_for_is_polled() {
    let log = SmallLog::with(5, 13).await;
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let ignorant = from_fn(move |mut request: Request, next: Next| {
        request.headers_mut().remove("prefer");
        counted.fetch_add(1, Ordering::Relaxed);
        next.run(request)
    });
    let url = serve_router(orders(&log).layer(ignorant))
        .await
        .join(PATH)
        .unwrap();
    let options = RemoteOptions {
        poll_interval: Duration::from_millis(5),
        ..RemoteOptions::default()
    };
    let remote = remote_with(&url, options);
    let waiting = tokio::spawn(async move { remote.wait(13, DEADLINE).await });
    while polls.load(Ordering::Relaxed) < 4 {
        assert!(!waiting.is_finished());
        tokio::task::yield_now().await;
    }
    log.append(1).await;
    assert!(waiting.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_ended_a_wait_is_not_asked_for_again() {
    let log = SmallLog::with(5, 13).await;
    let (url, seen) = recording(orders(&log)).await;
    let mut reader = NotificationLogReader::new(remote(&url), None);
    while !reader.next_batch().await.unwrap().is_empty() {}
    log.append(1).await;
    assert!(reader.wait(DEADLINE).await.unwrap());
    let before = seen.lock().unwrap().len();
    assert_eq!(reader.next_batch().await.unwrap().len(), 1);
    assert_eq!(seen.lock().unwrap().len(), before);
    // Only once, so that what came later is seen as well.
    log.append(1).await;
    assert_eq!(reader.next_batch().await.unwrap().len(), 1);
    assert_eq!(seen.lock().unwrap().len(), before + 1);
}

#[tokio::test]
async fn a_log_that_was_made_anew_is_waited_for_from_its_new_end() {
    let (before, anew) = (SmallLog::with(5, 13).await, SmallLog::with(5, 2).await);
    let routers = [orders(&before), orders(&anew)];
    let is_anew = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_anew);
    let switching = Router::new().fallback(move |request: Request| {
        let router = routers[usize::from(switch.load(Ordering::Relaxed))].clone();
        async move { router.oneshot(request).await.unwrap() }
    });
    let remote = remote(&serve_router(switching).await.join(PATH).unwrap());
    for _ in 0..2 {
        assert!(remote.wait(2, DEADLINE).await.unwrap());
    }
    is_anew.store(true, Ordering::Relaxed);
    assert!(!remote.wait(2, Duration::ZERO).await.unwrap());
    anew.append(1).await;
    assert!(remote.wait(2, DEADLINE).await.unwrap());
}

#[tokio::test]
async fn a_page_that_has_not_changed_is_not_sent_again() {
    let log = SmallLog::with(5, 13).await;
    let unchanged = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&unchanged);
    let noting = from_fn(move |request: Request, next: Next| {
        let noted = Arc::clone(&noted);
        async move {
            let response = next.run(request).await;
            noted.store(
                response.status() == StatusCode::NOT_MODIFIED,
                Ordering::Relaxed,
            );
            response
        }
    });
    let url = serve_router(orders(&log).layer(noting))
        .await
        .join(PATH)
        .unwrap();
    let remote = remote(&url);
    let growing: SectionLink = SectionId::containing(13, NonZeroU32::new(5).unwrap()).into();
    let once = remote.section(&growing).await.unwrap();
    assert!(!unchanged.load(Ordering::Relaxed));
    assert_eq!(remote.section(&growing).await.unwrap(), once);
    assert!(unchanged.load(Ordering::Relaxed));
    log.append(1).await;
    assert_eq!(remote.section(&growing).await.unwrap().items.len(), 4);
}

#[test]
fn an_address_that_is_none_of_a_log_is_refused_without_its_secrets() {
    for url in [
        "ftp://example.com/log",
        "http://user:s3cret@example.com/log",
        "http://example.com/log?token=s3cret",
        "http://example.com/log#s3cret",
        "data:s3cret",
    ] {
        let refused = RemoteNotificationLog::new(url.parse().unwrap(), RemoteOptions::default());
        let Err(error @ RemoteError::Url { .. }) = refused else {
            panic!("{url}: {refused:?}")
        };
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    let log = RemoteNotificationLog::new(
        "http://example.com/log/".parse().unwrap(),
        RemoteOptions::default(),
    );
    assert_eq!(log.unwrap().url().as_str(), "http://example.com/log");
}

#[test]
fn https_needs_nothing_to_be_set_up_before() {
    let url = "https://example.com/orders/notifications".parse().unwrap();
    // A system without certificates of authorities says so; nothing panics.
    if let Err(error) = RemoteNotificationLog::new(url, RemoteOptions::default()) {
        assert!(matches!(error, RemoteError::Setup { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_answers_every_wait_at_once_is_not_asked_without_a_pause() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // A cache that asks for the whole page, whatever its client knows and is willing to wait for.
    let forget = from_fn(move |mut request: Request, next: Next| {
        counter.fetch_add(1, Ordering::SeqCst);
        request.headers_mut().remove("if-none-match");
        request.headers_mut().remove("prefer");
        async move { next.run(request).await }
    });
    let small = SmallLog::with(5, 3).await;
    let resource = NotificationLogResource::new(small.near(), NotificationLogOptions::new(PATH));
    let router = resource.unwrap().into_router().layer(forget);
    let url = serve_router(router).await.join(PATH).unwrap();
    let options = RemoteOptions {
        poll_interval: Duration::from_millis(500),
        ..RemoteOptions::default()
    };
    let log = remote_with(&url, options);
    assert!(!log.wait(3, Duration::from_secs(2)).await.unwrap());
    // Once to learn what is there, then four times, and once where the time ends.
    let n_asked = asked.load(Ordering::SeqCst);
    assert!(n_asked <= 7, "asked {n_asked} times");
    small.append(1).await;
    assert!(log.wait(3, Duration::from_secs(20)).await.unwrap());
}
