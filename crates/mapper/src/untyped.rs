//! Events whose types are not known here: brought in, stored anew, shown.

use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use serde_json::Value;

use crate::any_value::AnyValue;
use crate::transcoder::{self, Content, Transcoder};
use crate::transcoding::Format;
use crate::without_values::without_values;
use crate::{Mapper, MapperError};

impl Mapper {
    /// The event, whose state is plain JSON on one line, as this mapper stores it: in the format that it writes, compressed,
    /// encrypted, or as it is.
    ///
    /// A state that another format might not hold exactly stays JSON: one with numbers of more than 64 bits, which JSON has in
    /// any length, or with what the transcoder has no form for.
    ///
    /// For those that have events without their types, such as an import.
    ///
    /// # Errors
    ///
    /// [`MapperError::Encrypt`] if its state is too long to be encrypted.
    pub fn write_json(&self, mut plain: StoredEvent) -> Result<StoredEvent, MapperError> {
        if let Some(transcoder) = &self.transcoding.writer
            && let Some(state) = transcoded(&**transcoder, &plain.state)
        {
            plain.encoding = Encoding::new(transcoder.mark());
            plain.state = Bytes::from(state);
        }
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

/// What `transcoder` makes of a state in JSON, if it can hold all of it.
fn transcoded(transcoder: &dyn Transcoder, json: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).ok()?;
    if !is_exact(&value) {
        return None;
    }
    transcoder.encode(&Content::new(&value)).ok()
}

/// Whether no number of it was rounded because it has more than 64 bits.
fn is_exact(value: &Value) -> bool {
    match value {
        // A whole one of that size may have been any of those around it.
        Value::Number(number) => number
            .as_f64()
            .is_none_or(|float| !number.is_f64() || float.abs() < MAX_EXACT),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// 2^63: whole numbers below it are not read as floating point numbers.
const MAX_EXACT: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;
    use boxes_domain::Event;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.e", crate = "boxes_domain")]
    enum E {
        Is(Value),
    }

    fn written(json: &'static str) -> (String, String) {
        let mapper = Mapper::default().message_pack();
        let plain = Mapper::default().to_stored(&E::Is(Value::Null), &Envelope::default());
        let plain = StoredEvent {
            state: Bytes::from_static(json.as_bytes()),
            ..plain.unwrap()
        };
        let stored = mapper.write_json(plain).unwrap();
        let read = mapper.read_json(&stored).unwrap();
        (
            stored.encoding.to_string(),
            String::from_utf8(read.to_vec()).unwrap(),
        )
    }

    #[test]
    fn json_becomes_the_format_of_the_mapper_unless_that_would_change_a_number() {
        for json in [
            r#"{"a":[1,-9223372036854775808,18446744073709551615,1.5,null,true,"x"]}"#,
            "0.1",
        ] {
            let (encoding, read) = written(json);
            assert_eq!((&*encoding, &*read), ("messagepack", json));
        }
        for json in [
            "[18446744073709551616]",
            "{ \"n\":-9223372036854775809 }",
            "1e400",
        ] {
            let (encoding, read) = written(json);
            assert_eq!((&*encoding, &*read), ("json", json));
        }
    }
}
