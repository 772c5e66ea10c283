//! What version 9 of the Python library `eventsourcing` asks and understands.
//!
//! Its `NotificationLogJSONClient` leaves to its user how a request is sent, so both of its calls have a form here:
//! `get_log_section` is a path, `get_notifications` a query. Ids, limits and `next_id` are those of its own
//! `NotificationLogJSONService`.

use boxes_notification_log::{SectionIdError, canonical_integer};
use boxes_recorder::Notification;

use crate::dialects::told;
use crate::json_text::JsonText;
use crate::log_range::LogRange;
use crate::{Problem, ProblemKind, log_problem, query};

/// The most notifications of one answer: the library's own section size, by which its readers ask.
const SECTION_SIZE: u64 = 10;

/// The parameters of a query; the topic may be there several times.
const PARAMETERS: &[&str] = &["start", "limit", "topic", "topics", "inclusive_of_start"];

/// The part of the log that `{first},{last}` names: at most a section of it, and nothing if it ends before it begins.
pub(crate) fn section_range(id: &str) -> Result<LogRange, Problem> {
    let malformed = |error: SectionIdError| log_problem::to_problem(&error.into());
    let (first, last) = id
        .split_once(',')
        .ok_or_else(|| malformed(SectionIdError::Malformed))?;
    let first = canonical_integer(first).map_err(malformed)?.max(1);
    let last = canonical_integer(last).map_err(malformed)?;
    let length = last.saturating_add(1).saturating_sub(first);
    Ok(LogRange {
        from: first,
        limit: to_limit(length.min(SECTION_SIZE)),
        topics: Vec::new(),
    })
}

/// The part of the log that the query names.
///
/// `start` from 0, absent for the beginning; `limit` from 1 to 10, 10 if absent; `topic` or `topics` for each topic that
/// is wanted; `inclusive_of_start`, true if absent.
pub(crate) fn query_range(query: Option<&str>) -> Result<LogRange, Problem> {
    let (mut start, mut limit, mut inclusive) = (None, SECTION_SIZE, true);
    let mut topics = Vec::new();
    for (name, value) in query::parameters(query, PARAMETERS)? {
        match &*name {
            "start" if value.is_empty() => start = None,
            "start" => {
                let number = canonical_integer(&value);
                start = Some(number.map_err(|_| refused("start is an integer from 0, or absent"))?);
            }
            "limit" => {
                limit = match canonical_integer(&value) {
                    Ok(limit @ 1..=SECTION_SIZE) => limit,
                    _ => {
                        let problem =
                            refused("limit is an integer from 1 to the section size, which is 10");
                        return Err(problem.with_member("section_size", SECTION_SIZE));
                    }
                };
            }
            "topic" | "topics" => topics.push(value.into_owned()),
            // It is the one that is left.
            _ => {
                inclusive = match &*value {
                    "true" | "True" | "1" => true,
                    "false" | "False" | "0" => false,
                    _ => return Err(refused("inclusive_of_start is true or false")),
                };
            }
        }
    }
    let from = match start {
        None => 1,
        Some(start) if inclusive => start.max(1),
        Some(start) => start.saturating_add(1),
    };
    Ok(LogRange {
        from,
        limit: to_limit(limit),
        topics,
    })
}

fn refused(detail: &str) -> Problem {
    Problem::new(&ProblemKind::MALFORMED_REQUEST).with_detail(detail)
}

/// It is at most the section size.
fn to_limit(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The body for `{first},{last}`: `id` says what is there, `next_id` is there if it is as much as was asked for.
pub(crate) fn section(items: &[Notification], limit: usize) -> Vec<u8> {
    let mut json = JsonText::default();
    match (items.first(), items.last()) {
        (Some(first), Some(last)) => {
            json.raw("{\"id\":\"").number(first.id);
            json.raw(",").number(last.id).raw("\",\"next_id\":");
            if items.len() == limit {
                let length = u64::try_from(limit).unwrap_or(u64::MAX);
                json.raw("\"").number(last.id.saturating_add(1));
                json.raw(",").number(last.id.saturating_add(length));
                json.raw("\"");
            } else {
                json.raw("null");
            }
        }
        _ => {
            json.raw("{\"id\":null,\"next_id\":null");
        }
    }
    json.raw(",\"items\":");
    write_items(&mut json, items);
    json.raw("}");
    json.into_bytes()
}

/// The body for a query.
pub(crate) fn list(items: &[Notification]) -> Vec<u8> {
    let mut json = JsonText::default();
    write_items(&mut json, items);
    json.into_bytes()
}

fn write_items(json: &mut JsonText, items: &[Notification]) {
    json.raw("[");
    for (place, item) in items.iter().enumerate() {
        let event = &item.event;
        let (topic, state) = told(event);
        json.raw(if place == 0 { "" } else { "," });
        json.raw("{\"id\":").number(item.id);
        json.raw(",\"originator_id\":\"");
        json.raw(&event.originator_id.simple().to_string());
        json.raw("\",\"originator_version\":")
            .number(event.originator_version);
        json.raw(",\"topic\":").string(topic);
        json.raw(",\"state\":").base64(state).raw("}");
    }
    json.raw("]");
}
