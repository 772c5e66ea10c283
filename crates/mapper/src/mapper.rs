//! Makes a stored event of an event, and back.

use std::borrow::Cow;
use std::sync::Arc;

use boxes_domain::{Event, EventType, Upcast, large_ids_of};
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::any_value::AnyValue;
use crate::personal::{Parts, Whose, with_parts};
use crate::transcoder::{self, Content, Transcoder, TranscoderError};
use crate::transcoding::{Format, Transcoding};
use crate::variant_de::VariantDeserializer;
use crate::variant_ser::VariantSerializer;
use crate::without_values::without_values;
use crate::{Encryption, KeyProvider, MapperError, MessagePack, Metadata, SubjectKeyring};

/// Bytes set aside for the state of an event before it is written.
pub(crate) const STATE_CAPACITY: usize = 256;

/// Makes a stored event of an event, and back.
///
/// State is written as JSON: the content of the event's variant, without the variant's name, which the topic
/// gives already. Members are in the order of the fields; the text is on one line.
///
/// ```
/// use boxes_domain::Event;
/// use boxes_mapper::{Envelope, Mapper};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum OrderEvent { Placed { customer: String } }
///
/// let mapper = Mapper::default();
/// let placed = OrderEvent::Placed { customer: "ALFKI".into() };
/// let stored = mapper.to_stored(&placed, &Envelope::default())?;
/// assert_eq!((&*stored.topic, &*stored.state), ("orders.order.placed", &br#"{"customer":"ALFKI"}"#[..]));
/// assert_eq!(mapper.to_event::<OrderEvent>(&stored)?, Some(placed));
/// # Ok::<(), boxes_mapper::MapperError>(())
/// ```
///
/// State may be written in another format than JSON (see [`Transcoder`]), then compressed, then encrypted. Every
/// event says by its [`Encoding`] what was done to it, so that a log may hold all kinds, and a mapper reads all kinds,
/// whatever it writes; for those that are encrypted it needs the keys, and for formats that are not the kit's their
/// transcoders.
#[derive(Debug, Clone, Default)]
pub struct Mapper {
    pub(crate) transcoding: Transcoding,
    parts: Parts,
    pub(crate) content_ids: bool,
}

/// What stands around the state of an event.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// The event's own id.
    pub event_id: Uuid,
    /// The aggregate to which it happened.
    pub originator_id: Uuid,
    /// The aggregate's version after it.
    pub originator_version: u64,
    /// Why it happened.
    pub metadata: Metadata,
    /// When it happened.
    pub occurred_on: Timestamp,
}

impl Mapper {
    /// Writes state as JSON, as it does if nothing else is said.
    #[must_use]
    pub fn json(mut self) -> Self {
        self.transcoding.writer = None;
        self
    }

    /// Writes state as [`MessagePack`], instead of JSON.
    #[must_use]
    pub fn message_pack(mut self) -> Self {
        self.transcoding.writer = Some(Arc::new(MessagePack));
        self
    }

    /// Writes state with `transcoder`, instead of as JSON, and reads what was written with it.
    ///
    /// # Errors
    ///
    /// [`MapperError::Mark`] if its mark can't be used.
    pub fn transcoded(mut self, transcoder: impl Transcoder) -> Result<Self, MapperError> {
        let transcoder = Arc::new(transcoder);
        self = self.reading(Arc::clone(&transcoder))?;
        self.transcoding.writer = Some(transcoder);
        Ok(self)
    }

    /// Reads what was written with `transcoder`, too: for a box that follows one that writes with it, or did so
    /// itself. It takes the place of one with the same mark.
    ///
    /// # Errors
    ///
    /// [`MapperError::Mark`] if its mark can't be used.
    pub fn reading(mut self, transcoder: impl Transcoder) -> Result<Self, MapperError> {
        transcoder::check_mark(&transcoder)?;
        let others = self.transcoding.readers.iter();
        let others = others.filter(|other| other.mark() != transcoder.mark());
        let mut readers: Vec<Arc<dyn Transcoder>> = others.cloned().collect();
        readers.push(Arc::new(transcoder));
        self.transcoding.readers = readers.into();
        Ok(self)
    }

