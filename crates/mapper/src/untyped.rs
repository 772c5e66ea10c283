//! Events whose types are not known here: brought in, stored anew, shown.

use boxes_recorder::StoredEvent;
use bytes::Bytes;

use crate::any_value::AnyValue;
use crate::transcoder;
use crate::transcoding::Format;
use crate::without_values::without_values;
use crate::{Mapper, MapperError};

impl Mapper {
    /// The event, whose state is plain JSON on one line, as this mapper stores it: compressed, encrypted, or as it is.
    /// It stays JSON, whatever format this mapper writes events in.
    ///
    /// For those that have events without their types, such as an import.
    ///
    /// # Errors
    ///
    /// [`MapperError::Encrypt`] if its state is too long to be encrypted.
    pub fn write_json(&self, plain: StoredEvent) -> Result<StoredEvent, MapperError> {
        self.transcoding.write(plain)
    }

    /// The event as this mapper stores it now: decompressed and decrypted, then compressed and encrypted with the current
    /// key, or left in the clear, as its topic says. Its format stays, and its personal parts, which are of keys of their own.
    ///
    /// For a log that is to be stored anew; it needs neither types nor transcoders. An event that is as it would be made comes
    /// out the same.
    ///
    /// # Errors
    ///
    /// Those of [`to_event`](Self::to_event) that are about compression and encryption, and [`MapperError::Encrypt`].
    pub fn rewrite(&self, stored: &StoredEvent) -> Result<StoredEvent, MapperError> {
        self.transcoding.rewrite(stored)
    }

    /// The state of the event as plain JSON, whatever was done to it, and in whatever format it was written; the other
    /// way of [`write_json`](Self::write_json).
    ///
    /// # Errors
    ///
    /// Those of [`to_event`](Self::to_event), except those that a type is needed for; [`MapperError::Decode`] only
    /// where the state is not JSON, and not what its format says either.
    pub fn read_json(&self, stored: &StoredEvent) -> Result<Bytes, MapperError> {
        let (format, state) = self.transcoding.read(stored)?;
        let Format::Of(transcoder) = format else {
            return Ok(state);
        };
        let value = transcoder::decode(transcoder, &state, |content| {
            let AnyValue(value) = serde::Deserialize::deserialize(content)?;
            Ok(value)
        });
        let json = value.and_then(|value| Ok(serde_json::to_vec(&value)?));
        json.map(Bytes::from).map_err(|source| MapperError::Decode {
            topic: stored.topic.to_string(),
            version: stored.schema_version,
            source: without_values(source),
        })
    }
}
