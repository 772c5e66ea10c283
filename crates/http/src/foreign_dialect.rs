//! What another system answers, in its own words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_recorder::Encoding;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The mark of a state that is not JSON on one line: compressed, encrypted, or of a transcoder of its own.
const UNKNOWN_ENCODING: &str = "eventsourcing";

/// How another system serves its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignDialect {
    /// What `NotificationLogJSONService.get_log_section` of the Python library `eventsourcing`, version 9, gives for
    /// `{url}/{first},{last}`. Its ids may have gaps.
    Eventsourcing9,
    /// What `NotificationLogView.present_resource` of the same, version 8, gives for `{url}/{first},{last}/`. Its ids have
    /// no gaps.
    Eventsourcing8,
}

/// A notification as the other system gives it.
#[derive(Debug)]
pub(crate) struct ForeignItem {
    pub(crate) id: u64,
    pub(crate) topic: String,
    /// The rest of it, or why that can't be read.
    pub(crate) content: Result<ForeignContent, &'static str>,
    /// The item as it came.
    pub(crate) raw: Bytes,
}

/// What happened to which aggregate.
#[derive(Debug)]
pub(crate) struct ForeignContent {
    pub(crate) originator_id: Uuid,
    pub(crate) originator_version: u64,
    pub(crate) state: Bytes,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The members of an item. One that is there twice has its last value, as for the library.
type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

#[derive(Deserialize)]
struct Tagged8 {
    #[serde(rename = "UUID")]
    uuid: String,
}

#[derive(Deserialize)]
struct Bytes8 {
    #[serde(rename = "__bytes__")]
    base64: String,
}

impl ForeignDialect {
    /// What names the section that begins at `first`, below the address of the log.
    pub(crate) fn segment(self, first: u64, length: NonZeroU32) -> String {
        let last = first.saturating_add(u64::from(length.get()) - 1);
        match self {
            Self::Eventsourcing9 => format!("{first},{last}"),
            Self::Eventsourcing8 => format!("{first},{last}/"),
        }
    }

    /// The notifications of an answer, or what it is instead.
    ///
    /// An item whose id can be read is one of them, whatever else is wrong with it: it may be of a topic that no one
    /// handles.
    pub(crate) fn read(self, body: &[u8]) -> Result<Vec<ForeignItem>, String> {
        let answered: Answered<'_> = serde_json::from_slice(body)
            .map_err(|error| format!("what is no section of it: {}", without_values(&error)))?;
        answered
            .items
            .into_iter()
            .map(|item| self.read_item(item))
            .collect()
    }

    fn read_item(self, item: &RawValue) -> Result<ForeignItem, String> {
        let members: Members<'_> = serde_json::from_str(item.get())
            .map_err(|error| format!("an item that is none: {}", without_values(&error)))?;
        let id = read(&members, "id").map_err(|_| "an item without an id".to_owned())?;
        // Without a topic no one can say whether it is handled.
        let topic = read(&members, "topic")
            .map_err(|_| format!("notification {id}, whose topic is no text"))?;
        Ok(ForeignItem {
            id,
            topic,
            content: self.read_content(&members),
            raw: Bytes::copy_from_slice(item.get().as_bytes()),
        })
    }

    fn read_content(self, members: &Members<'_>) -> Result<ForeignContent, &'static str> {
        let version: u64 = read(members, "originator_version")
            .map_err(|_| "its originator_version is no positive integer")?;
        let (originator_id, originator_version, state) = match self {
            Self::Eventsourcing9 => {
                let id: String =
                    read(members, "originator_id").map_err(|_| "its originator_id is no text")?;
                let state: String = read(members, "state").map_err(|_| "its state is no text")?;
                (id, version, decoded(&state)?)
            }
            Self::Eventsourcing8 => {
                let id: Tagged8 =
                    read(members, "originator_id").map_err(|_| "its originator_id is no UUID")?;
                let state = members.get("state").ok_or("it has no state")?.get();
                // Bytes, if the application keeps them; otherwise what it has made of them.
                let state = match serde_json::from_str::<Bytes8>(state) {
                    Ok(bytes) => decoded(&bytes.base64)?,
                    Err(_) => Bytes::copy_from_slice(state.as_bytes()),
                };
                // It counts from 0.
                (id.uuid, version.saturating_add(1), state)
            }
        };
        Ok(ForeignContent {
            originator_id: Uuid::try_parse(&originator_id)
                .map_err(|_| "its originator_id is no UUID")?,
            originator_version,
            state: on_one_line(state),
        })
    }

    /// How a state is marked that came like this.
    pub(crate) fn encoding(self, state: &[u8]) -> Encoding {
        let is_json = std::str::from_utf8(state).is_ok_and(|text| {
            !text.contains(['\n', '\r']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
        });
        if is_json {
            Encoding::JSON
        } else {
            Encoding::new(UNKNOWN_ENCODING)
        }
    }
}

fn read<'a, T: Deserialize<'a>>(members: &Members<'a>, name: &str) -> Result<T, serde_json::Error> {
    let value = members.get(name);
    serde_json::from_str(value.map_or("null", |value| value.get()))
}

/// JSON on several lines as JSON on one line, which is how a box keeps it: in JSON a line ends only between values.
fn on_one_line(state: Bytes) -> Bytes {
    let is_json = || serde_json::from_slice::<IgnoredAny>(&state).is_ok();
    if !state.contains(&b'\n') && !state.contains(&b'\r') || !is_json() {
        return state;
    }
    let is_end_of_line = |byte: u8| matches!(byte, b'\n' | b'\r');
    let bytes = state
        .iter()
        .map(|byte| if is_end_of_line(*byte) { b' ' } else { *byte });
    bytes.collect::<Vec<u8>>().trim_ascii().to_vec().into()
}

/// What does not fit, and where; not what stands there: that may be somebody's data, and errors are logged.
fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    if !error.is_data() || message.starts_with("missing field `") {
        return message;
    }
    let (line, column) = (error.line(), error.column());
    format!("a member has the wrong type at line {line} column {column}")
}

fn decoded(base64: &str) -> Result<Bytes, &'static str> {
    let decoded = STANDARD.decode(base64).map(Bytes::from);
    decoded.map_err(|_| "its state is not base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(item: &ForeignItem) -> &[u8] {
        &item.content.as_ref().unwrap().state
    }