    /// Compresses state with zlib, where that makes it smaller.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.transcoding.compress = true;
        self
    }

    /// Refuses to inflate state to more than this many bytes; [`DEFAULT_MAX_INFLATED`](crate::DEFAULT_MAX_INFLATED)
    /// if it is not called. What this mapper writes is held to it as well.
    #[must_use]
    pub fn with_max_inflated(mut self, bytes: usize) -> Self {
        self.transcoding.max_inflated = bytes;
        self
    }

    /// Encrypts what `encryption` says, and reads what was encrypted with its keys.
    #[must_use]
    pub fn encrypted(mut self, encryption: Encryption) -> Self {
        self.transcoding.encryption = Some(encryption);
        self
    }

    /// Encrypts the [`Personal`](boxes_domain::Personal) parts of events with these keys, and reads them.
    ///
    /// It is independent of [`encrypted`](Self::encrypted): an event may be encrypted as a whole around its personal parts.
    #[must_use]
    pub fn with_subject_keys(mut self, keys: Arc<dyn SubjectKeyring>) -> Self {
        self.parts = Parts::With(keys);
        self
    }

    /// Passes the [`Personal`](boxes_domain::Personal) parts of events on as they are, for events that are read and written
    /// again in another form under the same id: nobody needs their keys for that, and what comes of it is the same whoever
    /// is forgotten. Those that are not sealed are left out.
    #[must_use]
    pub fn passing_on_personal_parts(mut self) -> Self {
        self.parts = Parts::PassedOn;
        self
    }

    /// Whether events of this topic are encrypted as a whole.
    pub(crate) fn encrypts(&self, topic: &str) -> bool {
        let encryption = self.transcoding.encryption.as_ref();
        encryption.is_some_and(|encryption| encryption.encrypts(topic))
    }

    /// The keys that events are encrypted with, if any are.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<dyn KeyProvider>> {
        let encryption = self.transcoding.encryption.as_ref()?;
        Some(Arc::clone(&encryption.keys))
    }

    /// The event as it is stored.
    ///
    /// # Errors
    ///
    /// - [`MapperError::Encode`] if the event can't be written: its type is not an enum with a plain derived
    ///   `Serialize`, or it holds a value that the format has no form for (in JSON a map whose keys are no strings).
    /// - [`MapperError::Encrypt`] if its state is too long to be encrypted.
    /// - [`MapperError::MissingSubjectKeys`] if keys for its personal parts have to be fetched first.
    /// - [`MapperError::NoSubjectKeys`] if it has such parts, and this mapper no keys for them.
    pub fn to_stored<E: Event>(
        &self,
        event: &E,
        envelope: &Envelope,
    ) -> Result<StoredEvent, MapperError> {
        let event_type = event.event_type();
        let whose = Whose {
            event_id: envelope.event_id,
            originator_id: envelope.originator_id,
            originator_version: envelope.originator_version,
            topic: event_type.topic.to_owned(),
        };
        let write = || {
            let (encoding, state) = match &self.transcoding.writer {
                None => (Encoding::JSON, to_json(event)),
                Some(transcoder) => (
                    Encoding::new(transcoder.mark()),
                    transcoder.encode(&Content::new(&OnlyContent(event))),
                ),
            };
            let state = state.map_err(|source| MapperError::Encode {
                topic: event_type.topic,
                source,
            })?;
            Ok((encoding, state))
        };
        let (written, mut values) = large_ids_of(|| with_parts(&self.parts, whose, write));
        let (encoding, state) = written?;
        let metadata = if values.is_empty() {
            envelope.metadata.to_bytes()
        } else {
            values.sort_unstable();
            values.dedup();
            let metadata = Metadata {
                values,
                ..envelope.metadata.clone()
            };
            metadata.to_bytes()
        };
        let plain = StoredEvent {
            event_id: envelope.event_id,
            originator_id: envelope.originator_id,
            originator_version: envelope.originator_version,
            topic: Cow::Borrowed(event_type.topic),
            schema_version: event_type.version,
            encoding,
            state: Bytes::from(state),
            metadata,
            occurred_on: envelope.occurred_on,
        };
        self.transcoding.write(plain)
    }

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

    /// The event that is stored, or `None` if its topic is none of `E`'s.
    ///
    /// # Errors
    ///
    /// - [`MapperError::Decode`] if the state does not fit the type.
    /// - [`MapperError::UnknownVersion`] if its schema version is newer than the type's, or older than its
    ///   [`Upcast`]s reach.
    /// - [`MapperError::UnknownEncoding`] if something was done to the state that this mapper can't undo.
    /// - [`MapperError::Redacted`] if its stream was deleted.
    /// - [`MapperError::NoKeys`], [`MapperError::UnknownKey`] if it is encrypted, and the key is not here.
    /// - [`MapperError::NotAuthentic`], [`MapperError::Cut`] if it is not what was encrypted.
    /// - [`MapperError::NotEncrypted`] if it is in the clear and [must not be](Encryption::required).
    /// - [`MapperError::TooLarge`], [`MapperError::Inflate`] if it can't be inflated.
    /// - [`MapperError::MissingSubjectKeys`] if keys for its personal parts have to be fetched first.
    /// - [`MapperError::NoSubjectKeys`], [`MapperError::PersonalNotAuthentic`] if such a part can't be read.
    pub fn to_event<E: Event>(&self, stored: &StoredEvent) -> Result<Option<E>, MapperError> {
        let Some(event_type) = E::TYPES.iter().find(|t| t.answers_to(&stored.topic)) else {
            return Ok(None);
        };
        self.decode(stored, event_type).map(Some)
    }

    /// The event of an aggregate's own stream, where every topic must be known.
    ///
    /// # Errors
    ///
    /// [`MapperError::UnknownTopic`], and those of [`to_event`](Self::to_event).
    pub fn to_own_event<E: Event>(&self, stored: &StoredEvent) -> Result<E, MapperError> {
        self.to_event(stored)?
            .ok_or_else(|| MapperError::UnknownTopic {
                topic: stored.topic.to_string(),
            })
    }

    fn decode<E: Event>(
        &self,
        stored: &StoredEvent,
        event_type: &EventType,
    ) -> Result<E, MapperError> {
        if stored.is_redacted() {
            return Err(MapperError::Redacted {
                topic: stored.topic.to_string(),
            });
        }
        let Some(upcasts) = event_type.upcasts_from(stored.schema_version) else {
            return Err(MapperError::UnknownVersion {
                topic: stored.topic.to_string(),
                stored: stored.schema_version,
                oldest: event_type.oldest_version(),
                known: event_type.version,
            });
        };
        let (format, state) = self.transcoding.read(stored)?;
        let whose = Whose {
            event_id: stored.event_id,
            originator_id: stored.originator_id,
            originator_version: stored.originator_version,
            topic: stored.topic.to_string(),
        };
        with_parts(&self.parts, whose, || {
            let event = match format {
                Format::Json => {
                    from_json(&state, event_type, upcasts).map_err(TranscoderError::from)
                }
                Format::Of(transcoder) => transcoder::decode(transcoder, &state, |content| {
                    if upcasts.is_empty() {
                        return from_content(content, event_type);
                    }
                    let AnyValue(value) = serde::Deserialize::deserialize(content)?;
                    from_older(value, event_type, upcasts).map_err(serde::de::Error::custom)
                }),
            };
            event.map_err(|source| MapperError::Decode {
                topic: stored.topic.to_string(),
                version: stored.schema_version,
                source: without_values(source),
            })
        })
    }
}

