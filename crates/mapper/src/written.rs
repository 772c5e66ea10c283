//! State as it is written: only what is read back as the same.

use boxes_domain::{Event, EventType, with_value_types};
use boxes_recorder::Encoding;

use crate::fingerprint::{Found, Unfit};
use crate::personal::{Parts, shown};
use crate::state::{OnlyContent, from_content, from_json, to_json};
use crate::transcoder::{self, Content, Transcoder, TranscoderError};
use crate::variant_ser::VariantSerializer;
use crate::without_values::without_values;
use crate::{Mapper, MapperError, MessagePack};

impl Mapper {
    /// The state of `event` in the format that this mapper writes, and which that is.
    ///
    /// What would be read back as something else, or not at all, is refused: it would be acknowledged now, and after the next
    /// start nobody could load its aggregate. No rule about types can tell that, because it depends on what serde makes of them (a
    /// flattened member, an untagged enum, a field that is skipped one way), so the state is read back, and compared with what the
    /// event says.
    pub(crate) fn write_state<E: Event>(
        &self,
        event: &E,
    ) -> Result<(Encoding, Vec<u8>), MapperError> {
        let event_type = event.event_type();
        let write = || {
            let expected = self.expected(event)?;
            match &self.transcoding.writer {
                None => written_as(None, event, event_type, expected.as_ref()),
                // A log may hold both, so what MessagePack has no form for is no reason to refuse a command.
                Some(writer) if writer.mark() == MessagePack.mark() => {
                    written_as(Some(&**writer), event, event_type, expected.as_ref())
                        .or_else(|_| written_as(None, event, event_type, expected.as_ref()))
                }
                Some(writer) => written_as(Some(&**writer), event, event_type, expected.as_ref()),
            }
        };
        let (written, wrong) = with_value_types(&self.value_types, write);
        written.map_err(|source| match wrong {
            Some(source) => MapperError::ValueType {
                topic: event_type.topic.to_owned(),
                source,
            },
            None => MapperError::Encode {
                topic: event_type.topic,
                source,
            },
        })
    }

    /// What has to be read back; `None` for what is passed on: that is made anew, and alike, each time it is read, so that nothing is
    /// lost with it.
    fn expected<E: Event>(&self, event: &E) -> Result<Option<Expected>, Unfit> {
        if matches!(self.parts, Parts::PassedOn) {
            return Ok(None);
        }
        let found = Found::default();
        let fingerprint = fingerprint(event, &found)?;
        Ok(Some(Expected {
            fingerprint,
            has_wide_integers: found.has_wide_integers(),
        }))
    }
}

/// What an event says.
struct Expected {
    fingerprint: u64,
    has_wide_integers: bool,
}

/// The state as `writer` writes it, or as JSON.
fn written_as<E: Event>(
    writer: Option<&dyn Transcoder>,
    event: &E,
    event_type: &EventType,
    expected: Option<&Expected>,
) -> Result<(Encoding, Vec<u8>), TranscoderError> {
    let has_wide_integers = expected.is_some_and(|expected| expected.has_wide_integers);
    let content = OnlyContent(event);
    let (encoding, state) = match writer {
        None => (Encoding::JSON, to_json(event)?),
        Some(writer) => {
            let content = Content::new(&content).with_wide_integers(has_wide_integers);
            (Encoding::new(writer.mark()), writer.encode(&content)?)
        }
    };
    let Some(expected) = expected else {
        return Ok((encoding, state));
    };
    let read: E = read_back(writer, &state, event_type).map_err(|error| {
        let reason = without_values(error);
        TranscoderError::from(format!("it could not be read back: {reason}"))
    })?;
    if fingerprint(&read, &Found::default())? == expected.fingerprint {
        return Ok((encoding, state));
    }
    Err(match differing_member(event, &read) {
        Some(name) => format!("`{name}` would be read back as something else").into(),
        None => "it would be read back as something else".into(),
    })
}

fn read_back<E: Event>(
    writer: Option<&dyn Transcoder>,
    state: &[u8],
    event_type: &EventType,
) -> Result<E, TranscoderError> {
    match writer {
        None => Ok(from_json(state, event_type)?),
        Some(writer) => {
            transcoder::decode(writer, state, |content| from_content(content, event_type))
        }
    }
}

fn fingerprint<E: Event>(event: &E, found: &Found) -> Result<u64, Unfit> {
    shown(|| event.serialize(VariantSerializer(found.fingerprinter())))
}

/// The first member that two events of one kind don't share.
fn differing_member<E: Event>(event: &E, read: &E) -> Option<String> {
    let members = |event| {
        let found = Found::with_members();
        fingerprint(event, &found).ok()?;
        Some(found.into_members())
    };
    let (members, read) = (members(event)?, members(read)?);
    let differing = members.into_iter().find(|member| !read.contains(member));
    differing.map(|(name, _)| name)
}
