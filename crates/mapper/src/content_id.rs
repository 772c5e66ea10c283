//! Ids of events that follow from what they say.

use std::cell::Cell;
use std::rc::Rc;

use boxes_domain::{Event, Opened, PersonalSeal, Subject, sealed_by};
use boxes_recorder::StoredEvent;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::state::to_json;
use crate::transcoding::Format;
use crate::{Mapper, MapperError};

/// What the id of a stored event says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredId {
    /// It is none that follows from content, but a new one.
    New,
    /// It follows from what the event says.
    OfContent,
    /// It follows from something else than what the event says.
    OfOther {
        /// The one that does.
        expected: Uuid,
    },
    /// It follows from content, and whether from this can't be told here: the event is redacted, encrypted with keys that are not
    /// here, or written in another format than JSON.
    Unknown,
}

impl Mapper {
    /// Gives events ids that follow from what they say, instead of new ones: see [`content_id`](Self::content_id).
    #[must_use]
    pub const fn with_content_ids(mut self) -> Self {
        self.content_ids = true;
        self
    }

    /// Whether it gives such ids.
    #[must_use]
    pub const fn has_content_ids(&self) -> bool {
        self.content_ids
    }

    /// The id of an event that follows from what it says: from its aggregate, its version, its topic with the schema
    /// version, and its state as JSON, whatever format it is stored in. The same event that is decided twice, by two
    /// writers or in a second try, has the same id; time and cause don't count.
    ///
    /// It is a UUID of version 8, of the first bits of a SHA-256.
    ///
    /// `None`, so that the event gets a new id, if this mapper was not told to, and for events that are encrypted or have
    /// [`Personal`](boxes_domain::Personal) parts: an id that follows from what is secret would confirm a guess at it, and stays when
    /// it is forgotten; one that leaves it out would be the same for events that say different things.
    ///
    /// # Errors
    ///
    /// [`MapperError::Encode`] if the event can't be written as JSON.
    pub fn content_id<E: Event>(
        &self,
        event: &E,
        originator_id: Uuid,
        originator_version: u64,
    ) -> Result<Option<Uuid>, MapperError> {
        let event_type = event.event_type();
        if !self.content_ids || self.encrypts(event_type.topic) {
            return Ok(None);
        }
        let parts = Rc::new(LeftOut::default());
        let state = sealed_by(Rc::<LeftOut>::clone(&parts), || to_json(event));
        let state = state.map_err(|source| MapperError::Encode {
            topic: event_type.topic,
            source,
        })?;
        if parts.are_there.get() {
            return Ok(None);
        }
        Ok(Some(id_of(
            originator_id,
            originator_version,
            event_type.topic,
            event_type.version,
            &[&state],
        )))
    }

    /// Whether the id of a stored event [follows from what it says](Self::content_id); of one whose id is of that kind, a UUID of
    /// version 8. It needs no type: JSON is hashed as it is stored, apart from personal parts: events that have them got such ids from
    /// earlier versions of the kit.
    ///
    /// For those who verify events; it takes no notice of whether this mapper gives such ids.
    #[must_use]
    pub fn stored_id(&self, stored: &StoredEvent) -> StoredId {
        if stored.event_id.get_version_num() != VERSION {
            return StoredId::New;
        }
        if stored.is_redacted() {
            return StoredId::Unknown;
        }
        let Ok((Format::Json, state)) = self.transcoding.read(stored) else {
            return StoredId::Unknown;
        };
        let of = |state: &[&[u8]]| {
            id_of(
                stored.originator_id,
                stored.originator_version,
                &stored.topic,
                stored.schema_version,
                state,
            )
        };
        let expected = of(&without_sealed_parts(&state));
        // What looks like a sealed part may be a value of the event's own.
        if [expected, of(&[&state])].contains(&stored.event_id) {
            StoredId::OfContent
        } else {
            StoredId::OfOther { expected }
        }
    }
}

/// Leaves personal parts out, and notes that there are some.
#[derive(Default)]
struct LeftOut {
    are_there: Cell<bool>,
}

impl PersonalSeal for LeftOut {
    fn seal(&self, _: &Subject, _: &RawValue) -> Result<Option<String>, String> {
        self.are_there.set(true);
        Ok(None)
    }

    fn open(&self, _: &str) -> Result<Opened, String> {
        Ok(Opened::Unread)
    }

    fn passes_on(&self) -> bool {
        true
    }
}

/// That of ids which follow from content.
const VERSION: usize = 8;