    #[test]
    fn what_the_library_gives_is_understood() {
        let nine = br#"{"id":"1,2","next_id":null,"items":[{"id":7,"originator_id":"1c448877a325484a8e3497a515c34c33","originator_version":1,"topic":"k:D","state":"e30="}]}"#;
        let read = ForeignDialect::Eventsourcing9.read(nine).unwrap();
        assert_eq!((read[0].id, state(&read[0])), (7, &b"{}"[..]));
        let eight = br#"{"section_id":"1,20","items":[
            {"id":1,"originator_id":{"UUID":"1c448877a325484a8e3497a515c34c33"},"originator_version":0,"topic":"k#D","state":{"__bytes__":"e30="}},
            {"id":2,"originator_id":{"UUID":"1c448877a325484a8e3497a515c34c33"},"originator_version":1,"topic":"k#D","state":{"n":1.50}}
        ],"previous_id":null,"next_id":null}"#;
        let read = ForeignDialect::Eventsourcing8.read(eight).unwrap();
        assert_eq!(
            (state(&read[0]), state(&read[1])),
            (&b"{}"[..], &br#"{"n":1.50}"#[..])
        );
    }

    #[test]
    fn what_is_something_else_is_said_to_be_so() {
        for (body, expected) in [
            (&b"<html>"[..], "what is no section"),
            (b"{}", "missing field `items`"),
            (br#"{"items":[{"id":"Ann"}]}"#, "an item without an id"),
            (br#"{"items":["Ann"]}"#, "a member has the wrong type"),
        ] {
            let refused = ForeignDialect::Eventsourcing9.read(body).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("Ann"), "{refused}");
        }
    }

    #[test]
    fn an_item_that_can_not_be_read_is_named_and_keeps_its_place() {
        let item = |members: &str| {
            let body = format!(r#"{{"items":[{{"id":7,"topic":"t",{members}}}]}}"#);
            ForeignDialect::Eventsourcing9
                .read(body.as_bytes())
                .unwrap()
                .remove(0)
        };
        const ID: &str = r#""originator_id":"1c448877a325484a8e3497a515c34c33""#;
        for (members, expected) in [
            (
                r#""originator_id":"Ann","originator_version":1,"state":"e30=""#.to_owned(),
                "no UUID",
            ),
            (
                format!(r#"{ID},"originator_version":-1,"state":"e30=""#),
                "no positive integer",
            ),
            (
                format!(r#"{ID},"originator_version":1,"state":"?""#),
                "not base64",
            ),
            (format!(r#"{ID},"originator_version":1"#), "no text"),
        ] {
            let item = item(&members);
            assert_eq!((item.id, &*item.topic), (7, "t"));
            let refused = item.content.unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        let twice = format!(r#"{ID},"originator_version":1,"originator_version":2,"state":"e30=""#);
        assert_eq!(item(&twice).content.unwrap().originator_version, 2);
        // Two lines, of which a box makes one.
        let lines = format!(
            r#"{ID},"originator_version":1,"state":"{}""#,
            STANDARD.encode("{\r\n\"a\":1}\n")
        );
        assert_eq!(&*item(&lines).content.unwrap().state, br#"{  "a":1}"#);
    }

    #[test]
    fn only_json_on_one_line_is_marked_as_json() {
        let dialect = ForeignDialect::Eventsourcing9;
        assert!(dialect.encoding(b"{\"n\":1}").is_plain_json());
        for state in [&b"x\x9c"[..], b"{\n}", b""] {
            assert!(!dialect.encoding(state).is_plain_json());
        }
    }
}