/// The content of an event's variant.
struct OnlyContent<'a, E>(&'a E);

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

fn from_json<E: Event>(
    state: &[u8],
    event_type: &EventType,
    upcasts: &[Upcast],
) -> serde_json::Result<E> {
    if !upcasts.is_empty() {
        return from_older(serde_json::from_slice(state)?, event_type, upcasts);
    }
    let mut json = serde_json::Deserializer::from_slice(state);
    let event = from_content(&mut json, event_type)?;
    json.end().map(|()| event)
}

fn from_older<E: Event>(
    state: Value,
    event_type: &EventType,
    upcasts: &[Upcast],
) -> serde_json::Result<E> {
    let content = upcasts.iter().fold(state, |state, upcast| upcast(state));
    from_content(content, event_type)
}

fn from_content<'de, E: Event, D: Deserializer<'de>>(
    content: D,
    event_type: &EventType,
) -> Result<E, D::Error> {
    E::deserialize(VariantDeserializer {
        variant: event_type.variant,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.e", crate = "boxes_domain")]
    #[serde(rename_all = "kebab-case")]
    enum Everything {
        Unit,
        Newtype(String),
        Tuple(u8, Option<f64>),
        #[event(alias = "t.e.record", version = 3)]
        Struct {
            #[serde(rename = "n")]
            number: i64,
            #[serde(default)]
            nested: Vec<Self>,
        },
    }

    fn all() -> [(Everything, &'static str); 4] {
        [
            (Everything::Unit, "{}"),
            (Everything::Newtype("ü\n".into()), "\"ü\\n\""),
            (Everything::Tuple(1, None), "[1,null]"),
            (
                Everything::Struct {
                    number: -1,
                    nested: vec![Everything::Unit],
                },
                "{\"n\":-1,\"nested\":[\"unit\"]}",
            ),
        ]
    }

    #[test]
    fn every_shape_of_variant_is_stored_as_its_content_and_read_back() {
        let mapper = Mapper::default();
        for (event, json) in all() {
            let stored = mapper.to_stored(&event, &Envelope::default()).unwrap();
            assert_eq!(stored.state, json);
            assert_eq!(mapper.to_event(&stored).unwrap(), Some(event));
        }
    }

    #[test]
    fn members_that_are_not_known_are_ignored_and_a_unit_ignores_all() {
        let mapper = Mapper::default();
        let mut stored = mapper
            .to_stored(
                &Everything::Struct {
                    number: 1,
                    nested: vec![],
                },
                &Envelope::default(),
            )
            .unwrap();
        stored.state = Bytes::from_static(b" {\"more\":[1],\"n\":1} ");
        assert_eq!(
            mapper.to_event(&stored).unwrap(),
            Some(Everything::Struct {
                number: 1,
                nested: vec![]
            })
        );
        let mut stored = mapper
            .to_stored(&Everything::Unit, &Envelope::default())
            .unwrap();
        stored.state = Bytes::from_static(b"{\"since\":1}");
        assert_eq!(mapper.to_event(&stored).unwrap(), Some(Everything::Unit));
    }

    #[test]
    fn an_alias_is_read_and_a_foreign_topic_is_none() {
        let mapper = Mapper::default();
        let event = Everything::Struct {
            number: 1,
            nested: vec![],
        };
        let mut stored = mapper.to_stored(&event, &Envelope::default()).unwrap();
        stored.topic = "t.e.record".into();
        assert_eq!(mapper.to_event(&stored).unwrap(), Some(event));
        stored.topic = "t.e.other".into();
        assert_eq!(mapper.to_event::<Everything>(&stored).unwrap(), None);
        assert!(
            mapper
                .to_own_event::<Everything>(&stored)
                .unwrap_err()
                .to_string()
                .contains("`t.e.other`")
        );
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.item", crate = "boxes_domain")]
    enum Item {
        /// Version 1: whole units, as `price`. Version 2: the same as `amount`, with a currency.
        #[event(version = 3, upcast(rename_price, count_cents))]
        Priced { cents: u64, currency: String },
        /// Version 1: a number alone.
        #[event(version = 2, upcast(pair_up))]
        Moved(i64, i64),
        /// Version 1 is forgotten.
        #[event(version = 3, upcast(count_cents))]
        Late { cents: u64 },
    }

    fn rename_price(mut state: Value) -> Value {
        json!({ "amount": state["price"].take(), "currency": "EUR" })
    }

    fn count_cents(state: Value) -> Value {
        let Some(amount) = state["amount"].as_u64() else {
            return state;
        };
        json!({ "cents": amount * 100, "currency": state["currency"] })
    }

    fn pair_up(state: Value) -> Value {
        Value::Array(vec![state, json!(0)])
    }

    fn stored_in(topic: &'static str, version: u32, state: &'static str) -> StoredEvent {
        let any = Item::Moved(0, 0);
        let stored = Mapper::default()
            .to_stored(&any, &Envelope::default())
            .unwrap();
        StoredEvent {
            topic: topic.into(),
            schema_version: version,
            state: state.into(),
            ..stored
        }
    }

    #[test]
    fn every_older_version_is_read_as_the_current_one_step_by_step() {
        let read = |topic, version, state| {
            let stored = stored_in(topic, version, state);
            Mapper::default().to_own_event::<Item>(&stored).unwrap()
        };
        for (version, state) in [
            (1, r#"{"price":7}"#),
            (2, r#"{"amount":7,"currency":"EUR"}"#),
            (3, r#"{"cents":700,"currency":"EUR"}"#),
        ] {
            let priced = read("t.item.priced", version, state);
            let expected = Item::Priced {
                cents: 700,
                currency: "EUR".to_owned(),
            };
            assert_eq!(priced, expected, "version {version}");
        }
        assert_eq!(read("t.item.moved", 1, "-3"), Item::Moved(-3, 0));
    }

    #[test]
    fn an_older_version_is_read_also_when_it_was_compressed() {
        let mapper = Mapper::default().compressed();
        let long = "x".repeat(500);
        let old = Old::Named {
            called: long.clone(),
        };
        let stored = mapper.to_stored(&old, &Envelope::default()).unwrap();
        assert!(!stored.encoding.is_plain_json() && stored.schema_version == 1);
        assert_eq!(
            mapper.to_own_event::<New>(&stored).unwrap(),
            New::Named { name: long }
        );
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.thing", crate = "boxes_domain")]
    enum Old {
        Named { called: String },
    }

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.thing", crate = "boxes_domain")]
    enum New {
        #[event(version = 2, upcast(rename_called))]
        Named { name: String },
    }

    fn rename_called(mut state: Value) -> Value {
        json!({ "name": state["called"].take() })
    }

    #[test]
    fn a_version_that_no_step_starts_from_is_refused_with_those_that_are_read() {
        let refused = |version| {
            let stored = stored_in("t.item.late", version, r#"{"amount":7}"#);
            let error = Mapper::default().to_event::<Item>(&stored).unwrap_err();
            error.to_string()
        };
        for version in [0, 1, 4] {
            assert_eq!(
                refused(version),
                format!(
                    "topic `t.item.late` is stored in version {version}, this program reads versions 2 to 3"
                )
            );
        }
    }

    #[test]
    fn a_step_that_gets_what_it_does_not_expect_ends_in_an_error_that_names_the_version() {
        let stored = stored_in("t.item.priced", 2, r#"{"amount":-7}"#);
        let error = Mapper::default().to_event::<Item>(&stored).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("version 2 of topic `t.item.priced`"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_it() {
        let mapper = Mapper::default();
        let stored = mapper
            .to_stored(
                &Everything::Struct {
                    number: 1,
                    nested: vec![],
                },
                &Envelope::default(),
            )
            .unwrap();
        let error = |change: fn(&mut StoredEvent)| {
            let mut stored = stored.clone();
            change(&mut stored);
            mapper.to_event::<Everything>(&stored).unwrap_err()
        };
        assert!(matches!(
            error(|s| s.state = Bytes::from_static(b"{\"n\":\"x\"}")),
            MapperError::Decode { version: 3, .. }
        ));
        assert!(matches!(
            error(|s| s.state = Bytes::from_static(b"{\"n\":1} x")),
            MapperError::Decode { .. }
        ));
        assert!(matches!(
            error(|s| s.state = Bytes::new()),
            MapperError::Decode { .. }
        ));
        assert!(matches!(
            error(|s| s.schema_version = 4),
            MapperError::UnknownVersion {
                stored: 4,
                known: 3,
                ..
            }
        ));
        assert!(
            error(|s| s.encoding = Encoding::new("json+rot13"))
                .to_string()
                .contains("`json+rot13`")
        );
    }

    #[test]
    fn an_event_type_whose_serialization_hides_its_variant_is_refused() {
        #[derive(Event, Debug, Clone, Serialize, Deserialize)]
        #[event(topic = "t.tagged", crate = "boxes_domain")]
        #[serde(tag = "type")]
        enum Tagged {
            A { x: u8 },
        }
        let error = Mapper::default()
            .to_stored(&Tagged::A { x: 1 }, &Envelope::default())
            .unwrap_err();
        assert!(
            matches!(&error, MapperError::Encode { source, .. } if source.to_string().contains("plain derived")),
            "{error:?}"
        );
    }
}
