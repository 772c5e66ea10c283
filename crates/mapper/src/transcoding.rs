//! What is done to state after it was written as JSON: compress, then encrypt; and back.

use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;

use crate::cipher::Cipher;
use crate::{Encryption, MapperError, zlib};

/// What state may inflate to, in bytes, if nothing else is said.
pub const DEFAULT_MAX_INFLATED: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Transcoding {
    pub(crate) compress: bool,
    pub(crate) max_inflated: usize,
    pub(crate) encryption: Option<Encryption>,
}

impl Default for Transcoding {
    fn default() -> Self {
        Self {
            compress: false,
            max_inflated: DEFAULT_MAX_INFLATED,
            encryption: None,
        }
    }
}

impl Transcoding {
    /// Transforms the state of an event that is plain JSON, and marks it.
    pub(crate) fn write(&self, mut event: StoredEvent) -> Result<StoredEvent, MapperError> {
        let mut mark = String::new();
        // What could not be read again is not compressed in the first place.
        if self.compress
            && event.state.len() <= self.max_inflated
            && let Some(compressed) = zlib::deflate(&event.state)
        {
            mark = format!("+{}", zlib::MARK);
            event.state = Bytes::from(compressed);
        }
        let encryption = self
            .encryption
            .as_ref()
            .filter(|encryption| encryption.encrypts(&event.topic));
        if let Some(encryption) = encryption {
            mark = format!("{mark}+{}", encryption.cipher.mark());
        }
        if !mark.is_empty() {
            event.encoding = Encoding::new(format!("{}{mark}", Encoding::JSON));
        }
        // The mark is bound in, so it stands before.
        if let Some(encryption) = encryption {
            let (id, key) = encryption.keys.current();
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

    /// The state of an event as plain JSON.
    pub(crate) fn read(&self, event: &StoredEvent) -> Result<Bytes, MapperError> {
        let topic = || event.topic.to_string();
        let unknown = || MapperError::UnknownEncoding {
            topic: topic(),
            encoding: event.encoding.clone(),
        };
        let mut steps: Vec<&str> = event.encoding.as_str().split('+').collect();
        let cipher = steps.last().copied().and_then(Cipher::of);
        if cipher.is_some() {
            steps.pop();
        }
        let is_compressed = match steps.as_slice() {
            ["json"] => false,
            ["json", zlib::MARK] => true,
            _ => return Err(unknown()),
        };
        let state = match cipher {
            Some(cipher) => Bytes::from(self.open(cipher, event)?),
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
        if !is_compressed {
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
