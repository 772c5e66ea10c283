//! Events whose types are not known here: brought in, stored anew, shown.

use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;

use crate::json_text::to_json_text;
use crate::json_tree::JsonTree;
use crate::transcoder::{self, Content, Transcoder};
use crate::transcoding::Format;
use crate::without_values::without_values;
use crate::{Mapper, MapperError};

impl Mapper {
    /// The event, whose state is plain JSON on one line, as this mapper stores it: in the format that it writes, compressed,
    /// encrypted, or as it is.
    ///
    /// A state that another format might not hold exactly stays JSON: one with numbers of more than 64 bits or more digits than
    /// those have, which JSON has in any length, with keys that come twice, or with what the transcoder has no form for.
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

    /// The state of the event in its own format, decompressed and decrypted.
    ///
    /// # Errors
    ///
    /// Those of [`to_event`](Self::to_event) that are about compression and encryption.
    pub fn read_plain(&self, stored: &StoredEvent) -> Result<Bytes, MapperError> {
        self.transcoding.read_plain(stored)
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
        let json = transcoder::decode(transcoder, &state, |content| to_json_text(content));
        json.map(Bytes::from).map_err(|source| MapperError::Decode {
            topic: stored.topic.to_string(),
            version: stored.schema_version,
            source: without_values(source),
        })
    }
}

/// What `transcoder` makes of a state in JSON, if it holds all of it.
fn transcoded(transcoder: &dyn Transcoder, json: &[u8]) -> Option<Vec<u8>> {
    let tree = JsonTree::parse(std::str::from_utf8(json).ok()?).ok()?;
    if !tree.is_plain() {
        return None;
    }
    let state = transcoder.encode(&Content::new(&tree)).ok()?;
    let read = transcoder::decode(transcoder, &state, |content| to_json_text(content)).ok()?;
    tree.says_the_same(&JsonTree::parse(&read).ok()?)
        .then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;
    use boxes_domain::Event;
    use serde::{Deserialize, Serialize};
    use serde_json::Value;

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
            r#"{"b":0.1,"a":{"d":[],"c":0.9999999999999999}}"#,
            "0.1",
        ] {
            let (encoding, read) = written(json);
            assert_eq!((&*encoding, &*read), ("messagepack", json));
        }
        for json in [
            "[18446744073709551616]",
            "{ \"n\":-9223372036854775809 }",
            "1e400",
            "0.1000000000000000055",
            r#"{"a":1,"a":2}"#,
        ] {
            let (encoding, read) = written(json);
            assert_eq!((&*encoding, &*read), ("json", json));
        }
    }
}
