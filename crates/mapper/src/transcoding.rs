//! What is done to state: written in a format, compressed, encrypted; and back.

use std::sync::Arc;

use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;

use crate::cipher::{Binding, Cipher};
use crate::transcoder::Transcoder;
use crate::{DataKeyring, Encryption, Key, KeyId, MapperError, MessagePack, zlib};

/// What state may inflate to, in bytes, if nothing else is said.
pub const DEFAULT_MAX_INFLATED: usize = 16 * 1024 * 1024;

/// Stands in the mark of what is encrypted before the name of the box. The mark is bound in, and so the name is. No format
/// and no cipher has it in its own mark.
const OF_BOX: char = '@';

#[derive(Debug, Clone)]
pub(crate) struct Transcoding {
    /// What writes state; `None` for JSON.
    pub(crate) writer: Option<Arc<dyn Transcoder>>,
    /// What reads state, beside JSON and `MessagePack`; each with another mark.
    pub(crate) readers: Arc<[Arc<dyn Transcoder>]>,
    pub(crate) compress: bool,
    pub(crate) max_inflated: usize,
    pub(crate) encryption: Option<Encryption>,
    /// The keys of the log, if they are known.
    pub(crate) data_keys: Option<Arc<dyn DataKeyring>>,
    write_key: WriteKey,
    /// The box whose events they are, if that is known.
    pub(crate) box_name: Option<Arc<str>>,
}

/// The key with which the state of an event is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// A configured key.
    Configured(KeyId),
    /// A [data key](DataKeyring) of the log.
    Data(KeyId),
}

/// The key that encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum WriteKey {
    /// The newest data key, or where there are none the current configured one.
    #[default]
    Current,
    /// The data key of this number.
    Data(KeyId),
    /// The first data key.
    FirstData,
    /// The configured key of this number, or else the current one.
    Configured(Option<KeyId>),
}

/// The format in which state was written.
pub(crate) enum Format<'a> {
    Json,
    Of(&'a dyn Transcoder),
}

impl Default for Transcoding {
    fn default() -> Self {
        Self {
            writer: None,
            readers: Arc::default(),
            compress: false,
            max_inflated: DEFAULT_MAX_INFLATED,
            encryption: None,
            data_keys: None,
            write_key: WriteKey::Current,
            box_name: None,
        }
    }
}

impl Transcoding {
    /// Transforms the state of an event that is marked with its format alone, and marks what is done to it.
    pub(crate) fn write(&self, event: StoredEvent) -> Result<StoredEvent, MapperError> {
        let encryption = self.encryption.as_ref();
        let encryption = encryption.filter(|encryption| encryption.encrypts(&event.topic));
        self.transform(event, encryption, self.box_name.as_deref())
    }

    /// The same for what is part of events of whatever topic, and known by its content.
    pub(crate) fn write_value(&self, value: StoredEvent) -> Result<StoredEvent, MapperError> {
        let encryption = self.encryption.as_ref();
        self.transform(
            value,
            encryption.filter(|encryption| encryption.encrypts_any()),
            None,
        )
    }

    fn transform(
        &self,
        mut event: StoredEvent,
        encryption: Option<&Encryption>,
        box_name: Option<&str>,
    ) -> Result<StoredEvent, MapperError> {
        let mut mark = String::new();
        // What could not be read again is not compressed in the first place.
        if self.compress
            && event.state.len() <= self.max_inflated
            && let Some(compressed) = zlib::deflate(&event.state)
        {
            mark = format!("+{}", zlib::MARK);
            event.state = Bytes::from(compressed);
        }
        let written_with = encryption.map(|encryption| (encryption, self.key_to_write(encryption)));
        if let Some((Encryption { cipher, .. }, (_, _, binding))) = &written_with {
            mark = match binding {
                Binding::Configured => format!("{mark}+{}", cipher.mark()),
                Binding::DataKey { .. } => format!("{mark}+{}", cipher.data_key_mark()),
            };
            if let Some(name) = box_name {
                mark = format!("{mark}{OF_BOX}{name}");
            }
        }
        if !mark.is_empty() {
            event.encoding = Encoding::new(format!("{}{mark}", event.encoding));
        }
        // The mark is bound in, so it stands before.
        if let Some((encryption, (id, key, binding))) = written_with {
            let sealed = encryption
                .cipher
                .seal((id, &key, binding), &event, &event.state);
            event.state = sealed
                .map(Bytes::from)
                .ok_or_else(|| MapperError::Encrypt {
                    topic: event.topic.to_string(),
                    length: event.state.len(),
                })?;
        }
        Ok(event)
    }

