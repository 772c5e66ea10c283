//! What an event says as the state of its variant, in JSON and in any format.

use boxes_domain::{Event, EventType};
use serde::{Deserializer, Serialize, Serializer};

use crate::TranscoderError;
use crate::variant_de::VariantDeserializer;
use crate::variant_ser::VariantSerializer;

/// Bytes set aside for the state of an event before it is written.
pub(crate) const STATE_CAPACITY: usize = 256;

/// The content of an event's variant.
pub(crate) struct OnlyContent<'a, E>(pub(crate) &'a E);

impl<E: Event> Serialize for OnlyContent<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(VariantSerializer(serializer))
    }
}

/// JSON is written and read without what makes other formats exchangeable: it is what most logs hold.
pub(crate) fn to_json<E: Event>(event: &E) -> Result<Vec<u8>, TranscoderError> {
    let mut state = Vec::with_capacity(STATE_CAPACITY);
    event.serialize(VariantSerializer(&mut serde_json::Serializer::new(
        &mut state,
    )))?;
    Ok(state)
}

pub(crate) fn from_json<E: Event>(state: &[u8], event_type: &EventType) -> serde_json::Result<E> {
    let mut json = serde_json::Deserializer::from_slice(state);
    let event = from_content(&mut json, event_type)?;
    json.end().map(|()| event)
}

/// From what upcast steps made of an older version.
pub(crate) fn from_newer<E: Event>(
    state: &str,
    event_type: &EventType,
) -> Result<E, TranscoderError> {
    let mut json = serde_json::Deserializer::from_str(state);
    // What was stored was not too deep, and a step may have put something around it.
    json.disable_recursion_limit();
    Ok(from_content(&mut json, event_type)?)
}

pub(crate) fn from_content<'de, E: Event, D: Deserializer<'de>>(
    content: D,
    event_type: &EventType,
) -> Result<E, D::Error> {
    E::deserialize(VariantDeserializer {
        variant: event_type.variant,
        content,
    })
}
