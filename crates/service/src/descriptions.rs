//! What a box says of itself to programs: `/{box}/openapi.json` and `/{box}/asyncapi.json`.

use axum::Router;
use boxes_http::{Document, OpenApiPart, ProblemKind, Reading};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::async_api::{self, Channel};
use crate::cross_site::CROSS_SITE;
use crate::known_host::MISDIRECTED;
use crate::problem::{SLOW_BODY, UNEXPECTED_BODY};

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
pub(crate) const OF_TOKENS: [&ProblemKind; 3] = [
    &ProblemKind::MALFORMED_REQUEST,
    &ProblemKind::UNAUTHENTICATED,
    &ProblemKind::FORBIDDEN,
];

/// The problems that what stands before a box's own routes answers with.
const OF_OWN_ROUTES: [&ProblemKind; 9] = [
    &ProblemKind::MALFORMED_REQUEST,
    &UNEXPECTED_BODY,
    &ProblemKind::METHOD_NOT_ALLOWED,
    &ProblemKind::BODY_TOO_LARGE,
    &ProblemKind::UNSUPPORTED_MEDIA_TYPE,
    &ProblemKind::INTERNAL,
    &ProblemKind::STORE_UNAVAILABLE,
    &ProblemKind::TIMED_OUT,
    &SLOW_BODY,
];

impl Described {
    /// The routes that serve the documents.
    pub(crate) fn into_router(self) -> Router {
        // The documents describe themselves, too: so what is said of them comes first.
        let readings = readings(&self.name);
        let described = readings
            .iter()
            .fold(OpenApiPart::new(), |part, (path, reading)| {
                part.with_path(path, reading.path_item())
            });
        let documents = self.documents(described.tagged("descriptions"));
        let routes = readings.into_iter().zip(documents);
        routes.fold(Router::new(), |router, ((path, _), document)| {
            let document = Document::json(&document);
            let answer = async move |headers: HeaderMap| document.answer(&headers).await;
            router.route(&path, Reading::methods(answer))
        })
    }

    /// The description of the routes, and that of the events.
    fn documents(self, themselves: OpenApiPart) -> [Value; 2] {
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
        let tags = json!([
            { "name": self.name, "description": "Commands and queries of the box." },
            { "name": "notification log", "description": "All that happened in the box, in order: pages, single notifications, streams." },
            { "name": "older systems", "description": "The same log for clients of the Python library eventsourcing and of the IDDD_Samples." },
            { "name": "descriptions", "description": "What can be asked of the box, and what comes out of it." },
            { "name": "service", "description": "The process that the box runs in: health, figures, kinds of problems." },
        ]);
        let own = self.own.below(&format!("/{}", self.name));
        let own = own.with_answers(&OF_OWN_ROUTES).tagged(&self.name);
        let own = if self.secured {
            own
        } else {
            own.with_answers(&[&CROSS_SITE])
        };
        let kinds: &[_] = if self.secured {
            &OF_TOKENS
        } else {
            &[&MISDIRECTED]
        };
        let api = self.logs.tagged("notification log").and(own);
        let api = api.and(themselves).with_answers(kinds).and(self.service);
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
            document.insert("tags".to_owned(), tags);
        }
        if self.secured {
            secure(&mut open_api);
        }
        [open_api, async_api]
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

/// What is said of the documents themselves, in the order in which they are made.
fn readings(name: &str) -> [(String, Reading); 2] {
    let object = || json!({ "type": "object" });
    let open_api = Reading::new("getOpenApi", "This document").gives("application/json", object());
    let async_api = Reading::new("getAsyncApi", "The events of the box, as AsyncAPI")
        .gives("application/json", object());
    [
        (open_api_path(name), Document::described(open_api)),
        (async_api_path(name), Document::described(async_api)),
    ]
}
