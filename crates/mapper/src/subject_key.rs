//! The keys of subjects, with which personal parts of events are encrypted.

use std::collections::BTreeSet;
use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use boxes_domain::Subject;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{KEY_BYTES, Key, KeyId, KeyProvider};

/// By what the key of a subject is found. It stands beside what was encrypted, in the clear, and says nothing of the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKeyId(pub Uuid);

impl fmt::Display for SubjectKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What there is of the key of a subject.
#[derive(Debug, Clone)]
pub enum SubjectKey {
    /// The key.
    Key(Key),
    /// There was one, and the subject is forgotten.
    Forgotten,
}

/// Keys of subjects that are at hand: asked for every personal part, by several threads, so it must not wait.
///
/// What is not at hand the mapper asks for, all of an event at once, with
/// [`MapperError::MissingSubjectKeys`](crate::MapperError::MissingSubjectKeys): fetch it, and do the same again.
pub trait SubjectKeyring: fmt::Debug + Send + Sync + 'static {
    /// The key that new parts about a subject are encrypted with.
    fn of_subject(&self, subject: &Subject) -> Option<(SubjectKeyId, Key)>;

    /// The key of this id, or that it is forgotten.
    fn by_id(&self, id: SubjectKeyId) -> Option<SubjectKey>;
}

/// Keys of subjects that an event needs and that are not at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingSubjectKeys {
    /// Those about whom something is to be written.
    pub subjects: BTreeSet<Subject>,
    /// Those by which something is to be read.
    pub ids: BTreeSet<SubjectKeyId>,
}

impl MissingSubjectKeys {
    pub(crate) fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.ids.is_empty()
    }
}

/// What is kept of a subject's key is of no use here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubjectKeyError {
    /// It is encrypted with a key that is not given: give it too.
    #[error(
        "the key {id} of a subject is encrypted with key {key}, which is none of the keys that are configured here"
    )]
    UnknownKey {
        /// The subject's key.
        id: SubjectKeyId,
        /// The number of the other key.
        key: KeyId,
    },
    /// It is in plaintext, and keys to encrypt it with are configured: anyone who can write to the store could have put it there.
    #[error(
        "the key {id} of a subject is stored in plaintext, though BOXES_KEYS are set: if it is from before they were, encrypt it with `rewrap-keys --plain`"
    )]
    Plain {
        /// The subject's key.
        id: SubjectKeyId,
    },
    /// It is the key of another subject: somebody changed the store.
    #[error("the key {id} of a subject is that of another subject: the store was altered")]
    OtherSubject {
        /// The subject's key.
        id: SubjectKeyId,
    },
    /// It is not what was kept, or the key is another one than it was encrypted with under that number.
    #[error(
        "the key {id} of a subject is damaged where it is kept, or the key that it is encrypted with is another here than it was there"
    )]
    Damaged {
        /// The subject's key.
        id: SubjectKeyId,
    },
}

/// The first byte of what is kept.
mod form {
    pub(super) const FORGOTTEN: u8 = 0;
    pub(super) const PLAIN: u8 = 1;
    /// The key alone, as it was written first.
    pub(super) const WRAPPED: u8 = 2;
    /// The key and the SHA-256 of the subject's name.
    pub(super) const WRAPPED_WITH_SUBJECT: u8 = 3;
}

const SUBJECT_BYTES: usize = 32;

const NONCE_BYTES: usize = 12;
const NUMBER_BYTES: usize = 4;

impl SubjectKey {
    /// As it is kept: encrypted with the current key of `by`, if there are keys, and together with a digest of the subject's name, so
    /// that it is the key of no other one.
    ///
    /// # Errors
    ///
    /// [`SubjectKeyError::Damaged`] if it can't be encrypted, which doesn't happen.
    pub fn to_bytes(
        &self,
        id: SubjectKeyId,
        subject: Option<&Subject>,
        by: Option<&dyn KeyProvider>,
    ) -> Result<Vec<u8>, SubjectKeyError> {
        let key = match self {
            Self::Forgotten => return Ok(vec![form::FORGOTTEN]),
            Self::Key(key) => key,
        };
        let Some(by) = by else {
            return Ok([&[form::PLAIN], key.expose().as_slice()].concat());
        };
        let (number, wrapping) = by.current();
        let (form, text) = match subject {
            None => (form::WRAPPED, Zeroizing::new(key.expose().to_vec())),
            Some(subject) => {
                let text = [key.expose().as_slice(), &digest_of(subject)].concat();
                (form::WRAPPED_WITH_SUBJECT, Zeroizing::new(text))
            }
        };
        let payload = Payload {
            msg: &text,
            aad: &associated_data(form, id, number),
        };
        // One nonce for one id: an id has one key for ever.
        let wrapped = nonce(id)
            .and_then(|nonce| gcm_siv(&wrapping).encrypt(&nonce, payload).ok())
            .ok_or(SubjectKeyError::Damaged { id })?;
        Ok([&[form], &number.0.to_be_bytes()[..], &wrapped].concat())
    }

