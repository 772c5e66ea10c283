//! What is kept.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

/// How the state of an event was made into bytes: a short mark, stored beside it.
///
/// Plain JSON is `json`. Each transformation after it adds its name: `json+zlib`, `json+zlib+aes-256-gcm-siv@orders`, where
/// `orders` is the box that encrypted it. State that is marked as plain JSON is embedded in a page as it lies in the store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Encoding(Cow<'static, str>);

impl Encoding {
    /// Plain JSON in UTF-8, on one line.
    pub const JSON: Self = Self(Cow::Borrowed("json"));

    /// Nothing: what the event said was redacted, because its stream was deleted. Only a store writes it.
    pub const REDACTED: Self = Self(Cow::Borrowed("redacted"));

    /// The encoding with this mark.
    #[must_use]
    pub fn new(mark: impl Into<Cow<'static, str>>) -> Self {
        let mark = mark.into();
        match &*mark {
            "json" => Self::JSON,
            "redacted" => Self::REDACTED,
            _ => Self(mark),
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

    /// Whether the state was written as JSON, whatever was done to that afterwards.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.0.split('+').next() == Some("json")
    }

    /// Whether what the event said was redacted.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.0 == "redacted"
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

impl StoredEvent {
    /// Whether what it said was redacted, because its stream was deleted.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.encoding.is_redacted()
    }

    /// What stays of the event when its stream is deleted: everything but what it said and why, its state and its
    /// metadata.
    ///
    /// ```
    /// # use boxes_recorder::{Encoding, StoredEvent};
    /// # fn example(event: StoredEvent) {
    /// let redacted = event.to_redacted();
    /// assert!(redacted.is_redacted() && redacted.state.is_empty());
    /// assert_eq!((redacted.event_id, redacted.topic), (event.event_id, event.topic));
    /// # }
    /// ```
    #[must_use]
    pub fn to_redacted(&self) -> Self {
        Self {
            encoding: Encoding::REDACTED,
            state: Bytes::new(),
            metadata: Bytes::from_static(Self::REDACTED_METADATA),
            ..self.clone()
        }
    }

    /// The metadata of an event that was redacted: an empty JSON object.
    pub const REDACTED_METADATA: &'static [u8] = b"{}";
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

impl Notification {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        let event = &self.event;
        size_of::<Self>() + event.state.len() + event.metadata.len() + event.topic.len()
    }
}