/// `state` is what comes of its pieces, one after the other.
fn id_of(
    originator_id: Uuid,
    originator_version: u64,
    topic: &str,
    schema_version: u32,
    state: &[&[u8]],
) -> Uuid {
    // Parts of any length have their length before them, so that no two lists of parts are the same bytes.
    let length = |n: usize| u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes();
    let mut hash = Sha256::new()
        .chain_update(b"boxes.event-id.1\0")
        .chain_update(originator_id.as_bytes())
        .chain_update(originator_version.to_be_bytes())
        .chain_update(length(topic.len()))
        .chain_update(topic)
        .chain_update(schema_version.to_be_bytes())
        .chain_update(length(state.iter().map(|piece| piece.len()).sum()));
    for piece in state {
        hash.update(piece);
    }
    let mut bytes = [0; 16];
    for (byte, of_hash) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = of_hash;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The pieces of a state in JSON in which personal parts are as they were when the id was made: there, and without content.
fn without_sealed_parts(state: &[u8]) -> Vec<&[u8]> {
    // Within a string a quotation mark is escaped: so this is the beginning of an object.
    const BEFORE: &[u8] = b"{\"$personal\":";
    let mut pieces = Vec::new();
    let mut rest = state;
    while let Some(found) = rest.windows(BEFORE.len()).position(|at| at == BEFORE) {
        let (before, after) = rest.split_at(found.saturating_add(BEFORE.len()));
        pieces.push(before);
        rest = after;
        let sealed = after.strip_prefix(b"\"");
        let end = sealed.and_then(|text| text.iter().position(|byte| *byte == b'"'));
        if let Some((_, after)) = sealed
            .zip(end)
            .and_then(|(text, end)| text.split_at_checked(end))
        {
            pieces.push(b"null");
            rest = after.strip_prefix(b"\"").unwrap_or(after);
        }
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use std::sync::Arc;

    use boxes_domain::{Personal, Subject};

    use super::*;
    use crate::{Encryption, Envelope, Key, KeyId, Keys, SubjectKey, SubjectKeyId, SubjectKeyring};

    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "orders.order", crate = "boxes_domain")]
    enum OrderEvent {
        Placed { customer: String },
        Renamed { customer: String },
    }

    const ORDER: Uuid = Uuid::from_u128(7);

    fn placed(customer: &str) -> OrderEvent {
        OrderEvent::Placed {
            customer: customer.to_owned(),
        }
    }

    fn id(mapper: &Mapper, event: &OrderEvent, order: Uuid, version: u64) -> Option<Uuid> {
        mapper.content_id(event, order, version).unwrap()
    }

    #[test]
    fn an_id_follows_from_what_an_event_says_and_of_what() {
        let mapper = Mapper::default().with_content_ids();
        let ids = [
            id(&mapper, &placed("ALFKI"), ORDER, 1),
            id(&mapper, &placed("ALFKA"), ORDER, 1),
            id(&mapper, &placed("ALFKI"), ORDER, 2),
            id(&mapper, &placed("ALFKI"), Uuid::from_u128(8), 1),
            id(
                &mapper,
                &OrderEvent::Renamed {
                    customer: "ALFKI".to_owned(),
                },
                ORDER,
                1,
            ),
        ];
        for (place, one) in ids.iter().enumerate() {
            assert_eq!(one.map(|id| id.get_version_num()), Some(8));
            assert!(!ids[..place].contains(one), "{place}");
        }
        // For ever, and in whatever format it is stored.
        let expected: Uuid = "1968e3a6-73e6-84da-888f-294c4474503d".parse().unwrap();
        assert_eq!(ids[0], Some(expected));
        let other = mapper.compressed().message_pack();
        assert_eq!(id(&other, &placed("ALFKI"), ORDER, 1), Some(expected));
    }

    #[test]
    fn it_is_asked_for_and_an_event_that_is_encrypted_has_none() {
        let of = |mapper: Mapper| id(&mapper, &placed("ALFKI"), ORDER, 1);
        assert_eq!(of(Mapper::default()), None);
        let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
        let encrypting = |encryption| Mapper::default().encrypted(encryption).with_content_ids();
        assert_eq!(of(encrypting(Encryption::all(keys.clone()))), None);
        let elsewhere = Encryption::only(keys, ["orders.invoice"]);
        assert!(of(encrypting(elsewhere)).is_some());
    }

    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "crm.customer", crate = "boxes_domain")]
    enum CustomerEvent {
        Named {
            name: Personal<String>,
            note: String,
            by: Personal<String>,
        },
    }

    /// One key for all subjects.
    #[derive(Debug)]
    struct OneKey;

    impl SubjectKeyring for OneKey {
        fn of_subject(&self, _: &Subject) -> Option<(SubjectKeyId, Key)> {
            Some((SubjectKeyId(Uuid::from_u128(1)), Key::new(&[1; 32])))
        }

        fn by_id(&self, _: SubjectKeyId) -> Option<SubjectKey> {
            None
        }
    }

    fn stored<E: Event>(mapper: &Mapper, event: &E) -> StoredEvent {
        let event_id = mapper.content_id(event, ORDER, 3).unwrap().unwrap();
        stored_as(event_id, mapper, event)
    }

    fn stored_as<E: Event>(event_id: Uuid, mapper: &Mapper, event: &E) -> StoredEvent {
        let envelope = Envelope {
            event_id,
            originator_id: ORDER,
            originator_version: 3,
            ..Envelope::default()
        };
        mapper.to_stored(event, &envelope).unwrap()
    }

    #[test]
    fn an_event_with_personal_parts_gets_a_new_id_and_one_without_does_not() {
        let mapper = Mapper::default().with_content_ids();
        let named = |name| CustomerEvent::Named {
            name,
            note: "new".to_owned(),
            by: Personal::Forgotten,
        };
        let ann = named(Personal::of("ann", "Ann".to_owned()));
        assert_eq!(mapper.content_id(&ann, ORDER, 3).unwrap(), None);
        let nobody = named(Personal::Forgotten);
        assert!(mapper.content_id(&nobody, ORDER, 3).unwrap().is_some());
    }

    #[test]
    fn whoever_has_an_event_can_tell_whether_its_id_is_that_of_what_it_says() {
        let mapper = Mapper::default()
            .with_content_ids()
            .with_subject_keys(Arc::new(OneKey));
        let reader = Mapper::default();
        let note = r#"{"$personal":"not one"} says "Ann""#.to_owned();
        let named = CustomerEvent::Named {
            name: Personal::of("ann", "Ann".to_owned()),
            note: note.clone(),
            by: Personal::of("bob", "Bob".to_owned()),
        };
        // As earlier versions of the kit made it.
        let note = serde_json::to_string(&note).unwrap();
        let parts =
            format!(r#"{{"name":{{"$personal":null}},"note":{note},"by":{{"$personal":null}}}}"#);
        let old = id_of(ORDER, 3, "crm.customer.named", 1, &[parts.as_bytes()]);
        let events = [
            stored(&mapper, &placed("ALFKI")),
            stored(&mapper.clone().compressed(), &placed(&"ALFKI".repeat(99))),
            stored_as(old, &mapper, &named),
        ];
        for event in events {
            assert_eq!(reader.stored_id(&event), StoredId::OfContent, "{event:?}");
            let other = StoredEvent {
                originator_version: 4,
                ..event.clone()
            };
            let expected = match reader.stored_id(&other) {
                StoredId::OfOther { expected } => expected,
                other => panic!("{other:?}"),
            };
            let event_id = expected;
            let other = StoredEvent { event_id, ..other };
            assert_eq!(reader.stored_id(&other), StoredId::OfContent);
            let new = StoredEvent {
                event_id: Uuid::from_u128(7),
                ..event.clone()
            };
            assert_eq!(reader.stored_id(&new), StoredId::New);
            assert_eq!(reader.stored_id(&event.to_redacted()), StoredId::Unknown);
        }
        let mut changed = stored(&mapper, &placed("ALFKI"));
        changed.state = r#"{"customer":"ALFKA"}"#.into();
        assert!(matches!(
            reader.stored_id(&changed),
            StoredId::OfOther { .. }
        ));
    }

    #[test]
    fn of_what_is_not_json_or_encrypted_it_can_not_be_told() {
        let mapper = Mapper::default().with_content_ids();
        let packed = stored(&mapper.clone().message_pack(), &placed("ALFKI"));
        assert_eq!(mapper.stored_id(&packed), StoredId::Unknown);
        // Encrypted later, as by storing a log anew: with the key it can be told.
        let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
        let encrypting = Mapper::default().encrypted(Encryption::all(keys));
        let encrypted = encrypting
            .rewrite(&stored(&mapper, &placed("ALFKI")))
            .unwrap();
        assert_eq!(mapper.stored_id(&encrypted), StoredId::Unknown);
        assert_eq!(encrypting.stored_id(&encrypted), StoredId::OfContent);
    }
}
