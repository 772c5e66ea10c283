//! The personal parts of one event, sealed and opened.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_domain::{Opened, PersonalSeal, Subject, sealed_by};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Key, MapperError, MissingSubjectKeys, SubjectKey, SubjectKeyId, SubjectKeyring};

/// The first byte of a sealed part: how it was made.
const VERSION: u8 = 1;
const ID_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// The event whose parts they are: they are bound to it, so that none can be put into another. Not to its topic, because
/// it may be published under another one.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    pub(crate) event_id: Uuid,
    pub(crate) originator_id: Uuid,
    pub(crate) originator_version: u64,
    pub(crate) topic: Cow<'static, str>,
}

/// What is done with personal parts.
#[derive(Debug, Clone, Default)]
pub(crate) enum Parts {
    /// They are refused.
    #[default]
    Refused,
    /// They are sealed and opened with these keys.
    With(Arc<dyn SubjectKeyring>),
    /// They are passed on unread.
    PassedOn,
    /// They stand there for everybody to read.
    Legible,
}

/// Seals and opens the parts of one event, and remembers what was in the way.
struct PartsOfEvent {
    parts: Parts,
    whose: Whose,
    n_sealed: Cell<u32>,
    /// What was sealed here, each with what it says: it is read back before it is stored.
    sealed: RefCell<Vec<(String, String)>>,
    missing: RefCell<MissingSubjectKeys>,
    /// Boxed, because there is seldom one, and every event has these parts.
    failure: RefCell<Option<Box<MapperError>>>,
}

/// Does `work`, which writes or reads the event, with its personal parts as `parts` says.
///
/// # Errors
///
/// What `work` returns; or what was the matter with a part, which explains it better.
pub(crate) fn with_parts<T>(
    parts: &Parts,
    whose: Whose,
    work: impl FnOnce() -> Result<T, MapperError>,
) -> Result<T, MapperError> {
    let parts = Rc::new(PartsOfEvent {
        parts: parts.clone(),
        whose,
        n_sealed: Cell::new(0),
        sealed: RefCell::default(),
        missing: RefCell::default(),
        failure: RefCell::default(),
    });
    let done = sealed_by(Rc::<PartsOfEvent>::clone(&parts), work);
    if let Some(failure) = parts.failure.take() {
        return Err(*failure);
    }
    let missing = parts.missing.take();
    if missing.is_empty() {
        done
    } else {
        Err(MapperError::MissingSubjectKeys(missing))
    }
}

impl PartsOfEvent {
    fn fail<T>(&self, error: MapperError) -> Result<T, String> {
        let text = error.to_string();
        self.failure.replace(Some(Box::new(error)));
        Err(text)
    }

    fn keys(&self) -> Result<&Arc<dyn SubjectKeyring>, String> {
        match &self.parts {
            Parts::With(keys) => Ok(keys),
            Parts::Refused | Parts::PassedOn | Parts::Legible => {
                self.fail(MapperError::NoSubjectKeys {
                    topic: self.whose.topic.to_string(),
                })
            }
        }
    }

    fn not_authentic<T>(&self) -> Result<T, String> {
        self.fail(MapperError::PersonalNotAuthentic {
            topic: self.whose.topic.to_string(),
            originator: self.whose.originator_id,
            version: self.whose.originator_version,
        })
    }

    /// Different for each part of each event: the id of an event comes once, and its parts are counted.
    fn next_nonce(&self) -> [u8; NONCE_BYTES] {
        let n = self.n_sealed.get();
        self.n_sealed.set(n.saturating_add(1));
        let digest = Sha256::new()
            .chain_update(b"boxes personal part ")
            .chain_update(self.whose.event_id.as_bytes())
            .chain_update(n.to_be_bytes())
            .finalize();
        let mut nonce = [0; NONCE_BYTES];
        nonce
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        nonce
    }

