//! What the resources of a notification log say of themselves.

use serde_json::{Value, json};

use crate::reading::parameter;
use crate::representation::{DESCRIPTIONS, Format, PAGES};
use crate::resource::{AtomTarget, Target};
use crate::{EPOCH_HEADER, OpenApiPart, POSITION_HEADER, ProblemKind, Reading};
use crate::{cloud_events, event_stream, ndjson};

/// What every resource of a log may be answered with instead of what was asked for.
const EVERYWHERE: [&ProblemKind; 6] = [
    &ProblemKind::MALFORMED_RESUME_POINT,
    &ProblemKind::EPOCH_CHANGED,
    &ProblemKind::AHEAD_OF_LOG,
    &ProblemKind::NOT_ACCEPTABLE,
    &ProblemKind::LOG_DAMAGED,
    &ProblemKind::STORE_UNAVAILABLE,
];

/// The part of the document for the log whose current page is at `path`.
pub(crate) fn part(path: &str, atom: Option<&str>) -> OpenApiPart {
    let mut part = OpenApiPart::new()
        .with_schema("Page", page_schema())
        .with_schema("Notification", notification_schema())
        .with_schema("LogDescription", description_schema())
        .with_schema("CloudEvents", cloud_events_schema())
        .with_schema("Links", links_schema());
    for (below, reading) in Target::ALL.into_iter().flat_map(readings) {
        part = part.with_path(format!("{path}{below}"), reading.path_item());
    }
    let Some(atom) = atom else { return part };
    for target in AtomTarget::ALL {
        let (below, reading) = atom_reading(target);
        part = part.with_path(format!("{atom}{below}"), reading.path_item());
    }
    part
}

/// What is said of one of the resources, by its path: there is none without it.
fn readings(target: Target) -> Vec<(&'static str, Reading)> {
    match target {
        Target::Current => vec![("", current())],
        Target::ById => vec![("/{low},{high}", page()), ("/{id}", notification())],
        Target::ByEpochAndId => vec![
            ("/{epoch}/{low},{high}", for_ever(page(), "getPageOfEpoch")),
            (
                "/{epoch}/{id}",
                for_ever(notification(), "getNotificationOfEpoch"),
            ),
        ],
        Target::Description => vec![("/log", description())],
        Target::Stream => vec![("/stream", stream())],
        Target::Feed => vec![("/feed", feed())],
        Target::Export => vec![("/export", export())],
    }
}

/// The same at the address that carries the epoch.
fn for_ever(reading: Reading, id: &'static str) -> Reading {
    let epoch = json!({ "type": "string", "format": "uuid" });
    let parameters = with(
        vec![parameter(
            "path",
            "epoch",
            "The epoch of the log, in lower case: with another one the answer is 409.",
            &epoch,
        )],
        reading.parameters,
    );
    Reading {
        id,
        parameters,
        ..reading
    }
}

/// What is said of one of the resources of the log as an Atom feed, by its path.
fn atom_reading(target: AtomTarget) -> (&'static str, Reading) {
    let (below, reading, id) = match target {
        AtomTarget::Current => ("", current(), "getAtomFeed"),
        AtomTarget::ById => ("/{low},{high}", page(), "getAtomPage"),
        AtomTarget::ByEpochAndId => (
            "/{epoch}/{low},{high}",
            for_ever(page(), "getAtomPageOfEpoch"),
            "getAtomPageOfEpoch",
        ),
    };
    let reading = Reading {
        id,
        content: vec![("application/atom+xml", json!({ "type": "string" }))],
        ..reading
    };
    (below, reading)
}

fn current() -> Reading {
    Reading {
        id: "getCurrentPage",
        summary: "The current page of the notification log",
        description: "The page that holds the newest notification, the first one if there is none. It may still grow: with \
            `If-None-Match` and `Prefer: wait=20` the answer comes at the next commit, or when something of it is redacted. With \
            `after` it is the page that holds what comes after that notification, once it is there or `wait` is over; nothing on \
            the way keeps that.",
        parameters: with(
            growing_parameters(),
            [
                parameter(
                    "query",
                    "after",
                    "The id of the last notification that is known, 0 for none; with `@` and the epoch, another history is noticed.",
                    &place_schema(),
                ),
                parameter(
                    "query",
                    "wait",
                    "How many seconds to wait where there is nothing after it yet; at most 30 of them count.",
                    &json!({ "type": "integer", "minimum": 0 }),
                ),
            ],
        ),
        content: of_formats(PAGES, "Page"),
        headers: growing_headers(),
        is_conditional: true,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_REQUEST,
            &ProblemKind::CODING_NOT_ACCEPTABLE,
            &ProblemKind::TOO_MANY_WAITERS,
        ]),
    }
}

