//! Every route of a service stands in its description, with all that it is answered with.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::routing::post;
use boxes_application::PublicLog;
use boxes_domain::{Aggregate, Event};
use http::{HeaderValue, Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::context::TAKEN;
use crate::service::router_of;
use crate::{BoundedContext, Config, RateLimit, Store, Token, Tokens};

const READER: &str = "read-0123456789abcdef";

/// What stands for a part of a path: what there is, and what there is not or can't be.
const VALUES: [(&str, &[&str]); 9] = [
    ("low", &["1", "0", "2", "1", "21", "x"]),
    ("high", &["20", "20", "21", "7", "40", "x"]),
    ("first", &["1", "0", "2", "1", "21", "x"]),
    ("last", &["10", "20", "21", "7", "40", "x"]),
    ("id", &["1", "0", "x", "99999"]),
    ("log", &["bells", "ears", "1", "%FF"]),
    ("slug", &["internal", "none", "%FF"]),
    (
        "sha256",
        &[
            "x",
            "%FF",
            "0000000000000000000000000000000000000000000000000000000000000000",
        ],
    ),
    ("bell", &["1"]),
];

/// What a request may say beside its path.
const HEADERS: [(&str, &str); 10] = [
    ("x-nothing", "at all"),
    ("host", "another.example"),
    ("if-none-match", "*"),
    ("if-match", "\"another\""),
    ("accept", "text/nothing"),
    ("accept", "text/html"),
    ("accept-encoding", "identity;q=0, *;q=0"),
    ("notification-log-epoch", "x"),
    (
        "notification-log-epoch",
        "00000000-0000-4000-8000-000000000000",
    ),
    ("notification-log-position", "7"),
];

const QUERIES: [&str; 4] = ["", "?after=x", "?lastEventId=x", "?start=x"];

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bells.bell", crate = "boxes_domain")]
enum BellEvent {
    Rung,
}

#[derive(Default, Clone)]
struct Bell;

impl Aggregate for Bell {
    type Event = BellEvent;
    fn apply(&mut self, _: &BellEvent) {}
}

fn bells() -> BoundedContext {
    let ring = async |Path(_): Path<String>| StatusCode::NO_CONTENT;
    BoundedContext::new("bells")
        .aggregate::<Bell>()
        .publish("noises", PublicLog::revision(1).pass::<BellEvent>())
        .routes(|| Router::new().route("/bells/{bell}/ring", post(ring)))
        .open_api(
            r#"{"paths": {"/bells/{bell}/ring": {"post": {"responses": {"204": {"description": "It rang"}}}}}}"#,
        )
}

fn config() -> Config {
    Config {
        stores: [("bells".to_owned(), Store::Memory)].into(),
        ..Config::default()
    }
}

/// The paths of all routes that there are. Axum does not tell them, but prints them.
fn served(router: &Router) -> BTreeSet<String> {
    let printed = format!("{router:?}");
    let routes = printed.split("RouteId(").skip(1);
    let paths = routes.filter_map(|route| route.split_once("): \"")?.1.split_once('"'));
    paths
        .map(|(path, _)| path.to_owned())
        .filter(|path| !path.contains("__private"))
        .collect()
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, Vec<u8>) {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let is_stream =
        parts.headers.get("content-type") == Some(&HeaderValue::from_static("text/event-stream"));
    let body = if is_stream {
        Vec::new()
    } else {
        to_bytes(body, usize::MAX).await.unwrap().to_vec()
    };
    (parts.status, parts.headers, body)
}

fn request(method: Method, path: &str, header: (&str, &str), token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header.0, header.1);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

async fn described(router: &Router, token: Option<&str>) -> BTreeMap<String, Value> {
    let asked = request(Method::GET, "/bells/openapi.json", HEADERS[0], token);
    let (status, _, body) = send(router, asked).await;
    assert_eq!(status, StatusCode::OK);
    let document: Value = serde_json::from_slice(&body).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    paths.into_iter().collect()
}

/// The epoch of the box's log.
async fn epoch(router: &Router, token: Option<&str>) -> String {
    let asked = request(Method::GET, "/bells/notifications/log", HEADERS[0], token);
    let (_, _, body) = send(router, asked).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    document["epoch"].as_str().unwrap_or_default().to_owned()
}

/// Whether a path of the description is one of the route: what the router has as one part may be described as several, or as
/// one of those that there are.
fn is_of(template: &str, route: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        let path = path.trim_end_matches('/');
        path.split('/').map(str::to_owned).collect()
    };
    let (template, route) = (parts(template), parts(route));
    let mut pairs = template.iter().zip(&route);
    template.len() == route.len()
        && pairs.all(|(one, other)| one == other || other.starts_with('{'))
}

