//! What the dialects of older systems say of themselves.

use serde_json::{Value, json};

use crate::dialects::Dialect;
use crate::reading::parameter;
use crate::{OpenApiPart, ProblemKind, Reading, iddd};

/// The part of the document for the dialects below `path`.
pub(crate) fn part(path: &str) -> OpenApiPart {
    // The same with a slash at the end is the same.
    let routes = Dialect::ROUTES.iter();
    let routes = routes.filter(|(below, _)| !below.ends_with('/'));
    let mut part = OpenApiPart::new();
    for (below, reading) in routes.flat_map(|(_, dialect)| readings(*dialect)) {
        part = part.with_path(format!("{path}{below}"), reading.path_item());
    }
    part
}

/// What is said of one of the dialects, by its paths: there is none without it.
fn readings(dialect: Dialect) -> Vec<(&'static str, Reading)> {
    let section_8 = section_schema(&["section_id", "items", "previous_id", "next_id"]);
    match dialect {
        Dialect::Eventsourcing9Section => vec![(
            "/eventsourcing-9/{first},{last}",
            Reading {
                parameters: ids(0),
                problems: with(&ProblemKind::MALFORMED_PAGE_ID),
                ..reading(
                    "getEventsourcing9Section",
                    "Notifications for the Python library eventsourcing 9: get_log_section",
                    section_schema(&["id", "next_id", "items"]),
                )
            },
        )],
        Dialect::Eventsourcing9Query => vec![(
            "/eventsourcing-9",
            Reading {
                parameters: query_9(),
                problems: with(&ProblemKind::MALFORMED_REQUEST),
                ..reading(
                    "getEventsourcing9Notifications",
                    "Notifications for the Python library eventsourcing 9: get_notifications",
                    json!({ "type": "array", "items": { "type": "object" }, "maxItems": 10 }),
                )
            },
        )],
        Dialect::Eventsourcing8 => vec![
            (
                "/eventsourcing-8/{first},{last}",
                Reading {
                    parameters: ids(1),
                    problems: with(&ProblemKind::MALFORMED_PAGE_ID),
                    ..reading(
                        "getEventsourcing8Section",
                        "The section for the Python library eventsourcing 8 that holds `first`",
                        section_8.clone(),
                    )
                },
            ),
            (
                "/eventsourcing-8/current",
                reading(
                    "getEventsourcing8Current",
                    "The current section for the Python library eventsourcing 8",
                    section_8,
                ),
            ),
            (
                "/eventsourcing-8/section_size",
                reading(
                    "getEventsourcing8SectionSize",
                    "How many notifications a section holds",
                    json!({ "type": "integer", "minimum": 1 }),
                ),
            ),
        ],
        Dialect::Eventsourcing1 => eventsourcing_1(),
        Dialect::IdddCurrent => vec![(
            "/iddd/notifications",
            iddd(
                "getIdddCurrentPage",
                "The current page as the IDDD_Samples have it",
            ),
        )],
        Dialect::IdddPage => vec![(
            "/iddd/notifications/{first},{last}",
            Reading {
                parameters: ids(1),
                problems: of_grid(&[]),
                ..iddd(
                    "getIdddPage",
                    "A page of twenty as the IDDD_Samples have it",
                )
            },
        )],
    }
}

fn eventsourcing_1() -> Vec<(&'static str, Reading)> {
    let schema = section_schema(&["id", "items", "previous_id", "next_id"]);
    let log = parameter(
        "path",
        "log",
        "The name of the log.",
        &json!({ "type": "string", "minLength": 1 }),
    );
    let section = Reading {
        parameters: ids(1).into_iter().chain([log.clone()]).collect(),
        problems: of_grid(&[&ProblemKind::UNKNOWN_PATH]),
        ..reading(
            "getEventsourcing1Section",
            "A section for the Python library eventsourcing of 2017",
            schema.clone(),
        )
    };
    let current = Reading {
        parameters: vec![log],
        problems: with(&ProblemKind::UNKNOWN_PATH),
        ..reading(
            "getEventsourcing1Current",
            "The current section for the Python library eventsourcing of 2017",
            schema,
        )
    };
    vec![
        ("/eventsourcing-1/{log}/{first},{last}", section),
        ("/eventsourcing-1/{log}/current", current),
    ]
}

fn iddd(id: &'static str, summary: &'static str) -> Reading {
    let schema = json!({
        "type": "object",
        "required": ["archived", "id", "notifications", "linkNext", "linkPrevious", "linkSelf"],
    });
    Reading {
        content: vec![(iddd::MEDIA_TYPE, schema)],
        ..reading(id, summary, Value::Null)
    }
}

/// Problems where only sections on the grid are there.
fn of_grid(more: &[&'static ProblemKind]) -> Vec<&'static ProblemKind> {
    let grid = [
        &ProblemKind::MALFORMED_PAGE_ID,
        &ProblemKind::MISALIGNED_PAGE,
        &ProblemKind::WRONG_PAGE_SIZE,
    ];
    OF_ALL
        .into_iter()
        .chain(grid)
        .chain(more.iter().copied())
        .collect()
}

/// A reading without parameters.
fn reading(id: &'static str, summary: &'static str, schema: Value) -> Reading {
    Reading {
        id,
        summary,
        description: "For a client that can't say what it accepts; new ones read the pages of the log. A slash at the end may be \
            there or not.",
        parameters: Vec::new(),
        content: vec![("application/json", schema)],
        headers: vec![
            ("Cache-Control", "It is asked for again by its tag."),
            ("ETag", "A strong tag."),
        ],
        is_conditional: true,
        also: Vec::new(),
        problems: OF_ALL.to_vec(),
    }
}

const OF_ALL: [&ProblemKind; 7] = [
    &ProblemKind::MALFORMED_RESUME_POINT,
    &ProblemKind::EPOCH_CHANGED,
    &ProblemKind::AHEAD_OF_LOG,
    &ProblemKind::CODING_NOT_ACCEPTABLE,
    &ProblemKind::PAGE_PRUNED,
    &ProblemKind::LOG_DAMAGED,
    &ProblemKind::STORE_UNAVAILABLE,
];

fn with(kind: &'static ProblemKind) -> Vec<&'static ProblemKind> {
    OF_ALL.into_iter().chain([kind]).collect()
}

fn ids(lowest: u64) -> Vec<Value> {
    let from = |minimum: u64| json!({ "type": "integer", "minimum": minimum, "maximum": u64::MAX });
    vec![
        parameter("path", "first", "The first id.", &from(lowest)),
        parameter("path", "last", "The last id.", &from(0)),
    ]
}

fn query_9() -> Vec<Value> {
    vec![
        parameter(
            "query",
            "start",
            "The first id; from the beginning without it.",
            &json!({ "type": "integer", "minimum": 0 }),
        ),
        parameter(
            "query",
            "limit",
            "How many.",
            &json!({ "type": "integer", "minimum": 1, "maximum": 10, "default": 10 }),
        ),
        parameter(
            "query",
            "topic",
            "Only this topic; once for each.",
            &json!({ "type": "array", "items": { "type": "string" } }),
        ),
        parameter(
            "query",
            "inclusive_of_start",
            "Whether `start` itself is wanted.",
            &json!({ "type": "boolean", "default": true }),
        ),
    ]
}

fn section_schema(required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": { "items": { "type": "array", "items": { "type": "object" } } },
    })
}
