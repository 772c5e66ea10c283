//! Snapshots as they are stored: always encrypted where there are keys.

use boxes_domain::Event;
use boxes_recorder::StoredEvent;

use crate::{Envelope, Mapper, MapperError, StateKey};

impl Mapper {
    /// A snapshot, which is an event of a type of its own, as it is stored. It is encrypted if there are keys, whatever its topic: it
    /// holds what all events of its aggregate said, and seals don't cover it. So one that somebody else made is not read.
    ///
    /// # Errors
    ///
    /// As [`to_stored`](Self::to_stored).
    pub fn to_snapshot<E: Event>(
        &self,
        snapshot: &E,
        envelope: &Envelope,
    ) -> Result<StoredEvent, MapperError> {
        let Some(encryption) = &self.transcoding.encryption else {
            return self.to_stored(snapshot, envelope);
        };
        let mut encrypting = self.clone();
        encrypting.transcoding.encryption = Some(encryption.encrypting_all());
        encrypting.to_stored(snapshot, envelope)
    }

    /// The snapshot that is stored, or `None` if its topic is none of `E`'s, or its data key is not the current one: then it is from
    /// before the log got a new epoch, or before that key was disclosed.
    ///
    /// # Errors
    ///
    /// Those of [`to_event`](Self::to_event); [`MapperError::NotEncrypted`] if there are keys, and it is in the clear.
    pub fn from_snapshot<E: Event>(&self, stored: &StoredEvent) -> Result<Option<E>, MapperError> {
        if self.transcoding.encryption.is_none() {
            return self.to_event(stored);
        }
        let current = self.transcoding.data_keys.as_ref();
        let current = current.and_then(|keys| keys.current());
        match (Self::key_of(stored), current) {
            (None, _) => Err(MapperError::NotEncrypted {
                topic: stored.topic.to_string(),
                originator: stored.originator_id,
                version: stored.originator_version,
            }),
            (Some(key), Some(current)) if key != StateKey::Data(current.id) => Ok(None),
            _ => self.to_event(stored),
        }
    }
}