/// Paths that the template stands for.
fn filled(template: &str, epoch: &str) -> BTreeSet<String> {
    (0..6)
        .map(|turn| {
            let mut path = template.to_owned();
            let epochs = [epoch, "00000000-0000-4000-8000-000000000000", "x"];
            path = path.replace("{epoch}", epochs[turn % epochs.len()]);
            for (name, values) in VALUES {
                path = path.replace(&format!("{{{name}}}"), values[turn % values.len()]);
            }
            assert!(
                !path.contains('{'),
                "say here what may stand for the parts of {path}"
            );
            path
        })
        .collect()
}

/// What is seen that is not described, and which answers there were, by the name of the operation.
#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, BTreeSet<String>>,
    undescribed: BTreeSet<String>,
}

impl Seen {
    fn saw(
        &mut self,
        what: &str,
        operation: &Value,
        answer: &(StatusCode, http::HeaderMap, Vec<u8>),
    ) {
        let (status, headers, body) = answer;
        let response = &operation["responses"][status.as_str()];
        let mut is_described = response.is_object();
        let media_type = headers
            .get("content-type")
            .map(|value| value.to_str().unwrap());
        let media_type = media_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if !body.is_empty() {
            is_described &= response["content"][media_type].is_object();
        }
        if !is_described {
            self.undescribed
                .insert(format!("{what}: {status} {media_type}"));
        }
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.answers
            .entry(id)
            .or_default()
            .insert(status.as_str().to_owned());
    }
}

async fn walk(
    config: &Config,
    tokens: &[Option<&str>],
    who: Option<&str>,
) -> (Seen, BTreeMap<String, Value>) {
    let router = router_of(bells(), config).await;
    let described = described(&router, who).await;
    let epoch = epoch(&router, who).await;
    let mut seen = Seen::default();
    for (template, item) in &described {
        let operations: Vec<_> = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        for path in filled(template, &epoch) {
            let mut requests = Vec::new();
            for token in tokens {
                requests.extend(HEADERS.map(|header| (path.clone(), header, *token)));
                let asked = QUERIES.map(|query| (format!("{path}{query}"), HEADERS[0], *token));
                requests.extend(asked);
            }
            for (path, header, token) in requests {
                for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                    let operation = &item[method.as_str().to_lowercase()];
                    if operation.is_object() {
                        let what = format!("{method} {path} with {header:?}");
                        let answer = send(&router, request(method, &path, header, token)).await;
                        seen.saw(&what, operation, &answer);
                    }
                }
            }
            let refused = request(Method::DELETE, &path, HEADERS[0], who);
            let (status, headers, _) = send(&router, refused).await;
            if status == StatusCode::METHOD_NOT_ALLOWED {
                let allowed = headers["allow"].to_str().unwrap().split(',');
                let allowed: BTreeSet<_> = allowed.map(str::trim).collect();
                assert_eq!(
                    allowed,
                    operations.iter().map(String::as_str).collect(),
                    "{path}"
                );
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            }
        }
    }
    (seen, described)
}

#[tokio::test]
async fn every_route_is_described_and_what_is_described_is_a_route() {
    let router = router_of(bells(), &config()).await;
    let (served, described) = (served(&router), described(&router, None).await);
    // So that nothing passes because nothing is printed any more.
    for known in [
        "/",
        "/metrics",
        "/bells/notifications/{page}",
        "/bells/bells/{bell}/ring",
    ] {
        assert!(served.contains(known), "{known} is not in {served:?}");
    }
    for route in &served {
        let mut templates = described.keys();
        assert!(
            templates.any(|template| is_of(template, route)),
            "{route} is not described"
        );
    }
    for template in described.keys() {
        let mut routes = served.iter();
        assert!(
            routes.any(|route| is_of(template, route)),
            "{template} is no route"
        );
    }
}

#[tokio::test]
async fn what_the_kit_serves_below_a_box_is_taken_from_its_own_routes() {
    let served = served(&router_of(bells(), &config()).await);
    let of_log = served.iter().filter_map(|path| path.strip_prefix("/bells"));
    let of_kit: BTreeSet<_> = of_log
        .filter(|path| !path.starts_with("/bells/") && !path.starts_with("/noises/"))
        .map(|path| path.trim_end_matches('/'))
        .collect();
    assert_eq!(of_kit, BTreeSet::from(TAKEN));
}

