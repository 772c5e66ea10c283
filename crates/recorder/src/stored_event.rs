//! What is kept.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

/// How the state of an event was made into bytes: a short mark, stored beside it.
///
/// Plain JSON is `json`. Each transformation after it adds its name: `json+zlib`, `json+zlib+aes-256-gcm-siv`.
/// State that is marked as plain JSON is embedded in a page as it lies in the store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Encoding(Cow<'static, str>);

impl Encoding {
    /// Plain JSON in UTF-8, on one line.
    pub const JSON: Self = Self(Cow::Borrowed("json"));

    /// The encoding with this mark.
    #[must_use]
    pub fn new(mark: impl Into<Cow<'static, str>>) -> Self {
        let mark = mark.into();
        if mark == "json" {
            Self::JSON
        } else {
            Self(mark)
        }
    }

    /// The mark.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the bytes are JSON as they are.
    #[must_use]
    pub fn is_plain_json(&self) -> bool {
        self.0 == "json"
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event as it is stored: everything but its place in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event's own id, unique everywhere.
    pub event_id: Uuid,
    /// The aggregate to which it happened.
    pub originator_id: Uuid,
    /// The aggregate's version after it: 1 for its first event.
    pub originator_version: u64,
    /// What kind of event it is, such as `orders.order.placed`.
    pub topic: Cow<'static, str>,
    /// The version of the topic's schema, counted from 1.
    pub schema_version: u32,
    /// How `state` was made.
    pub encoding: Encoding,
    /// What the event says, opaque here.
    pub state: Bytes,
    /// A JSON object in UTF-8, on one line: `correlation_id`, `causation_id`, `traceparent` and the like.
    pub metadata: Bytes,
    /// When it happened, in whole microseconds: a store keeps no finer part.
    pub occurred_on: Timestamp,
}

// Written out: payloads are never logged, so they are not in the debug output either.
impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEvent")
            .field("event_id", &self.event_id)
            .field("originator_id", &self.originator_id)
            .field("originator_version", &self.originator_version)
            .field("topic", &self.topic)
            .field("schema_version", &self.schema_version)
            .field("encoding", &self.encoding)
            .field("state_bytes", &self.state.len())
            .field("occurred_on", &self.occurred_on)
            .finish_non_exhaustive()
    }
}

/// An event in its place in the log.
///
/// Ids are 1, 2, 3, …: dense, in commit order, never reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its place in the log, counted from 1.
    pub id: u64,
    /// The event.
    pub event: StoredEvent,
}
