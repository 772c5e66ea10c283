//! State as `MessagePack`.

use crate::transcoder::{Content, ContentReader, Transcoder, TranscoderError};

/// How deep values may be nested, as in `serde_json`.
const MAX_DEPTH: usize = 128;

/// Writes state as [MessagePack](https://msgpack.org): the members of JSON with their names, in fewer bytes.
///
/// Values have the forms that they have in JSON (a UUID is text, an enum a map of its variant), so that
/// [`Upcast`](boxes_domain::Upcast) steps and readers in other languages find the same; but numbers, and bytes as
/// `serde_bytes` writes them, are binary. Every mapper reads it. Its mark is `messagepack`.
///
/// It has no integers of 128 bits, and no form for raw JSON (`serde_json::value::RawValue`): a [`Mapper`](crate::Mapper) that writes it
/// leaves events that hold such values in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessagePack;

impl Transcoder for MessagePack {
    fn mark(&self) -> &'static str {
        "messagepack"
    }

    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
        if content.has_wide_integers() {
            // rmp-serde would write them as bytes, which nobody can tell from other bytes without the event's type.
            return Err("MessagePack has no integers of 128 bits".into());
        }
        let mut state = Vec::with_capacity(crate::state::STATE_CAPACITY);
        let mut serializer = rmp_serde::Serializer::new(&mut state)
            .with_struct_map()
            .with_human_readable();
        serde::Serialize::serialize(content, &mut serializer)?;
        Ok(state)
    }

    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
        let mut deserializer = rmp_serde::Deserializer::new(state).with_human_readable();
        deserializer.set_max_depth(MAX_DEPTH);
        reader.read(&mut deserializer)?;
        match deserializer.get_ref().len() {
            0 => Ok(()),
            n_left => Err(format!("{n_left} bytes are left after the value").into()),
        }
    }
}
