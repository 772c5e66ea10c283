//! What the Python library `eventsourcing` asked and understood in 2017.
//!
//! Its archived logs have names, sections lie on a grid, and the section that is current at an exact multiple of the
//! grid is the next one, which is empty. Its readers take a section for the last one as long as it names no next.

use boxes_notification_log::{Section, SectionId, SectionIdError};
use boxes_recorder::Notification;

use crate::dialects::told;
use crate::json_page::embeds_as_json;
use crate::json_text::JsonText;
use crate::{Problem, log_problem};

/// What the last segment of a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The section that the next notification will be in.
    Current,
    /// This one, if it is on the log's grid.
    Section(SectionId),
}

impl Target {
    pub(crate) fn of(segment: &str) -> Result<Self, Problem> {
        if segment == "current" {
            return Ok(Self::Current);
        }
        let id = segment.parse();
        id.map(Self::Section)
            .map_err(|error: SectionIdError| log_problem::to_problem(&error.into()))
    }
}

/// A section as a body: exactly these four members.
pub(crate) fn section(section: &Section) -> Vec<u8> {
    let mut json = JsonText::default();
    json.raw("{\"id\":\"").raw(&section.id.to_string());
    json.raw("\",\"items\":[");
    for (place, item) in section.items.iter().enumerate() {
        json.raw(if place == 0 { "" } else { "," });
        write_item(&mut json, item);
    }
    json.raw("],\"previous_id\":");
    write_id(&mut json, section.previous.as_ref().map(|link| link.id));
    json.raw(",\"next_id\":");
    write_id(&mut json, section.next.as_ref().map(|link| link.id));
    json.raw("}");
    json.into_bytes()
}

fn write_id(json: &mut JsonText, id: Option<SectionId>) {
    match id {
        Some(id) => json.raw("\"").raw(&id.to_string()).raw("\""),
        None => json.raw("null"),
    };
}

/// State was text in those days: JSON, or the base64 of what was sealed.
fn write_item(json: &mut JsonText, item: &Notification) {
    let event = &item.event;
    json.raw("{\"id\":").number(item.id);
    json.raw(",\"originator_id\":{\"UUID\":\"");
    json.raw(&event.originator_id.simple().to_string());
    json.raw("\"},\"originator_version\":")
        .number(event.originator_version);
    let (topic, state) = told(event);
    json.raw(",\"topic\":").string(topic);
    json.raw(",\"state\":");
    match std::str::from_utf8(state) {
        Ok(state) if embeds_as_json(event) || event.is_redacted() => json.string(state),
        _ => json.base64(state),
    };
    json.raw("}");
}
