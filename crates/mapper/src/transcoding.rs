//! What is done to state: written in a format, compressed, encrypted; and back.

use std::sync::Arc;

use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;

use crate::cipher::Cipher;
use crate::transcoder::Transcoder;
use crate::{Encryption, KeyId, MapperError, MessagePack, zlib};

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
    /// The key that encrypts, if it is not to be the current one.
    write_key: Option<KeyId>,
    /// The box whose events they are, if that is known.
    pub(crate) box_name: Option<Arc<str>>,
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
            write_key: None,
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
        if let Some(encryption) = encryption {
            mark = format!("{mark}+{}", encryption.cipher.mark());
            if let Some(name) = box_name {
                mark = format!("{mark}{OF_BOX}{name}");
            }
        }
        if !mark.is_empty() {
            event.encoding = Encoding::new(format!("{}{mark}", event.encoding));
        }
        // The mark is bound in, so it stands before.
        if let Some(encryption) = encryption {
            let given = self.write_key;
            let given = given.and_then(|id| Some((id, encryption.keys.key(id)?)));
            let (id, key) = given.unwrap_or_else(|| encryption.keys.current());
            let sealed = encryption.cipher.seal(id, &key, &event, &event.state);
            event.state = sealed
                .map(Bytes::from)
                .ok_or_else(|| MapperError::Encrypt {
                    topic: event.topic.to_string(),
                    length: event.state.len(),
                })?;
        }
        Ok(event)
    }

    /// The state of an event as it was written, and the format.
    pub(crate) fn read(&self, event: &StoredEvent) -> Result<(Format<'_>, Bytes), MapperError> {
        let done = Done::of(event)?;
        let format = self.format(done.format);
        let format = format.ok_or_else(|| unknown(event))?;
        Ok((format, self.undo(event, &done)?))
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
        if let Some(cipher) = done.cipher {
            as_source.encryption = self
                .encryption
                .clone()
                .map(|known| known.with_cipher(cipher).beyond(&source.topic));
            as_source.write_key = cipher.key_id(&source.state);
        } else {
            as_source.encryption = None;
        }
        // From before names were bound in, or in the clear.
        if done.box_name.is_none() {
            as_source.box_name = None;
        }
        Some(as_source)
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
            Some(cipher) => {
                self.check_box(event, done)?;
                Bytes::from(self.open(cipher, event)?)
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

    fn open(&self, cipher: Cipher, event: &StoredEvent) -> Result<Vec<u8>, MapperError> {
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
        let key = encryption
            .keys
            .key(id)
            .ok_or_else(|| MapperError::UnknownKey {
                topic: topic(),
                key: id,
            })?;
        cipher
            .open(id, &key, event)
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
    cipher: Option<Cipher>,
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
