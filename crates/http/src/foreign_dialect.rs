//! What another system answers, in its own words.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_recorder::Encoding;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

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
    pub(crate) originator_id: String,
    pub(crate) originator_version: u64,
    pub(crate) topic: String,
    pub(crate) state: Bytes,
}

#[derive(Deserialize)]
struct Answered<I> {
    items: Vec<I>,
}

#[derive(Deserialize)]
struct Item9 {
    id: u64,
    originator_id: String,
    originator_version: u64,
    topic: String,
    state: String,
}

#[derive(Deserialize)]
struct Item8<'a> {
    id: u64,
    originator_id: Tagged8,
    originator_version: u64,
    topic: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

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
    pub(crate) fn read(self, body: &[u8]) -> Result<Vec<ForeignItem>, String> {
        match self {
            Self::Eventsourcing9 => items::<Item9>(body)?.into_iter().map(Item9::read).collect(),
            Self::Eventsourcing8 => {
                let items = items::<Item8<'_>>(body)?;
                items.into_iter().map(Item8::read).collect()
            }
        }
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

fn items<'a, I: Deserialize<'a>>(body: &'a [u8]) -> Result<Vec<I>, String> {
    serde_json::from_slice::<Answered<I>>(body)
        .map(|answered| answered.items)
        .map_err(|error| format!("what is no section of it: {}", without_values(&error)))
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

impl Item9 {
    fn read(self) -> Result<ForeignItem, String> {
        Ok(ForeignItem {
            id: self.id,
            originator_id: self.originator_id,
            originator_version: self.originator_version,
            topic: self.topic,
            state: decoded(self.id, &self.state)?,
        })
    }
}

impl Item8<'_> {
    fn read(self) -> Result<ForeignItem, String> {
        // Bytes, if the application keeps them; otherwise what it has made of them.
        let state = match serde_json::from_str::<Bytes8>(self.state.get()) {
            Ok(bytes) => decoded(self.id, &bytes.base64)?,
            Err(_) => Bytes::copy_from_slice(self.state.get().as_bytes()),
        };
        Ok(ForeignItem {
            id: self.id,
            originator_id: self.originator_id.uuid,
            // It counts from 0.
            originator_version: self.originator_version.saturating_add(1),
            topic: self.topic,
            state,
        })
    }
}

fn decoded(id: u64, base64: &str) -> Result<Bytes, String> {
    STANDARD
        .decode(base64)
        .map(Bytes::from)
        .map_err(|_| format!("a state, in notification {id}, that is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_gives_is_understood() {
        let nine = br#"{"id":"1,2","next_id":null,"items":[{"id":7,"originator_id":"1c448877a325484a8e3497a515c34c33","originator_version":1,"topic":"k:D","state":"e30="}]}"#;
        let read = ForeignDialect::Eventsourcing9.read(nine).unwrap();
        assert_eq!((read[0].id, &*read[0].state), (7, &b"{}"[..]));
        let eight = br#"{"section_id":"1,20","items":[
            {"id":1,"originator_id":{"UUID":"1c448877a325484a8e3497a515c34c33"},"originator_version":0,"topic":"k#D","state":{"__bytes__":"e30="}},
            {"id":2,"originator_id":{"UUID":"1c448877a325484a8e3497a515c34c33"},"originator_version":1,"topic":"k#D","state":{"n":1.50}}
        ],"previous_id":null,"next_id":null}"#;
        let read = ForeignDialect::Eventsourcing8.read(eight).unwrap();
        assert_eq!(
            (&*read[0].state, &*read[1].state),
            (&b"{}"[..], &br#"{"n":1.50}"#[..])
        );
    }

    #[test]
    fn what_is_something_else_is_said_to_be_so() {
        for (body, expected) in [
            (&b"<html>"[..], "what is no section"),
            (b"{}", "missing field `items`"),
            (
                br#"{"items":[{"id":7,"originator_id":"x","originator_version":1,"topic":"t","state":"?"}]}"#,
                "notification 7, that is not base64",
            ),
            (
                br#"{"items":[{"id":"Ann"}]}"#,
                "a member has the wrong type at line 1 column 21",
            ),
        ] {
            let refused = ForeignDialect::Eventsourcing9.read(body).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("Ann"), "{refused}");
        }
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
