//! What version 8 of the Python library `eventsourcing` asks and understands.
//!
//! Its `RemoteNotificationLog` takes the members of a section as the arguments of a call, so there may be none but
//! those that it knows. Its sections lie on a grid; here it is the log's own.

use std::num::NonZeroU32;

use boxes_notification_log::{Section, SectionId, SectionIdError, canonical_integer};
use boxes_recorder::Notification;

use crate::dialects::told;
use crate::json_text::JsonText;
use crate::{Problem, log_problem};

/// What the last segment of a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The section that the next notification will be in.
    Current,
    /// The section that holds the notification with this id.
    Holding(u64),
    /// How many notifications a section holds.
    SectionSize,
}

impl Target {
    /// Of `{first},{last}` only `first` counts: what is off the grid is on the section around it.
    pub(crate) fn of(segment: &str) -> Result<Self, Problem> {
        match segment {
            "current" => Ok(Self::Current),
            "section_size" => Ok(Self::SectionSize),
            id => match first_of(id) {
                Ok(first) => Ok(Self::Holding(first)),
                Err(error) => Err(log_problem::to_problem(&error.into())),
            },
        }
    }
}

fn first_of(id: &str) -> Result<u64, SectionIdError> {
    let (first, last) = id.split_once(',').ok_or(SectionIdError::Malformed)?;
    canonical_integer(last)?;
    match canonical_integer(first)? {
        0 => Err(SectionIdError::Malformed),
        first => Ok(first),
    }
}

/// How many notifications a section holds, as a body.
pub(crate) fn section_size(page_size: NonZeroU32) -> Vec<u8> {
    let mut json = JsonText::default();
    json.number(page_size.get().into());
    json.into_bytes()
}

/// Whether the section holds as many as it can: then there is a next one, and it won't change any more.
pub(crate) fn is_full(section: &Section) -> bool {
    section.items.last().map(|item| item.id) == Some(section.id.high())
}

/// A section as a body.
pub(crate) fn section(section: &Section) -> Vec<u8> {
    let mut json = JsonText::default();
    json.raw("{\"section_id\":\"").raw(&section.id.to_string());
    json.raw("\",\"items\":[");
    for (place, item) in section.items.iter().enumerate() {
        json.raw(if place == 0 { "" } else { "," });
        write_item(&mut json, item);
    }
    json.raw("],\"previous_id\":");
    write_id(&mut json, section.id.previous());
    json.raw(",\"next_id\":");
    write_id(&mut json, is_full(section).then(|| section.id.next()));
    json.raw("}");
    json.into_bytes()
}

fn write_id(json: &mut JsonText, id: Option<SectionId>) {
    match id {
        Some(id) => json.raw("\"").raw(&id.to_string()).raw("\""),
        None => json.raw("null"),
    };
}

fn write_item(json: &mut JsonText, item: &Notification) {
    let event = &item.event;
    let (topic, state) = told(event);
    json.raw("{\"id\":").number(item.id);
    json.raw(",\"originator_id\":{\"UUID\":\"");
    json.raw(&event.originator_id.simple().to_string());
    json.raw("\"},\"originator_version\":")
        .number(event.originator_version);
    json.raw(",\"topic\":").string(topic);
    json.raw(",\"state\":{\"__bytes__\":").base64(state);
    json.raw("},\"causal_dependencies\":null}");
}