    fn associated_data(&self, id: SubjectKeyId) -> Vec<u8> {
        [
            &[VERSION],
            &id.0.as_bytes()[..],
            self.whose.event_id.as_bytes(),
            self.whose.originator_id.as_bytes(),
            &self.whose.originator_version.to_be_bytes(),
        ]
        .concat()
    }
}

impl PersonalSeal for PartsOfEvent {
    fn seal(&self, subject: &Subject, value: &RawValue) -> Result<Option<String>, String> {
        if self.passes_on() {
            return Ok(None);
        }
        let text = serde_json::to_string(&(subject, value)).map_err(|error| error.to_string())?;
        if matches!(self.parts, Parts::Legible) {
            return Ok(Some(text));
        }
        let Some((id, key)) = self.keys()?.of_subject(subject) else {
            self.missing.borrow_mut().subjects.insert(subject.clone());
            // Never seen: the whole event is refused for what is missing.
            return Ok(None);
        };
        let nonce = self.next_nonce();
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &self.associated_data(id),
        };
        match gcm_siv(&key).encrypt(&Nonce::from(nonce), payload) {
            Ok(sealed) => {
                let record = [&[VERSION], &id.0.as_bytes()[..], &nonce, &sealed].concat();
                let sealed = STANDARD.encode(record);
                self.sealed.borrow_mut().push((sealed.clone(), text));
                Ok(Some(sealed))
            }
            Err(_) => self.fail(MapperError::Encrypt {
                topic: self.whose.topic.to_string(),
                length: text.len(),
            }),
        }
    }

    fn open(&self, sealed: &str) -> Result<Opened, String> {
        if self.passes_on() {
            return Ok(Opened::Unread);
        }
        if matches!(self.parts, Parts::Legible) {
            return opened(sealed.as_bytes()).or_else(|_| self.not_authentic());
        }
        let of_this = self.sealed.borrow();
        if let Some((_, text)) = of_this.iter().find(|(text, _)| text == sealed) {
            return opened(text.as_bytes());
        }
        let keys = self.keys()?;
        let record = STANDARD.decode(sealed).unwrap_or_default();
        let Some((id, nonce, sealed)) = parse(&record) else {
            return self.not_authentic();
        };
        let key = match keys.by_id(id) {
            Some(SubjectKey::Key(key)) => key,
            Some(SubjectKey::Forgotten) => return Ok(Opened::Forgotten),
            None => {
                self.missing.borrow_mut().ids.insert(id);
                return Ok(Opened::Forgotten);
            }
        };
        let payload = Payload {
            msg: sealed,
            aad: &self.associated_data(id),
        };
        let Ok(text) = gcm_siv(&key).decrypt(&Nonce::from(nonce), payload) else {
            return self.not_authentic();
        };
        opened(&text)
    }

    fn passes_on(&self) -> bool {
        matches!(self.parts, Parts::PassedOn)
    }
}

/// What the text within a sealed part says.
fn opened(text: &[u8]) -> Result<Opened, String> {
    let (subject, value): (_, &RawValue) =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(Opened::Known(subject, value.to_owned()))
}

/// Does `work`, in which personal parts are written as they are, for what is not kept.
pub(crate) fn shown<T>(work: impl FnOnce() -> T) -> T {
    sealed_by(Rc::new(Shown), work)
}

struct Shown;

impl PersonalSeal for Shown {
    fn seal(&self, _: &Subject, _: &RawValue) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn open(&self, _: &str) -> Result<Opened, String> {
        Ok(Opened::Unread)
    }

    fn shows(&self) -> bool {
        true
    }
}

fn parse(record: &[u8]) -> Option<(SubjectKeyId, [u8; NONCE_BYTES], &[u8])> {
    let rest = record.strip_prefix(&[VERSION])?;
    let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
    Some((SubjectKeyId(Uuid::from_bytes(*id)), *nonce, sealed))
}

fn gcm_siv(key: &Key) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}
