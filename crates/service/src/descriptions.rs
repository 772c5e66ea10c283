//! What a box says of itself to programs: `/{box}/openapi.json` and `/{box}/asyncapi.json`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use boxes_http::{OpenApiPart, ProblemKind};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::async_api::{self, Channel};
use crate::problem::UNEXPECTED_BODY;

/// Where the description of the box with this name is.
pub(crate) fn open_api_path(name: &str) -> String {
    format!("/{name}/openapi.json")
}

/// Where the description of its events is.
pub(crate) fn async_api_path(name: &str) -> String {
    format!("/{name}/asyncapi.json")
}

/// What is described of a box.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// Its own routes, as far as it describes them.
    pub(crate) own: OpenApiPart,
    /// Those of its logs.
    pub(crate) logs: OpenApiPart,
    /// Those of the service, which are the same for all boxes.
    pub(crate) service: OpenApiPart,
    pub(crate) channels: Vec<Channel>,
    /// Whether tokens are asked for.
    pub(crate) secured: bool,
    /// Whether there is a limit to how much one client may ask for.
    pub(crate) is_limited: bool,
    /// What addresses begin with, without a slash at the end; empty makes them paths.
    pub(crate) base: String,
}

/// The problems that any route may be answered with where tokens are set.
const OF_TOKENS: [&ProblemKind; 2] = [&ProblemKind::UNAUTHENTICATED, &ProblemKind::FORBIDDEN];

/// The problems that what stands before a box's own routes answers with.
const OF_OWN_ROUTES: [&ProblemKind; 8] = [
    &ProblemKind::MALFORMED_REQUEST,
    &UNEXPECTED_BODY,
    &ProblemKind::METHOD_NOT_ALLOWED,
    &ProblemKind::BODY_TOO_LARGE,
    &ProblemKind::UNSUPPORTED_MEDIA_TYPE,
    &ProblemKind::INTERNAL,
    &ProblemKind::STORE_UNAVAILABLE,
    &ProblemKind::TIMED_OUT,
];

impl Described {
    /// The routes that serve the documents.
    pub(crate) fn into_router(self) -> Router {
        let (open_api, async_api) = (open_api_path(&self.name), async_api_path(&self.name));
        let documents = self.documents();
        Router::new()
            .route(&open_api, document(&documents.0))
            .route(&async_api, document(&documents.1))
    }

    fn documents(self) -> (Value, Value) {
        let info = json!({
            "title": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "The box `{}`: its commands and queries, as far as it describes them, and its notification log, in which all that \
                 happened in it can be read. What happens next is described at `{}`.",
                self.name,
                async_api_path(&self.name)
            ),
        });
        let own = self.own.below(&format!("/{}", self.name));
        let own = own.with_answers(&OF_OWN_ROUTES).tagged(&self.name);
        let kinds: &[_] = if self.secured { &OF_TOKENS } else { &[] };
        let api = self.logs.tagged("notification log").and(own);
        let api = api
            .and(descriptions_api(&self.name))
            .with_answers(kinds)
            .and(self.service);
        let limited: &[_] = if self.is_limited {
            &[&ProblemKind::TOO_MANY_REQUESTS]
        } else {
            &[]
        };
        let api = api.with_answers(limited);
        let async_api = async_api::document(&info, &api, &self.channels, self.secured);
        let mut open_api = api.into_document(&info);
        if let Some(document) = open_api.as_object_mut() {
            let base = if self.base.is_empty() {
                "/"
            } else {
                &self.base
            };
            document.insert("servers".to_owned(), json!([{ "url": base }]));
        }
        if self.secured {
            secure(&mut open_api);
        }
        (open_api, async_api)
    }
}

/// Asks for a token wherever an operation does not say otherwise.
fn secure(document: &mut Value) {
    let scheme = json!({ "token": { "type": "http", "scheme": "bearer", "description": "A token that the service knows." } });
    let components = document
        .get_mut("components")
        .and_then(Value::as_object_mut);
    if let Some(components) = components {
        components.insert("securitySchemes".to_owned(), scheme);
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("security".to_owned(), json!([{ "token": [] }]));
    }
}

/// What is said of the documents themselves.
fn descriptions_api(name: &str) -> OpenApiPart {
    let item = |id: &str, summary: &str| json!({ "get": json_operation(id, summary) });
    let part = OpenApiPart::new()
        .with_path(open_api_path(name), item("getOpenApi", "This document"))
        .with_path(
            async_api_path(name),
            item("getAsyncApi", "The events of the box, as AsyncAPI"),
        );
    part.tagged("descriptions")
}

/// An operation that takes nothing and is answered with some JSON.
pub(crate) fn json_operation(id: &str, summary: &str) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "responses": {
            "200": { "description": summary, "content": { "application/json": { "schema": { "type": ["object", "array"] } } } },
        },
    })
}

/// Serves a document that stays the same as long as the process runs.
fn document(document: &Value) -> MethodRouter {
    let body: Arc<str> = document.to_string().into();
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag: Arc<str> = format!("\"{:016x}\"", hasher.finish()).into();
    let answer = move |headers: HeaderMap| async move {
        let caching = [(CACHE_CONTROL, "no-cache"), (ETAG, &*tag)];
        if knows(&headers, &tag) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let media_type = [(CONTENT_TYPE, "application/json")];
        (caching, media_type, body.to_string()).into_response()
    };
    get(answer).fallback(other_method)
}

async fn other_method() -> Response {
    boxes_http::Problem::method_not_allowed("GET, HEAD").into_response()
}

fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    tags.any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == tag
    })
}
