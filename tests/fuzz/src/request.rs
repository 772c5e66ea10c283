//! What a box is asked: page ids, `Accept`, `Accept-Encoding`, `Prefer`, `If-None-Match`, positions, queries.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, LOCATION,
};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use boxes_http::{
    Dialects, HeaderLink, NotificationLogOptions, NotificationLogResource, PROBLEM_JSON,
    ProblemKind, problem_descriptions, unknown_path,
};
use boxes_testing::log_fixture::SmallLog;
use futures::StreamExt;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::message::Message;

pub(crate) const WORDS: &[&str] = &[
    "GET ",
    "HEAD ",
    "OPTIONS ",
    "POST ",
    "/orders/notifications",
    "/1,5",
    "/6,10",
    "/11,15",
    "/16,20",
    "/log",
    "/stream",
    "?after=",
    "?start=",
    "&limit=",
    "&topic=",
    "/orders/compat/",
    "eventsourcing-9",
    "eventsourcing-8",
    "/problems/",
    "\naccept: ",
    "\naccept-encoding: ",
    "\nif-none-match: ",
    "\nprefer: wait=",
    "\nlast-event-id: ",
    "\nnotification-log-epoch: ",
    "\nnotification-log-position: ",
    "application/json",
    "text/html",
    "application/atom+xml",
    "application/cloudevents-batch+json",
    "text/event-stream",
    "*/*",
    ";q=0",
    ";q=0.5",
    "gzip",
    "br",
    "zstd",
    "identity",
    "W/",
    "\"",
    ",",
    "*",
    "%2C",
    "\"5b0c0000000040008000000000000001.1-5.json\"",
    "5b0c0000-0000-4000-8000-000000000001",
];

/// A stream has no end: so much of it is read, if it comes within this time, which is not really waited.
const STREAMED: (usize, Duration) = (4, Duration::from_secs(60));

struct Served {
    runtime: Runtime,
    router: Router,
}

thread_local! {
    static SERVED: Served = serve();
}

/// A log of thirteen notifications in pages of five, in all its forms.
fn serve() -> Served {
    // Where nothing is to be done but to wait, the time is over at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let log = runtime.block_on(SmallLog::with(5, 13));
    let options = NotificationLogOptions::new("/orders/notifications");
    let resource = NotificationLogResource::new(log.near(), options).unwrap();
    let dialects = Dialects::new(log.near(), "/orders/compat").unwrap();
    let router = Router::new()
        .merge(resource.into_router())
        .merge(dialects.into_router())
        .merge(problem_descriptions(&[]).into_parts().0)
        .fallback(unknown_path);
    // The log is written by a task, which ends with it.
    std::mem::forget(log);
    Served { runtime, router }
}

/// `METHOD /path?query`, headers, and a body. Whatever is asked is answered as the contract says.
pub(crate) fn run(data: &[u8]) {
    let Some(message) = Message::parse(data) else {
        return;
    };
    let [method, target] = message.first[..] else {
        return;
    };
    let request = |headers: &HeaderMap| {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .body(Body::from(message.body.to_vec()))
            .ok()?;
        *request.headers_mut() = headers.clone();
        (request.uri().path().starts_with('/') && request.uri().authority().is_none())
            .then_some(request)
    };
    let Some(first) = request(&message.headers) else {
        return;
    };
    let method = first.method().clone();
    SERVED.with(|served| {
        served.runtime.block_on(async {
            let answer = Answer::to(&served.router, first).await;
            answer.check(&method);
            if let Some(tag) = answer.head.headers().get(ETAG) {
                let mut headers = message.headers.clone();
                headers.insert(IF_NONE_MATCH, tag.clone());
                let known = Answer::to(&served.router, request(&headers).unwrap()).await;
                known.check(&method);
                assert_eq!(
                    known.head.status(),
                    StatusCode::NOT_MODIFIED,
                    "{tag:?} is known"
                );
            }
            let again = Answer::to(&served.router, request(&message.headers).unwrap()).await;
            assert_eq!(again.head.status(), answer.head.status());
            assert_eq!(
                again.body, answer.body,
                "asked again it says something else"
            );
        });
    });
}

struct Answer {
    head: Response<()>,
    body: Bytes,
}

impl Answer {
    async fn to(router: &Router, request: Request<Body>) -> Self {
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let mut pieces = body.into_data_stream().take(STREAMED.0);
        let mut body = Vec::new();
        let reading = async {
            while let Some(piece) = pieces.next().await {
                body.extend_from_slice(&piece.unwrap());
            }
        };
        // Of a stream without news there comes nothing but heartbeats.
        drop(tokio::time::timeout(STREAMED.1, reading).await);
        Self {
            head: Response::from_parts(head, ()),
            body: body.into(),
        }
    }

    fn header(&self, name: axum::http::HeaderName) -> &str {
        let value = self.head.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn check(&self, method: &Method) {
        let status = self.head.status();
        assert!(!status.is_server_error(), "{status}");
        if *method == Method::HEAD
            || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
        {
            assert!(self.body.is_empty(), "{status} has a body");
        } else if status.is_client_error() {
            self.check_problem();
        } else if status == StatusCode::PERMANENT_REDIRECT {
            assert!(self.body.is_empty());
            let (path, id) = self.header(LOCATION).rsplit_once(',').unwrap();
            assert!(
                path.starts_with("/orders/") && !path.contains("%2"),
                "{path}"
            );
            assert!(id.trim_end_matches('/').parse::<u64>().is_ok(), "{id}");
        } else {
            assert_eq!(status, StatusCode::OK);
            self.check_document();
        }
        if status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NO_CONTENT {
            assert!(!self.header(ALLOW).is_empty());
        }
        if status == StatusCode::NOT_MODIFIED {
            assert!(!self.header(ETAG).is_empty());
        }
    }

    fn check_problem(&self) {
        assert_eq!(self.header(CONTENT_TYPE), PROBLEM_JSON);
        assert_eq!(self.header(CACHE_CONTROL), "no-store");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        let slug = problem["type"].as_str().unwrap();
        let kind = ProblemKind::find(slug.strip_prefix("/problems/").unwrap()).unwrap();
        assert_eq!(kind.status, self.head.status());
        assert_eq!(problem["status"], kind.status.as_u16());
    }

    fn check_document(&self) {
        let is_log = !self.header(LINK).is_empty();
        assert!(!is_log || !self.header(CACHE_CONTROL).is_empty());
        let media_type = self.header(CONTENT_TYPE);
        let is_whole = self.header(CONTENT_ENCODING).is_empty();
        if is_whole && (media_type.ends_with("/json") || media_type.ends_with("+json")) {
            let document: Value = serde_json::from_slice(&self.body).unwrap();
            let links = HeaderLink::parse(self.header(LINK).as_bytes());
            let links = links.expect("it is a Link header");
            for link in &links {
                assert!(link.target().starts_with("/orders/"), "{link}");
                assert!(link.relations().next().is_some(), "{link}");
            }
            if let Some(named) = document["links"].as_object() {
                let in_header: Vec<_> = links.iter().map(HeaderLink::target).collect();
                // Of what is there in several formats, each is a link.
                for target in named.values().filter_map(Value::as_str) {
                    assert!(in_header.contains(&target), "{target} is in the body alone");
                }
            }
        }
    }
}
