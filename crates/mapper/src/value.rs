//! Values that are stored apart from the events that name them.

use boxes_domain::LargeId;
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Mapper, MapperError, StateKey};

/// What stands for the topic in errors and where a ciphertext is bound to what it is.
const TOPIC: &str = "large value";

/// The id of a value with this content.
#[must_use]
pub fn large_id(content: &[u8]) -> LargeId {
    LargeId::new(Sha256::digest(content).into())
}

impl Mapper {
    /// A value as it is stored: compressed and encrypted like events, and marked with that. It is encrypted if any events
    /// are. The same value with the same key gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`MapperError::Encrypt`] if it is too long to be encrypted.
    pub fn write_value(&self, id: LargeId, content: Bytes) -> Result<Bytes, MapperError> {
        let stored = self
            .transcoding
            .write_value(envelope(id, Encoding::JSON, content))?;
        let mark = stored.encoding.as_str().as_bytes();
        // A mark is a few words long.
        let length = u8::try_from(mark.len()).unwrap_or(u8::MAX);
        Ok([&[length], mark, &stored.state].concat().into())
    }

    /// As [`write_value`](Self::write_value), for a folder that a log and its copy share: with the oldest data key, which
    /// both have.
    ///
    /// # Errors
    ///
    /// As [`write_value`](Self::write_value).
    pub fn write_value_for_copy(&self, id: LargeId, content: Bytes) -> Result<Bytes, MapperError> {
        let mut both = self.clone();
        both.transcoding = both.transcoding.with_first_data_key();
        both.write_value(id, content)
    }

    /// With which key a stored value is encrypted; `None` if it is not, or is damaged. Needs no key.
    #[must_use]
    pub fn key_of_value(stored: &Bytes) -> Option<StateKey> {
        let (length, rest) = stored.split_first()?;
        let (mark, state) = rest.split_at_checked(usize::from(*length))?;
        let encoding = Encoding::new(std::str::from_utf8(mark).ok()?.to_owned());
        let id = LargeId::new([0; 32]);
        Self::key_of(&envelope(id, encoding, stored.slice_ref(state)))
    }

    /// The content of a stored value, which is held against its id.
    ///
    /// # Errors
    ///
    /// [`MapperError::DamagedValue`] if it is not that value. Those of keys and compression as for
    /// [`to_event`](Self::to_event).
    pub fn read_value(&self, id: LargeId, stored: &Bytes) -> Result<Bytes, MapperError> {
        let damaged = || MapperError::DamagedValue { id };
        let (length, rest) = stored.split_first().ok_or_else(damaged)?;
        let (mark, state) = rest
            .split_at_checked(usize::from(*length))
            .ok_or_else(damaged)?;
        let mark = std::str::from_utf8(mark).map_err(|_| damaged())?;
        let encoding = Encoding::new(mark.to_owned());
        let envelope = envelope(id, encoding, stored.slice_ref(state));
        let (_, content) = self.transcoding.read(&envelope)?;
        if large_id(&content) != id {
            return Err(damaged());
        }
        Ok(content)
    }
}

/// A value as the steps that write state take it. Its id makes the nonce, and is bound in.
fn envelope(id: LargeId, encoding: Encoding, state: Bytes) -> StoredEvent {
    let (first, last) = id.as_bytes().split_at(16);
    let uuid = |half: &[u8]| Uuid::from_slice(half).unwrap_or_default();
    StoredEvent {
        event_id: uuid(first),
        originator_id: uuid(last),
        originator_version: 1,
        topic: TOPIC.into(),
        schema_version: 1,
        encoding,
        state,
        metadata: Bytes::new(),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encryption, Key, KeyId, Keys};

    #[test]
    fn a_value_is_read_as_it_was_written_and_by_no_other_id() {
        let keys = || Keys::new(KeyId(1), Key::new(&[1; 32]));
        let content = Bytes::from("picture ".repeat(100));
        let id = large_id(&content);
        for (mapper, hides) in [
            (Mapper::default(), false),
            (Mapper::default().compressed(), true),
            (Mapper::default().encrypted(Encryption::all(keys())), true),
            (
                Mapper::default().encrypted(Encryption::only(keys(), ["orders.order"])),
                true,
            ),
            (Mapper::default().encrypted(Encryption::none(keys())), false),
        ] {
            let stored = mapper.write_value(id, content.clone()).unwrap();
            assert_eq!(mapper.write_value(id, content.clone()).unwrap(), stored);
            let is_seen = stored.windows(16).any(|part| part == b"picture picture ");
            assert_eq!(is_seen, !hides, "{mapper:?}");
            assert_eq!(mapper.read_value(id, &stored).unwrap(), content);
            assert!(mapper.read_value(large_id(b"other"), &stored).is_err());
            for place in 0..stored.len() {
                let mut changed = stored.to_vec();
                changed[place] ^= 1;
                assert!(mapper.read_value(id, &changed.into()).is_err(), "{place}");
                let cut = stored.slice(..place);
                assert!(mapper.read_value(id, &cut).is_err(), "{place}");
            }
        }
    }
}