#[tokio::test]
async fn every_answer_of_a_route_is_described_and_there_is_what_is_described() {
    let (seen, described) = walk(&config(), &[None], None).await;
    assert_eq!(seen.undescribed, BTreeSet::new());
    // These need what is not here: something that is sealed, or large; a page that is full; a store that fails.
    let elsewhere = [
        "getSeal 200",
        "getSeal 304",
        "getSeal 412",
        "getSealOfEpoch 412",
        "getValue 412",
        "getSealOfEpoch 200",
        "getSealOfEpoch 304",
        "getValue 200",
        "getValue 304",
        "getReadiness 503",
    ];
    let mut missing = Vec::new();
    for item in described.values() {
        let operation = &item["get"];
        let id = operation["operationId"].as_str().unwrap_or_default();
        let of_service = [
            "getOpenApi",
            "getAsyncApi",
            "getTopics",
            "getTopics_noises",
            "getSeal",
            "getSealOfEpoch",
            "getKeys",
            "getValue",
            "getProblems",
            "getProblem",
            "getBoxes",
            "getHealth",
            "getReadiness",
            "getMetrics",
        ];
        if of_service.contains(&id) {
            let statuses = operation["responses"].as_object().unwrap().keys();
            let unseen = statuses.filter(|status| !seen.answers[id].contains(*status));
            missing.extend(unseen.map(|status| format!("{id} {status}")));
        }
    }
    missing.retain(|answer| !elsewhere.contains(&&**answer));
    // What a store or the program itself may fail with can be seen nowhere here.
    missing.retain(|answer| !["500", "503"].iter().any(|status| answer.ends_with(status)));
    assert_eq!(missing, Vec::<String>::new());
}

#[tokio::test]
async fn where_tokens_are_set_or_rates_limited_the_refusals_are_described() {
    let with_tokens = Config {
        tokens: Tokens::new(vec![], vec![Token::new(READER).unwrap()]),
        ..config()
    };
    let (seen, _) = walk(&with_tokens, &[None, Some(READER)], Some(READER)).await;
    assert_eq!(seen.undescribed, BTreeSet::new());
    for id in [
        "getTopics",
        "getSeal",
        "getKeys",
        "getValue",
        "getOpenApi",
        "getBoxes",
        "getMetrics",
    ] {
        assert!(
            seen.answers[id].contains("401"),
            "{id}: {:?}",
            seen.answers[id]
        );
    }
    assert!(!seen.answers["getProblems"].contains("401"));

    let limited = Config {
        rate_limit: Some(RateLimit::per_second(1)),
        ..config()
    };
    let router = router_of(bells(), &limited).await;
    let described = described(&router, None).await;
    let epoch = epoch(&router, None).await;
    let ask = async |path: &str| send(&router, request(Method::GET, path, HEADERS[0], None)).await;
    while ask("/").await.0 != StatusCode::TOO_MANY_REQUESTS {}
    let mut seen = Seen::default();
    for (template, item) in &described {
        if let Some(operation) = item.get("get") {
            for path in filled(template, &epoch) {
                seen.saw(&path, operation, &ask(&path).await);
            }
        }
    }
    assert_eq!(seen.undescribed, BTreeSet::new());
    for id in ["getTopics", "getProblems", "getSeal"] {
        assert!(seen.answers[id].contains("429"), "{id}");
    }
    assert!(!seen.answers["getHealth"].contains("429"));
}

#[tokio::test]
async fn a_log_that_publishes_a_part_of_another_says_what_stands_in_the_place_of_the_rest() {
    let router = router_of(bells(), &config()).await;
    let asked = request(Method::GET, "/bells/asyncapi.json", HEADERS[0], None);
    let (_, _, body) = send(&router, asked).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    let messages = |log: &str| {
        let messages = document["channels"][log]["messages"].as_object().unwrap();
        messages.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(messages("bells"), ["bells.bell.rung.v1"]);
    assert_eq!(
        messages("bells.noises"),
        ["bells.bell.rung.v1", "boxes.withheld.v1"]
    );
    let withheld = &document["components"]["messages"]["boxes.withheld.v1"];
    assert_eq!(withheld["name"], "boxes.withheld");
}
