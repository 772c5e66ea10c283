//! What a service serves.

use serde::Serialize;
use serde_json::{Value, json};

use crate::link::Links;
use crate::representation::{Format, INDEXES, alternatives};
use crate::{Document, ProblemKind, Reading};

/// What a service serves: its boxes with their logs, and what it says of itself. As JSON, and for people as HTML.
///
/// It serializes as it is served; every member but the names is an address.
///
/// ```
/// use boxes_http::{IndexedBox, IndexedLog, ServiceIndex};
///
/// let log = IndexedLog {
///     log: "orders".to_owned(),
///     notifications: "/orders/notifications".to_owned(),
///     description: "/orders/notifications/log".to_owned(),
///     topics: "/orders/topics".to_owned(),
/// };
/// let orders = IndexedBox {
///     name: "orders".to_owned(),
///     url: "/orders".to_owned(),
///     notifications: log.notifications.clone(),
///     logs: vec![log],
///     openapi: "/orders/openapi.json".to_owned(),
///     asyncapi: "/orders/asyncapi.json".to_owned(),
/// };
/// let index = ServiceIndex {
///     url: "/".to_owned(),
///     boxes: vec![orders],
///     healthz: "/healthz".to_owned(),
///     readyz: "/readyz".to_owned(),
///     metrics: "/metrics".to_owned(),
///     problems: "/problems".to_owned(),
/// };
/// let document = index.document();
/// # drop(document);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceIndex {
    /// Where it is itself.
    #[serde(skip)]
    pub url: String,
    /// The boxes, in the order in which they are declared.
    pub boxes: Vec<IndexedBox>,
    /// Whether the process lives.
    pub healthz: String,
    /// Whether it can work.
    pub readyz: String,
    /// What was counted.
    pub metrics: String,
    /// What may go wrong, and what to do then.
    pub problems: String,
}

/// A box in a [`ServiceIndex`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexedBox {
    /// Its name.
    #[serde(rename = "box")]
    pub name: String,
    /// What its own routes are below.
    pub url: String,
    /// The newest page of its log.
    pub notifications: String,
    /// Its logs, the one that is named after it first.
    pub logs: Vec<IndexedLog>,
    /// What can be asked of it.
    pub openapi: String,
    /// What comes out of it.
    pub asyncapi: String,
}

/// A log in a [`ServiceIndex`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexedLog {
    /// Its name.
    pub log: String,
    /// Its newest page.
    pub notifications: String,
    /// What it says of itself.
    pub description: String,
    /// Which topics its events have.
    pub topics: String,
}

impl ServiceIndex {
    /// The document, in each of its formats.
    #[must_use]
    pub fn document(&self) -> Document {
        let formats = INDEXES.iter().map(|format| {
            let links = Links::to_itself(self.url.clone());
            let links = links.with_alternates(alternatives(INDEXES, *format));
            let body = format.index(self, &links);
            let format: &dyn Format = *format;
            (format, body, links.header())
        });
        Document::new(formats)
    }

    /// What is said of it to programs.
    pub fn reading() -> Reading {
        let reading = Reading::new("getBoxes", "The boxes of this service, and where they are")
            .with_header("Link", "The same in other formats.")
            .with_header("Vary", "`Accept, Accept-Encoding`.")
            .refuses(&[&ProblemKind::NOT_ACCEPTABLE]);
        let formats = INDEXES.iter();
        let reading = formats.fold(reading, |reading, format| {
            let schema = match format.media_type() {
                "application/json" => schema(),
                _ => json!({ "type": "string" }),
            };
            reading.gives(format.media_type(), schema)
        });
        Document::described(reading)
    }
}

fn schema() -> Value {
    let address = || json!({ "type": "string", "format": "uri-reference" });
    let name = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["boxes", "healthz", "readyz", "metrics", "problems"],
        "additionalProperties": false,
        "properties": {
            "boxes": { "type": "array", "items": {
                "type": "object",
                "required": ["box", "url", "notifications", "logs", "openapi", "asyncapi"],
                "additionalProperties": false,
                "properties": {
                    "box": name(),
                    "url": address(),
                    "notifications": address(),
                    "logs": { "type": "array", "items": {
                        "type": "object",
                        "required": ["log", "notifications", "description", "topics"],
                        "additionalProperties": false,
                        "properties": {
                            "log": name(), "notifications": address(), "description": address(), "topics": address(),
                        },
                    } },
                    "openapi": address(),
                    "asyncapi": address(),
                },
            } },
            "healthz": address(),
            "readyz": address(),
            "metrics": address(),
            "problems": address(),
        },
    })
}