    /// From what is kept. One in plaintext is taken only without `by`.
    ///
    /// # Errors
    ///
    /// [`SubjectKeyError`], if it was encrypted with another key, is in plaintext, or is damaged.
    pub fn from_bytes(
        id: SubjectKeyId,
        bytes: &[u8],
        by: Option<&dyn KeyProvider>,
    ) -> Result<Self, SubjectKeyError> {
        match bytes {
            [form::FORGOTTEN] => Ok(Self::Forgotten),
            [form::PLAIN, ..] if by.is_some() => Err(SubjectKeyError::Plain { id }),
            [form::PLAIN, key @ ..] => key_from(id, key),
            _ => {
                let text = unwrap(id, bytes, by)?;
                key_from(id, text.get(..KEY_BYTES).unwrap_or_default())
            }
        }
    }

    /// Whether what is kept is the key of this subject. `None` where that is not known: of a key that is not encrypted, or was
    /// before names were bound in.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    pub fn is_of(
        id: SubjectKeyId,
        bytes: &[u8],
        subject: &Subject,
        by: Option<&dyn KeyProvider>,
    ) -> Result<Option<bool>, SubjectKeyError> {
        if bytes.first() != Some(&form::WRAPPED_WITH_SUBJECT) {
            return Ok(None);
        }
        let text = unwrap(id, bytes, by)?;
        Ok(Some(
            text.get(KEY_BYTES..) == Some(digest_of(subject).as_slice()),
        ))
    }

    /// Whether it is kept encrypted with the current key of `by`, or needs no encryption: what is not is to be written again
    /// before an older key is given up. With `is_bound` the subject's name has to be bound in as well.
    #[must_use]
    pub fn is_current(bytes: &[u8], is_bound: bool, by: &dyn KeyProvider) -> bool {
        let is_under_current = |rest: &[u8]| {
            rest.first_chunk::<NUMBER_BYTES>() == Some(&by.current().0.0.to_be_bytes())
        };
        match bytes {
            [form::FORGOTTEN] => true,
            [form::WRAPPED_WITH_SUBJECT, rest @ ..] => is_under_current(rest),
            [form::WRAPPED, rest @ ..] => !is_bound && is_under_current(rest),
            _ => false,
        }
    }

    /// The part of what is kept that has to be in no file any more once the key is deleted; `None` if there is none.
    #[must_use]
    pub fn secret_part(bytes: &[u8]) -> Option<&[u8]> {
        match bytes {
            [form::FORGOTTEN] => None,
            [form::PLAIN, key @ ..] => Some(key),
            // The number of the configured key is no secret, and the same in many.
            _ => bytes.get(1 + NUMBER_BYTES..),
        }
    }
}

fn key_from(id: SubjectKeyId, bytes: &[u8]) -> Result<SubjectKey, SubjectKeyError> {
    let key: Result<&[u8; KEY_BYTES], _> = bytes.try_into();
    let key = key.map_err(|_| SubjectKeyError::Damaged { id })?;
    Ok(SubjectKey::Key(Key::new(key)))
}

fn unwrap(
    id: SubjectKeyId,
    bytes: &[u8],
    by: Option<&dyn KeyProvider>,
) -> Result<Zeroizing<Vec<u8>>, SubjectKeyError> {
    let damaged = || SubjectKeyError::Damaged { id };
    let (form, rest) = bytes.split_first().ok_or_else(damaged)?;
    let length = match *form {
        form::WRAPPED => KEY_BYTES,
        form::WRAPPED_WITH_SUBJECT => KEY_BYTES + SUBJECT_BYTES,
        _ => return Err(damaged()),
    };
    let (number, wrapped) = rest
        .split_first_chunk::<NUMBER_BYTES>()
        .ok_or_else(damaged)?;
    let number = KeyId(u32::from_be_bytes(*number));
    let wrapping = by
        .and_then(|by| by.key(number))
        .ok_or(SubjectKeyError::UnknownKey { id, key: number })?;
    let payload = Payload {
        msg: wrapped,
        aad: &associated_data(*form, id, number),
    };
    let text = nonce(id).and_then(|nonce| gcm_siv(&wrapping).decrypt(&nonce, payload).ok());
    let text = Zeroizing::new(text.ok_or_else(damaged)?);
    if text.len() != length {
        return Err(damaged());
    }
    Ok(text)
}

fn digest_of(subject: &Subject) -> [u8; SUBJECT_BYTES] {
    Sha256::digest(subject.as_str().as_bytes()).into()
}

