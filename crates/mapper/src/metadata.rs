//! What is told about an event beside what it says.

use boxes_domain::LargeId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is told about an event beside what it says: why it happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Shared by everything that followed from one command, across boxes: the id of the first event of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The id of the event that this one follows from, if it is a reaction to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The trace that it is part of, as W3C Trace Context writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The values that the event names and that are [stored apart](boxes_domain::Large), each once, ascending: what is named
    /// nowhere is garbage, and nobody needs a key to find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<LargeId>,
}

impl Metadata {
    /// As stored: a JSON object on one line.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        // Two ids and a string can always be written; an empty object is still true if they could not.
        serde_json::to_vec(self).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }

    /// From what is stored. What can't be understood is left out: metadata explains an event, it decides nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_reads_what_it_writes_and_leaves_out_what_is_not_there() {
        let metadata = Metadata {
            correlation_id: Some(Uuid::from_u128(7)),
            ..Metadata::default()
        };
        assert_eq!(Metadata::from_bytes(&metadata.to_bytes()), metadata);
        assert_eq!(Metadata::default().to_bytes(), "{}");
        assert_eq!(
            Metadata::from_bytes(b"{\"someone\":\"else's\"}"),
            Metadata::default()
        );
        assert_eq!(Metadata::from_bytes(b"not json"), Metadata::default());
    }
}
