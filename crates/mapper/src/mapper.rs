//! Makes a stored event of an event, and back.

use std::borrow::Cow;
use std::sync::Arc;

use boxes_domain::{Event, EventType, ValueTypeError, ValueTypes, large_ids_of, with_value_types};
use boxes_recorder::{Notification, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::personal::{Parts, Whose, with_parts};
use crate::ready_value_types::ready_value_types;
use crate::state::{from_content, from_json, from_newer};
use crate::transcoder::{self, Transcoder, TranscoderError};
use crate::transcoding::{Format, Transcoding};
use crate::upcasting::{upcast_json, upcast_other};
use crate::without_values::without_values;
use crate::{
    DataKeyring, Encryption, KeyProvider, MapperError, MessagePack, Metadata, StateKey,
    SubjectKeyring,
};

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
/// event says by its [`Encoding`](boxes_recorder::Encoding) what was done to it, so that a log may hold all kinds, and a mapper reads all kinds,
/// whatever it writes; for those that are encrypted it needs the keys, and for formats that are not the kit's their
/// transcoders.
#[derive(Debug, Clone)]
pub struct Mapper {
    pub(crate) transcoding: Transcoding,
    pub(crate) parts: Parts,
    pub(crate) value_types: ValueTypes,
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

impl Default for Mapper {
    /// State is JSON, in the clear; the value types that the kit has are known.
    fn default() -> Self {
        Self {
            transcoding: Transcoding::default(),
            parts: Parts::default(),
            value_types: ready_value_types(),
            content_ids: false,
        }
    }
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

    /// Reads and writes the events of the box `name`. What it encrypts is bound to that name, so that an event which somebody
    /// copies from one box into another that has the same keys is not read there. What was encrypted before names were bound in
    /// is read as it was.
    ///
    /// A mapper that was not told a box binds its events to none, and reads those of all. The kit tells it: an application its own
    /// name, a follower that of the box that it follows.
    ///
    /// ```
    /// use boxes_domain::Event;
    /// use boxes_mapper::{Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    /// #[event(topic = "shared.note", crate = "boxes_domain")]
    /// enum Note { Written }
    ///
    /// let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    /// let mapper = Mapper::default().encrypted(Encryption::all(keys));
    /// let stored = mapper.clone().of_box("orders").to_stored(&Note::Written, &Envelope::default())?;
    /// assert_eq!(stored.encoding.as_str(), "json+aes-256-gcm-siv@orders");
    /// let read = mapper.of_box("payments").to_event::<Note>(&stored);
    /// assert!(matches!(read, Err(MapperError::OtherBox { .. })));
    /// # Ok::<(), MapperError>(())
    /// ```
    #[must_use]
    pub fn of_box(mut self, name: &str) -> Self {
        self.transcoding.box_name = Some(name.into());
        self
    }

    /// The same mapper, for an event that is made of `source` anew each time it is read: it has the format, the compression, the
    /// cipher, the key and the binding to the box that `source` has, if this mapper knows them. It is encrypted if `source` is,
    /// unless its own topic is left in the clear where that of `source` is to be encrypted. For a source in the clear there would be
    /// no key but the current one, which is another one tomorrow.
    ///
    /// So what is published of an event stays as it is, byte for byte, when another format is written or keys are rotated.
    #[must_use]
    pub fn writing_as(&self, source: &Notification) -> Cow<'_, Self> {
        match self.transcoding.writing_as(&source.event) {
            None => Cow::Borrowed(self),
            Some(transcoding) => Cow::Owned(Self {
                transcoding,
                ..self.clone()
            }),
        }
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

    /// Writes the [`Personal`](boxes_domain::Personal) parts of events where they are sealed otherwise, but for everybody to read, and
    /// alike each time: `{"$personal":"[\"customer-7\",\"Maria Anders\"]"}`. For examples of events that are recorded in a repository;
    /// what a box stores is never written so, and is not read so.
    #[must_use]
    pub fn with_legible_personal_parts(mut self) -> Self {
        self.parts = Parts::Legible;
        self
    }

    /// Knows these types of named values, too, in the [`Dynamic`](boxes_domain::Dynamic) values of events. Those that it knows
    /// without being told ([`UuidAsHex`](crate::UuidAsHex) and the like) give way to others of their names.
    ///
    /// # Errors
    ///
    /// [`ValueTypeError::Duplicate`] if one of them has the name of another one that it was given before.
    pub fn with_value_types(mut self, types: &ValueTypes) -> Result<Self, ValueTypeError> {
        self.value_types.include(types)?;
        Ok(self)
    }

    /// The types of named values that it knows.
    #[must_use]
    pub const fn value_types(&self) -> &ValueTypes {
        &self.value_types
    }

    /// Whether events of this topic are encrypted as a whole.
    #[must_use]
    pub fn encrypts(&self, topic: &str) -> bool {
        let encryption = self.transcoding.encryption.as_ref();
        encryption.is_some_and(|encryption| encryption.encrypts(topic))
    }

    /// The keys that events are encrypted with, if any are.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<dyn KeyProvider>> {
        let encryption = self.transcoding.encryption.as_ref()?;
        Some(Arc::clone(&encryption.keys))
    }

    /// Encrypts with the [data key](DataKeyring) of a log, instead of a configured key, and reads what was encrypted with its data
    /// keys. The keys of the log come from the application, which knows where they are stored.
    #[must_use]
    pub fn with_data_keys(mut self, keys: Arc<dyn DataKeyring>) -> Self {
        self.transcoding.data_keys = Some(keys);
        self
    }

    /// Without data keys: for events of another log, whose keys are not known here.
    #[must_use]
    pub fn without_data_keys(mut self) -> Self {
        self.transcoding.data_keys = None;
        self
    }

    /// With which key the state of an event is encrypted; `None` if it is not. Needs no key.
    #[must_use]
    pub fn key_of(stored: &StoredEvent) -> Option<StateKey> {
        Transcoding::key_of(stored)
    }

    /// Whether any events are encrypted.
    #[must_use]
    pub fn encrypts_any(&self) -> bool {
        let encryption = self.transcoding.encryption.as_ref();
        encryption.is_some_and(Encryption::encrypts_any)
    }

    /// Whether the state of an event, whatever is in it, is what was encrypted, or is not encrypted. Nothing is parsed.
    ///
    /// # Errors
    ///
    /// Those of [`to_event`](Self::to_event) that concern keys, encryption and compression.
    pub fn check_authentic(&self, stored: &StoredEvent) -> Result<(), MapperError> {
        match Self::key_of(stored) {
            Some(_) => self.transcoding.rewrite(stored).map(drop),
            None => Ok(()),
        }
    }

    /// The event as it is stored.
    ///
    /// # Errors
    ///
    /// - [`MapperError::Encode`] if the event can't be written so that it is read back as it is: its type is not an enum with
    ///   a plain derived `Serialize`, or it holds what the format has no form for (in JSON a map whose keys are no strings, in
    ///   all formats a number that is not finite, and values nested deeper than 127 levels), or its types write what they
    ///   don't read.
    /// - [`MapperError::ValueType`] if it holds a named value that this mapper could not read again.
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
            topic: event_type.topic.into(),
        };
        let write = || self.write_state(event);
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

    /// The event that is stored, or `None` if its topic is none of `E`'s.
    ///
    /// # Errors
    ///
    /// - [`MapperError::Decode`] if the state does not fit the type.
    /// - [`MapperError::ValueType`] if it holds a value of a named type that is not known, or another than belongs there.
    /// - [`MapperError::UnknownVersion`] if its schema version is newer than the type's, or older than its
    ///   [`Upcast`](boxes_domain::Upcast)s reach.
    /// - [`MapperError::UnknownEncoding`] if something was done to the state that this mapper can't undo.
    /// - [`MapperError::Redacted`] if its stream was deleted.
    /// - [`MapperError::NoKeys`], [`MapperError::UnknownKey`] if it is encrypted, and the key is not here.
    /// - [`MapperError::UnknownDataKey`] if it is encrypted with a data key that has to be fetched first.
    /// - [`MapperError::NotAuthentic`], [`MapperError::Cut`] if it is not what was encrypted.
    /// - [`MapperError::OtherBox`] if it was encrypted by another box than [this one](Self::of_box).
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
            // That of the type: it is the same but for an alias, and costs nothing.
            topic: event_type.topic.into(),
        };
        with_parts(&self.parts, whose, || {
            let decode = || match format {
                Format::Json => match upcast_json(&state, upcasts)? {
                    None => from_json(&state, event_type).map_err(TranscoderError::from),
                    Some(newer) => from_newer(&newer, event_type),
                },
                Format::Of(transcoder) => match upcast_other(transcoder, &state, upcasts)? {
                    // Nothing of it is lost then on the way through JSON.
                    None => transcoder::decode(transcoder, &state, |content| {
                        from_content(content, event_type)
                    }),
                    Some(newer) => from_newer(&newer, event_type),
                },
            };
            let (event, wrong) = with_value_types(&self.value_types, decode);
            event.map_err(|source| match wrong {
                Some(source) => MapperError::ValueType {
                    topic: stored.topic.to_string(),
                    source,
                },
                None => MapperError::Decode {
                    topic: stored.topic.to_string(),
                    version: stored.schema_version,
                    source: without_values(source),
                },
            })
        })
    }
}