fn page() -> Reading {
    let id = |name, description| parameter("path", name, description, &id_schema(1));
    Reading {
        id: "getPage",
        summary: "A page of the notification log",
        description: "Only pages on the grid are there: `low` is 1 and a multiple of the page size, see the log's description. \
            An archived page never changes. The comma is part of the address: a request with an encoded one is sent on (308).",
        parameters: with(
            growing_parameters(),
            [
                id("low", "The id of its first notification."),
                id(
                    "high",
                    "The id of its last one, also while that is not there yet.",
                ),
            ],
        ),
        content: of_formats(PAGES, "Page"),
        headers: growing_headers(),
        is_conditional: true,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_PAGE_ID,
            &ProblemKind::MISALIGNED_PAGE,
            &ProblemKind::WRONG_PAGE_SIZE,
            &ProblemKind::PAGE_PRUNED,
            &ProblemKind::CODING_NOT_ACCEPTABLE,
            &ProblemKind::TOO_MANY_WAITERS,
        ]),
    }
}

fn notification() -> Reading {
    Reading {
        id: "getNotification",
        summary: "One notification",
        description: "The item of its page. It never changes.",
        parameters: with(
            known_parameters(),
            [parameter("path", "id", "Its id.", &id_schema(1))],
        ),
        content: of_formats(PAGES, "Notification"),
        headers: page_headers(),
        is_conditional: true,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_PAGE_ID,
            &ProblemKind::UNKNOWN_NOTIFICATION,
            &ProblemKind::PAGE_PRUNED,
            &ProblemKind::CODING_NOT_ACCEPTABLE,
        ]),
    }
}

fn description() -> Reading {
    Reading {
        id: "getLogDescription",
        summary: "What the notification log says of itself",
        description: "Its name, its epoch (another one is another history), its page size, how far it goes, and where its pages \
            are.",
        parameters: known_parameters(),
        content: of_formats(DESCRIPTIONS, "LogDescription"),
        headers: page_headers(),
        is_conditional: true,
        also: Vec::new(),
        problems: kinds(&[&ProblemKind::CODING_NOT_ACCEPTABLE]),
    }
}

fn stream() -> Reading {
    Reading {
        id: "getStream",
        summary: "The notifications as they come, as server-sent events",
        description: "After `Last-Event-ID`, or `after`, or else from now on. `id:` is the id of the notification with the epoch, \
            `event:` its topic, `data:` the notification as it is in a page. It does not end.",
        parameters: with(
            reader_parameters(),
            [
                parameter(
                    "query",
                    "after",
                    "The id of the last notification that is known, 0 for none; with `@` and the epoch, another history is noticed.",
                    &place_schema(),
                ),
                parameter(
                    "query",
                    "event",
                    "`message`: every event has the default name, so that one handler takes all of them.",
                    &json!({ "type": "string", "enum": ["message"] }),
                ),
                parameter(
                    "header",
                    "Last-Event-ID",
                    "The same as `after`, as browsers send it; it counts more.",
                    &place_schema(),
                ),
            ],
        ),
        content: vec![(event_stream::MEDIA_TYPE, json!({ "type": "string" }))],
        headers: vec![
            ("Cache-Control", "Nobody keeps it."),
            ("Vary", "`Accept, Accept-Encoding`."),
        ],
        is_conditional: false,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_REQUEST,
            &ProblemKind::TOO_MANY_WAITERS,
        ]),
    }
}

