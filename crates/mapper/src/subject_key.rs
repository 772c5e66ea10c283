//! The keys of subjects, with which personal parts of events are encrypted.

use std::collections::BTreeSet;
use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use boxes_domain::Subject;
use thiserror::Error;
use uuid::Uuid;

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
    pub(super) const WRAPPED: u8 = 2;
}

const NONCE_BYTES: usize = 12;
const NUMBER_BYTES: usize = 4;

impl SubjectKey {
    /// As it is kept: encrypted with the current key of `by`, if there are keys.
    ///
    /// # Errors
    ///
    /// [`SubjectKeyError::Damaged`] if it can't be encrypted, which doesn't happen.
    pub fn to_bytes(
        &self,
        id: SubjectKeyId,
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
        let payload = Payload {
            msg: key.expose(),
            aad: &associated_data(id, number),
        };
        // One nonce for one id: an id has one key for ever.
        let wrapped = nonce(id)
            .and_then(|nonce| gcm_siv(&wrapping).encrypt(&nonce, payload).ok())
            .ok_or(SubjectKeyError::Damaged { id })?;
        Ok([&[form::WRAPPED], &number.0.to_be_bytes()[..], &wrapped].concat())
    }

    /// From what is kept.
    ///
    /// # Errors
    ///
    /// [`SubjectKeyError`], if it was encrypted with another key, or is damaged.
    pub fn from_bytes(
        id: SubjectKeyId,
        bytes: &[u8],
        by: Option<&dyn KeyProvider>,
    ) -> Result<Self, SubjectKeyError> {
        let damaged = SubjectKeyError::Damaged { id };
        let key = match bytes {
            [form::FORGOTTEN] => return Ok(Self::Forgotten),
            [form::PLAIN, key @ ..] => zeroize::Zeroizing::new(key.to_vec()),
            [form::WRAPPED, rest @ ..] => {
                let (number, wrapped) = rest
                    .split_first_chunk::<NUMBER_BYTES>()
                    .ok_or_else(|| damaged.clone())?;
                let number = KeyId(u32::from_be_bytes(*number));
                let wrapping = by
                    .and_then(|by| by.key(number))
                    .ok_or(SubjectKeyError::UnknownKey { id, key: number })?;
                let payload = Payload {
                    msg: wrapped,
                    aad: &associated_data(id, number),
                };
                let key =
                    nonce(id).and_then(|nonce| gcm_siv(&wrapping).decrypt(&nonce, payload).ok());
                zeroize::Zeroizing::new(key.ok_or_else(|| damaged.clone())?)
            }
            _ => return Err(damaged),
        };
        let key: &[u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| damaged)?;
        Ok(Self::Key(Key::new(key)))
    }

    /// Whether it is kept encrypted with the current key of `by`, or needs no encryption: what is not is to be written anew
    /// before an older key is given up.
    #[must_use]
    pub fn is_current(bytes: &[u8], by: &dyn KeyProvider) -> bool {
        match bytes {
            [form::FORGOTTEN] => true,
            [form::WRAPPED, rest @ ..] => {
                rest.first_chunk::<NUMBER_BYTES>() == Some(&by.current().0.0.to_be_bytes())
            }
            _ => false,
        }
    }
}

fn gcm_siv(key: &Key) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}

fn nonce(id: SubjectKeyId) -> Option<Nonce> {
    let (_, nonce) = id.0.as_bytes().split_last_chunk::<NONCE_BYTES>()?;
    Some(Nonce::from(*nonce))
}

fn associated_data(id: SubjectKeyId, number: KeyId) -> Vec<u8> {
    [
        &b"boxes subject key "[..],
        id.0.as_bytes(),
        &number.0.to_be_bytes(),
    ]
    .concat()
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

    #[test]
    fn a_key_is_kept_in_the_clear_or_under_the_current_one_and_read_back() {
        let one = Keys::new(KeyId(1), Key::new(&[1; KEY_BYTES]));
        let two =
            Keys::new(KeyId(2), Key::new(&[2; KEY_BYTES])).and(KeyId(1), Key::new(&[1; KEY_BYTES]));
        let two = two.unwrap();
        let plain = key().to_bytes(ID, None).unwrap();
        let wrapped = key().to_bytes(ID, Some(&one)).unwrap();
        for kept in [&plain, &wrapped] {
            let read = SubjectKey::from_bytes(ID, kept, Some(&two)).unwrap();
            assert_eq!(exposed(&read), [9; KEY_BYTES]);
        }
        assert!(!wrapped.windows(4).any(|window| window == [9; 4]));
        assert!(SubjectKey::is_current(&wrapped, &one));
        assert!(!SubjectKey::is_current(&wrapped, &two) && !SubjectKey::is_current(&plain, &one));
        assert!(matches!(
            SubjectKey::from_bytes(ID, &wrapped, None),
            Err(SubjectKeyError::UnknownKey { key: KeyId(1), .. })
        ));
        let gone = SubjectKey::Forgotten.to_bytes(ID, Some(&one)).unwrap();
        assert!(matches!(
            SubjectKey::from_bytes(ID, &gone, None),
            Ok(SubjectKey::Forgotten)
        ));
    }

    #[test]
    fn what_was_altered_or_moved_is_refused_at_every_byte() {
        let keys = Keys::new(KeyId(1), Key::new(&[1; KEY_BYTES]));
        let wrapped = key().to_bytes(ID, Some(&keys)).unwrap();
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