fn gcm_siv(key: &Key) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}

fn nonce(id: SubjectKeyId) -> Option<Nonce> {
    let (_, nonce) = id.0.as_bytes().split_last_chunk::<NONCE_BYTES>()?;
    Some(Nonce::from(*nonce))
}

fn associated_data(form: u8, id: SubjectKeyId, number: KeyId) -> Vec<u8> {
    let label: &[u8] = match form {
        form::WRAPPED_WITH_SUBJECT => b"boxes subject key 2 ",
        _ => b"boxes subject key ",
    };
    [label, id.0.as_bytes(), &number.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keys;

    const ID: SubjectKeyId = SubjectKeyId(Uuid::from_u128(7));

    fn key() -> SubjectKey {
        SubjectKey::Key(Key::new(&[9; KEY_BYTES]))
    }

    fn exposed(key: &SubjectKey) -> [u8; KEY_BYTES] {
        match key {
            SubjectKey::Key(key) => *key.expose(),
            SubjectKey::Forgotten => panic!("forgotten"),
        }
    }

    fn ann() -> Subject {
        Subject::from("ann")
    }

    fn one() -> Keys {
        Keys::new(KeyId(1), Key::new(&[1; KEY_BYTES]))
    }

    #[test]
    fn a_key_is_kept_in_the_clear_or_under_the_current_one_and_read_back() {
        let one = one();
        let two =
            Keys::new(KeyId(2), Key::new(&[2; KEY_BYTES])).and(KeyId(1), Key::new(&[1; KEY_BYTES]));
        let two = two.unwrap();
        let plain = key().to_bytes(ID, Some(&ann()), None).unwrap();
        let wrapped = key().to_bytes(ID, Some(&ann()), Some(&one)).unwrap();
        let first_form = key().to_bytes(ID, None, Some(&one)).unwrap();
        let read = SubjectKey::from_bytes(ID, &plain, None).unwrap();
        assert_eq!(exposed(&read), [9; KEY_BYTES]);
        for kept in [&first_form, &wrapped] {
            let read = SubjectKey::from_bytes(ID, kept, Some(&two)).unwrap();
            assert_eq!(exposed(&read), [9; KEY_BYTES]);
            assert!(!kept.windows(4).any(|window| window == [9; 4]));
        }
        assert!(SubjectKey::is_current(&wrapped, true, &one));
        for old in [&wrapped, &plain] {
            assert!(!SubjectKey::is_current(old, true, &two));
        }
        assert!(SubjectKey::is_current(&first_form, false, &one));
        assert!(
            !SubjectKey::is_current(&first_form, true, &one),
            "the name is not bound in"
        );
        assert!(matches!(
            SubjectKey::from_bytes(ID, &wrapped, None),
            Err(SubjectKeyError::UnknownKey { key: KeyId(1), .. })
        ));
        let gone = SubjectKey::Forgotten
            .to_bytes(ID, None, Some(&one))
            .unwrap();
        assert!(matches!(
            SubjectKey::from_bytes(ID, &gone, None),
            Ok(SubjectKey::Forgotten)
        ));
    }

    #[test]
    fn one_in_plaintext_is_refused_where_keys_are_encrypted_and_one_of_another_subject_is_told() {
        let keys = one();
        let plain = key().to_bytes(ID, None, None).unwrap();
        assert!(matches!(
            SubjectKey::from_bytes(ID, &plain, Some(&keys)),
            Err(SubjectKeyError::Plain { id: ID })
        ));
        let wrapped = key().to_bytes(ID, Some(&ann()), Some(&keys)).unwrap();
        let is_of = |subject: &str| {
            SubjectKey::is_of(ID, &wrapped, &Subject::from(subject), Some(&keys)).unwrap()
        };
        assert_eq!((is_of("ann"), is_of("bob")), (Some(true), Some(false)));
    }

    #[test]
    fn what_was_altered_or_moved_is_refused_at_every_byte() {
        let keys = one();
        for subject in [None, Some(&ann())] {
            let wrapped = key().to_bytes(ID, subject, Some(&keys)).unwrap();
            for place in 0..wrapped.len() {
                for bit in 0..8 {
                    let mut altered = wrapped.clone();
                    altered[place] ^= 1 << bit;
                    let read = SubjectKey::from_bytes(ID, &altered, Some(&keys));
                    assert!(read.is_err(), "byte {place}, bit {bit}: {read:?}");
                }
            }
            for length in 0..wrapped.len() {
                assert!(SubjectKey::from_bytes(ID, &wrapped[..length], Some(&keys)).is_err());
            }
            let other = SubjectKeyId(Uuid::from_u128(8));
            assert!(SubjectKey::from_bytes(other, &wrapped, Some(&keys)).is_err());
        }
    }
}