fn feed() -> Reading {
    let timeout = json!({ "type": "integer", "minimum": 0 });
    Reading {
        id: "getFeed",
        summary: "The notifications as HTTP Feeds has them",
        description: "A batch of CloudEvents whose `id` is the place in the log: ask for what comes after the last one of it.",
        parameters: vec![
            parameter(
                "query",
                "lastEventId",
                "The id of the last event that is known; from the beginning without it.",
                &json!({ "type": "string", "pattern": "^((0|[1-9][0-9]{0,18})(@[0-9a-f-]{36})?)?$" }),
            ),
            parameter(
                "query",
                "timeout",
                "How many milliseconds to wait where there is nothing new yet; at most 30 seconds of them count.",
                &timeout,
            ),
        ],
        content: vec![(cloud_events::MEDIA_TYPE, reference("CloudEvents"))],
        headers: vec![
            (
                "Cache-Control",
                "A full batch after an id with the epoch never changes.",
            ),
            ("ETag", "Of a full batch."),
            ("Vary", "`Accept, Accept-Encoding`."),
        ],
        is_conditional: false,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_REQUEST,
            &ProblemKind::PAGE_PRUNED,
            &ProblemKind::CODING_NOT_ACCEPTABLE,
            &ProblemKind::TOO_MANY_WAITERS,
        ]),
    }
}

fn export() -> Reading {
    Reading {
        id: "getExport",
        summary: "A part of the log in one answer",
        description: "One notification on each line, as it is in a page. It ends at `until`, or at the newest one when it began; an \
            export that fails on its way breaks off.",
        parameters: with(
            reader_parameters(),
            [
                parameter(
                    "query",
                    "after",
                    "The id of the last notification that is known, 0 for none; with `@` and the epoch, another history is noticed.",
                    &place_schema(),
                ),
                parameter(
                    "query",
                    "until",
                    "The id of the last notification that is wanted.",
                    &id_schema(0),
                ),
            ],
        ),
        content: vec![(ndjson::MEDIA_TYPE, json!({ "type": "string" }))],
        headers: vec![
            ("Cache-Control", "Nobody keeps it."),
            ("Vary", "`Accept, Accept-Encoding`."),
        ],
        is_conditional: false,
        also: Vec::new(),
        problems: kinds(&[
            &ProblemKind::MALFORMED_REQUEST,
            &ProblemKind::TOO_MANY_WAITERS,
        ]),
    }
}

/// The formats in which something is offered, each with its schema: the kit's own is named, of others no more is known than
/// their media type says.
fn of_formats<F: Format + ?Sized>(
    formats: &'static [&'static F],
    own: &str,
) -> Vec<(&'static str, Value)> {
    let formats = formats.iter().map(|format| {
        let media_type = format.media_type();
        let schema = match media_type {
            "application/json" => reference(own),
            cloud_events::MEDIA_TYPE => reference("CloudEvents"),
            ndjson::MEDIA_TYPE => json!({ "type": "string" }),
            _ if media_type.ends_with("json") => json!({}),
            _ => json!({ "type": "string" }),
        };
        (media_type, schema)
    });
    formats.collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn with<T>(mut these: Vec<T>, more: impl IntoIterator<Item = T>) -> Vec<T> {
    these.extend(more);
    these
}

fn kinds(more: &[&'static ProblemKind]) -> Vec<&'static ProblemKind> {
    EVERYWHERE.iter().chain(more).copied().collect()
}

/// Where a reader is, which it may say with every request.
fn reader_parameters() -> Vec<Value> {
    vec![
        parameter(
            "header",
            EPOCH_HEADER.as_str(),
            "The epoch that the reader follows: if the log has another, the answer is 409.",
            &json!({ "type": "string", "format": "uuid" }),
        ),
        parameter(
            "header",
            POSITION_HEADER.as_str(),
            "The id of the last notification that the reader has read: if the log ends before it, the answer is 409.",
            &position(),
        ),
    ]
}

fn known_parameters() -> Vec<Value> {
    let tag = "The tag of the state that is known, or several.";
    let known = parameter("header", "If-None-Match", tag, &json!({ "type": "string" }));
    with(reader_parameters(), [known])
}

fn growing_parameters() -> Vec<Value> {
    let wait = "`wait=20` waits so many seconds, at most 30, for something new.";
    let wait = parameter("header", "Prefer", wait, &json!({ "type": "string" }));
    with(known_parameters(), [wait])
}

/// An id, or 0.
fn position() -> Value {
    json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,18})$" })
}

/// A place in the log: an id, or 0, with the epoch or without.
fn place_schema() -> Value {
    json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,18})(@[0-9a-f-]{36})?$", "examples": ["42"] })
}