    fn key_to_write(&self, encryption: &Encryption) -> (KeyId, Key, Binding) {
        let data_keys = self.data_keys.as_ref();
        let data_key = match self.write_key {
            WriteKey::Current => data_keys.and_then(|keys| keys.current()),
            WriteKey::Data(id) => data_keys.and_then(|keys| keys.key(id)),
            WriteKey::FirstData => data_keys.and_then(|keys| keys.first()),
            WriteKey::Configured(_) => None,
        };
        if let Some(found) = data_key {
            let binding = Binding::DataKey { epoch: found.epoch };
            return (found.id, found.key, binding);
        }
        let given = match self.write_key {
            WriteKey::Configured(Some(id)) => encryption.keys.key(id).map(|key| (id, key)),
            _ => None,
        };
        let (id, key) = given.unwrap_or_else(|| encryption.keys.current());
        (id, key, Binding::Configured)
    }

    /// The state of an event as it was written, and the format.
    pub(crate) fn read(&self, event: &StoredEvent) -> Result<(Format<'_>, Bytes), MapperError> {
        let done = Done::of(event)?;
        let format = self.format(done.format);
        let format = format.ok_or_else(|| unknown(event))?;
        Ok((format, self.undo(event, &done)?))
    }

    /// The state of an event as its format writes it, which need not be known.
    pub(crate) fn read_plain(&self, event: &StoredEvent) -> Result<Bytes, MapperError> {
        self.undo(event, &Done::of(event)?)
    }

    /// The event as [`write`](Self::write) would write it now, in the format that it has: that need not be known.
    pub(crate) fn rewrite(&self, event: &StoredEvent) -> Result<StoredEvent, MapperError> {
        let done = Done::of(event)?;
        self.write(StoredEvent {
            encoding: Encoding::new(done.format.to_owned()),
            state: self.undo(event, &done)?,
            ..event.clone()
        })
    }

    /// With which key the state of an event is encrypted, if it is.
    pub(crate) fn key_of(event: &StoredEvent) -> Option<StateKey> {
        let (cipher, is_data_key) = Done::of(event).ok()?.cipher?;
        let id = cipher.key_id(&event.state)?;
        Some(match is_data_key {
            true => StateKey::Data(id),
            false => StateKey::Configured(id),
        })
    }

    /// What does to other events what was done to `source`; `None` if that is what this does anyway.
    pub(crate) fn writing_as(&self, source: &StoredEvent) -> Option<Self> {
        let is_plain = self.writer.is_none() && !self.compress && self.encryption.is_none();
        if is_plain && source.encoding.is_plain_json() {
            return None;
        }
        // What it can't read is refused by those who read it.
        let done = Done::of(source).ok()?;
        let mut as_source = Self {
            writer: self.writer_of(done.format),
            compress: done.is_compressed,
            ..self.clone()
        };
        as_source.write_key = match done.cipher {
            Some((cipher, is_data_key)) => {
                as_source.encryption = self
                    .encryption
                    .clone()
                    .map(|known| known.with_cipher(cipher).beyond(&source.topic));
                match cipher.key_id(&source.state) {
                    Some(id) if is_data_key => WriteKey::Data(id),
                    id => WriteKey::Configured(id),
                }
            }
            None => {
                as_source.encryption = None;
                WriteKey::Current
            }
        };
        // From before names were bound in, or in the clear.
        if done.box_name.is_none() {
            as_source.box_name = None;
        }
        Some(as_source)
    }

    pub(crate) fn with_first_data_key(mut self) -> Self {
        self.write_key = WriteKey::FirstData;
        self
    }

    /// What writes the format; `None` for JSON.
    fn writer_of(&self, mark: &str) -> Option<Arc<dyn Transcoder>> {
        match self.format(mark) {
            Some(Format::Json) => None,
            Some(Format::Of(_)) => {
                let mut known = self.readers.iter().chain(&self.writer);
                let known = known.find(|known| known.mark() == mark).map(Arc::clone);
                Some(known.unwrap_or_else(|| Arc::new(MessagePack)))
            }
            None => self.writer.clone(),
        }
    }

