//! What tells one event from every other.

use boxes_recorder::StoredEvent;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::digest::Parts;

/// The digests of one event, wherever it stands in the log.
///
/// `content` is over what a deletion takes away: encoding, state and metadata. `event` is over the rest (the
/// event's id, its aggregate and version, topic, schema version, time) and over `content`. So the event of a
/// deleted stream still fits its fingerprint, by the `content` that was written down when it was sealed.
///
/// State counts as it is stored: of an encrypted event the ciphertext. No key is needed to check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of all of it.
    pub event: Digest,
    /// Of encoding, state and metadata.
    pub content: Digest,
}

impl Fingerprint {
    /// That of an event that is whole.
    #[must_use]
    pub fn of(event: &StoredEvent) -> Self {
        let content = Parts::hashed("boxes.content.1")
            .bytes(event.encoding.as_str().as_bytes())
            .bytes(&event.state)
            .bytes(metadata(event))
            .digest();
        Self::with_content(event, content)
    }

    /// That of an event whose content is gone, and had this digest.
    #[must_use]
    pub fn with_content(event: &StoredEvent, content: Digest) -> Self {
        let event = Parts::hashed("boxes.event.1")
            .fixed(event.event_id.as_bytes())
            .fixed(event.originator_id.as_bytes())
            .u64(event.originator_version)
            .bytes(event.topic.as_bytes())
            .u32(event.schema_version)
            .i64(event.occurred_on.as_microsecond())
            .fixed(content.as_bytes())
            .digest();
        Self { event, content }
    }
}

/// Metadata as a page shows it: no metadata is an empty object, and space around it is not kept.
pub(crate) fn metadata(event: &StoredEvent) -> &[u8] {
    match event.metadata.trim_ascii() {
        [] => b"{}",
        metadata => metadata,
    }
}

#[cfg(test)]
mod tests {
    use boxes_recorder::Encoding;
    use bytes::Bytes;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn event() -> StoredEvent {
        StoredEvent {
            event_id: Uuid::from_u128(1),
            originator_id: Uuid::from_u128(2),
            originator_version: 3,
            topic: "orders.order.placed".into(),
            schema_version: 4,
            encoding: Encoding::JSON,
            state: Bytes::from_static(b"{}"),
            metadata: Bytes::from_static(b"{\"a\":1}"),
            occurred_on: Timestamp::from_microsecond(5).unwrap(),
        }
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut StoredEvent); 9] = [
            |e| e.event_id = Uuid::from_u128(9),
            |e| e.originator_id = Uuid::from_u128(9),
            |e| e.originator_version = 9,
            |e| e.topic = "orders.order.paid".into(),
            |e| e.schema_version = 9,
            |e| e.encoding = Encoding::new("json+zlib"),
            |e| e.state = Bytes::from_static(b"{ }"),
            |e| e.metadata = Bytes::from_static(b"{\"a\":2}"),
            |e| e.occurred_on = Timestamp::from_microsecond(6).unwrap(),
        ];
        let mut seen = vec![Fingerprint::of(&event()).event];
        for change in changes {
            let mut changed = event();
            change(&mut changed);
            let digest = Fingerprint::of(&changed).event;
            assert!(!seen.contains(&digest), "{changed:?}");
            seen.push(digest);
        }
    }

    #[test]
    fn what_a_page_does_not_keep_does_not_count() {
        let with = |metadata: &'static str| {
            Fingerprint::of(&StoredEvent {
                metadata: metadata.into(),
                ..event()
            })
        };
        assert_eq!(with(""), with("{}"));
        assert_eq!(with(" {\"a\":1}\n"), with("{\"a\":1}"));
    }

    #[test]
    fn an_event_without_content_still_fits() {
        let whole = Fingerprint::of(&event());
        let gone = StoredEvent {
            state: Bytes::new(),
            metadata: Bytes::new(),
            encoding: Encoding::new("gone"),
            ..event()
        };
        assert_eq!(Fingerprint::with_content(&gone, whole.content), whole);
        assert_ne!(Fingerprint::of(&gone), whole);
    }

    /// The bytes are written down in the crate's README: whoever verifies in another language relies on them.
    #[test]
    fn the_digests_are_these_for_ever() {
        let Fingerprint { event, content } = Fingerprint::of(&event());
        assert_eq!(
            content.to_string(),
            "817b943ff84d63fa0dee1c01a671cc77b3aec9e37d131cc95d567738a77ed975"
        );
        assert_eq!(
            event.to_string(),
            "fd47453f5fa40ca3eaf97c01a83e384ef2daa428fde165f9193f62287148b0ff"
        );
    }
}