fn page_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "Cache-Control",
            "What is archived may be kept for ever at an address that carries the epoch; else it is asked for again.",
        ),
        (
            "ETag",
            "A strong tag, the same on every replica and after a restart.",
        ),
        ("Link", "Where it leads: the links of the body."),
        ("Vary", "`Accept, Accept-Encoding`."),
    ]
}

fn growing_headers() -> Vec<(&'static str, &'static str)> {
    let applied = "How long the request was ready to wait.";
    with(page_headers(), [("Preference-Applied", applied)])
}

/// An id that fits into 64 bits.
fn id_schema(minimum: u64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": u64::MAX })
}

fn page_id_schema() -> Value {
    json!({ "type": ["string", "null"], "pattern": "^[1-9][0-9]*,[1-9][0-9]*$" })
}

fn page_schema() -> Value {
    json!({
        "type": "object",
        "description": "A page: its notifications ascend by id without holes.",
        "required": ["id", "previous_id", "next_id", "archived", "log", "epoch", "page_size", "items", "links"],
        "properties": {
            "id": { "type": "string", "pattern": "^[1-9][0-9]*,[1-9][0-9]*$", "examples": ["1,20"] },
            "previous_id": page_id_schema(),
            "next_id": page_id_schema(),
            "archived": { "type": "boolean", "description": "Whether it will never change again." },
            "log": { "type": "string", "description": "The name of the log." },
            "epoch": { "type": "string", "format": "uuid", "description": "Of the log's history: another one is another history." },
            "page_size": { "type": "integer", "minimum": 1, "description": "How many notifications a full page holds." },
            "last": id_schema(0),
            "items": { "type": "array", "items": reference("Notification") },
            "links": reference("Links"),
        },
    })
}

fn notification_schema() -> Value {
    json!({
        "type": "object",
        "description": "An event in its place in the log.",
        "required": [
            "id", "event_id", "topic", "version", "originator_id", "originator_version", "occurred_on", "state", "metadata",
        ],
        "properties": {
            "id": id_schema(1),
            "event_id": { "type": "string", "format": "uuid" },
            "topic": { "type": "string", "examples": ["orders.order.placed"] },
            "version": { "type": "integer", "minimum": 0, "description": "Of the topic's schema." },
            "originator_id": { "type": "string", "format": "uuid", "description": "The aggregate to which it happened." },
            "originator_version": id_schema(1),
            "occurred_on": { "type": "string", "format": "date-time" },
            "state": { "description": "What the event says: as JSON, or in base64 if `content_encoding` says what was done to it." },
            "content_encoding": { "type": "string", "examples": ["json+zlib"] },
            "redacted": { "type": "boolean", "description": "Only where its stream was deleted: then there is no state any more." },
            "metadata": { "type": "object", "description": "Why it happened: `correlation_id`, `causation_id` and the like." },
        },
    })
}

fn description_schema() -> Value {
    json!({
        "type": "object",
        "required": ["name", "epoch", "page_size", "first_available", "last", "formats", "uri_template", "links"],
        "properties": {
            "name": { "type": "string" },
            "epoch": { "type": "string", "format": "uuid" },
            "page_size": { "type": "integer", "minimum": 1 },
            "first_available": id_schema(1),
            "last": id_schema(0),
            "formats": { "type": "array", "items": { "type": "string" } },
            "uri_template": { "type": "string", "description": "Where pages are (RFC 6570): with `low` and `high`." },
            "seal_uri_template": { "type": "string", "description": "Where the seals of archived pages are, if there are any: likewise." },
            "links": reference("Links"),
        },
    })
}

fn cloud_events_schema() -> Value {
    json!({
        "type": "array",
        "description": "CloudEvents 1.0, in the JSON batch format.",
        "items": {
            "type": "object",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "minLength": 1 },
                "source": { "type": "string", "minLength": 1 },
                "type": { "type": "string", "minLength": 1 },
            },
        },
    })
}

fn links_schema() -> Value {
    json!({
        "type": "object",
        "description": "Where it leads, by the names of relations.",
        "properties": {
            "alternate": {
                "type": "array",
                "description": "The same in other formats, which are asked for by Accept.",
                "items": {
                    "type": "object",
                    "required": ["href", "type"],
                    "properties": {
                        "href": { "type": "string", "format": "uri-reference" },
                        "type": { "type": "string" },
                    },
                },
            },
        },
        "additionalProperties": { "type": "string", "format": "uri-reference" },
    })
}