    fn undo(&self, event: &StoredEvent, done: &Done<'_>) -> Result<Bytes, MapperError> {
        let topic = || event.topic.to_string();
        let state = match done.cipher {
            Some((cipher, is_data_key)) => {
                self.check_box(event, done)?;
                Bytes::from(self.open(cipher, is_data_key, event)?)
            }
            None => {
                if let Some(encryption) = &self.encryption
                    && encryption.requires(&event.topic)
                {
                    return Err(MapperError::NotEncrypted {
                        topic: topic(),
                        originator: event.originator_id,
                        version: event.originator_version,
                    });
                }
                event.state.clone()
            }
        };
        if !done.is_compressed {
            return Ok(state);
        }
        zlib::inflate(&state, self.max_inflated)
            .map(Bytes::from)
            .map_err(|refusal| match refusal {
                zlib::Refusal::TooLarge => MapperError::TooLarge {
                    topic: topic(),
                    max: self.max_inflated,
                },
                zlib::Refusal::Damaged => MapperError::Inflate { topic: topic() },
            })
    }

    /// Holds that an encrypted event is of the box whose events are read here.
    fn check_box(&self, event: &StoredEvent, done: &Done<'_>) -> Result<(), MapperError> {
        let (Some(written), Some(read)) = (done.box_name, self.box_name.as_deref()) else {
            return Ok(());
        };
        if written == read {
            return Ok(());
        }
        Err(MapperError::OtherBox {
            topic: event.topic.to_string(),
            originator: event.originator_id,
            version: event.originator_version,
            written: written.to_owned(),
            read: read.to_owned(),
        })
    }

    fn format(&self, mark: &str) -> Option<Format<'_>> {
        if mark == "json" {
            return Some(Format::Json);
        }
        let reader = self.readers.iter().find(|reader| reader.mark() == mark);
        match reader {
            Some(reader) => Some(Format::Of(&**reader)),
            None => (mark == MessagePack.mark()).then_some(Format::Of(&MessagePack)),
        }
    }

    fn open(
        &self,
        cipher: Cipher,
        is_data_key: bool,
        event: &StoredEvent,
    ) -> Result<Vec<u8>, MapperError> {
        let topic = || event.topic.to_string();
        let id = cipher
            .key_id(&event.state)
            .ok_or_else(|| MapperError::Cut {
                topic: topic(),
                originator: event.originator_id,
                version: event.originator_version,
                length: event.state.len(),
            })?;
        let Some(encryption) = &self.encryption else {
            return Err(MapperError::NoKeys {
                topic: topic(),
                key: id,
            });
        };
        let (key, binding) = if is_data_key {
            let found = self.data_keys.as_ref().and_then(|keys| keys.key(id));
            let found = found.ok_or_else(|| MapperError::UnknownDataKey {
                topic: topic(),
                key: id,
            })?;
            (found.key, Binding::DataKey { epoch: found.epoch })
        } else {
            let key = encryption.keys.key(id);
            let key = key.ok_or_else(|| MapperError::UnknownKey {
                topic: topic(),
                key: id,
            })?;
            (key, Binding::Configured)
        };
        cipher
            .open((id, &key, binding), event)
            .ok_or_else(|| MapperError::NotAuthentic {
                topic: topic(),
                originator: event.originator_id,
                version: event.originator_version,
                key: id,
            })
    }
}

/// What the mark of an event says was done to its state.
struct Done<'a> {
    format: &'a str,
    is_compressed: bool,
    /// How it was encrypted, and whether with a data key.
    cipher: Option<(Cipher, bool)>,
    /// The box that encrypted it. What was encrypted before names were bound in has none.
    box_name: Option<&'a str>,
}

impl<'a> Done<'a> {
    fn of(event: &'a StoredEvent) -> Result<Self, MapperError> {
        let mark = event.encoding.as_str();
        if event.encoding.is_plain_json() {
            // What most events are.
            return Ok(Self {
                format: mark,
                is_compressed: false,
                cipher: None,
                box_name: None,
            });
        }
        let (steps, box_name) = match mark.split_once(OF_BOX) {
            Some((steps, name)) => (steps, Some(name)),
            None => (mark, None),
        };
        let mut steps: Vec<&str> = steps.split('+').collect();
        let cipher = steps.last().copied().and_then(Cipher::of);
        if cipher.is_some() {
            steps.pop();
        } else if box_name.is_some() {
            return Err(unknown(event));
        }
        let (format, is_compressed) = match steps.as_slice() {
            [format] => (*format, false),
            [format, zlib::MARK] => (*format, true),
            _ => return Err(unknown(event)),
        };
        Ok(Self {
            format,
            is_compressed,
            cipher,
            box_name,
        })
    }
}

fn unknown(event: &StoredEvent) -> MapperError {
    MapperError::UnknownEncoding {
        topic: event.topic.to_string(),
        encoding: event.encoding.clone(),
    }
}
