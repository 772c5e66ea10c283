//! Ids of events that follow from what they say.

use boxes_domain::Event;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::personal::{Parts, Whose, with_parts};
use crate::state::to_json;
use crate::{Mapper, MapperError};

impl Mapper {
    /// Gives events ids that follow from what they say, instead of new ones: see [`content_id`](Self::content_id).
    #[must_use]
    pub const fn with_content_ids(mut self) -> Self {
        self.content_ids = true;
        self
    }

    /// The id of an event that follows from what it says: from its aggregate, its version, its topic with the schema
    /// version, and its state as JSON, whatever format it is stored in. The same event that is decided twice, by two
    /// writers or in a second try, has the same id; time and cause don't count.
    ///
    /// It is a UUID of version 8, of the first bits of a SHA-256. [`Personal`](boxes_domain::Personal) parts are left out,
    /// because the id stays when they are forgotten.
    ///
    /// `None`, so that the event gets a new id, if this mapper was not told to, and for events that it encrypts: whoever
    /// sees the id could confirm a guess at what they say.
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
        let whose = Whose {
            event_id: Uuid::nil(),
            originator_id,
            originator_version,
            topic: event_type.topic.into(),
        };
        let state = with_parts(&Parts::PassedOn, whose, || {
            to_json(event).map_err(|source| MapperError::Encode {
                topic: event_type.topic,
                source,
            })
        })?;
        // Parts of any length have their length before them, so that no two lists of parts are the same bytes.
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
        let topic = event_type.topic.as_bytes();
        let hash = Sha256::new()
            .chain_update(b"boxes.event-id.1\0")
            .chain_update(originator_id.as_bytes())
            .chain_update(originator_version.to_be_bytes())
            .chain_update(length(topic))
            .chain_update(topic)
            .chain_update(event_type.version.to_be_bytes())
            .chain_update(length(&state))
            .chain_update(&state)
            .finalize();
        let mut bytes = [0; 16];
        for (byte, of_hash) in bytes.iter_mut().zip(hash) {
            *byte = of_hash;
        }
        Ok(Some(Builder::from_custom_bytes(bytes).into_uuid()))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{Encryption, Key, KeyId, Keys};

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
}
