//! The keys of a log, wrapped by the configured ones.

use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{KEY_BYTES, Key, KeyId, KeyProvider};

/// The keys of a log that are at hand. It is asked for every event, by several threads, and must not wait.
pub trait DataKeyring: fmt::Debug + Send + Sync + 'static {
    /// The key that new events are encrypted with; `None` where the configured key does that itself.
    fn current(&self) -> Option<DataKey>;

    /// The key that events which are made of others in the clear are encrypted with: the first one, so that a later one does not
    /// change what was published.
    fn first(&self) -> Option<DataKey>;

    /// The key of this number, also those that are no longer current.
    fn key(&self, id: KeyId) -> Option<DataKey>;
}

/// A key of one log, with which its events are encrypted. It is random, and never changes; what wraps it may.
#[derive(Debug, Clone)]
pub struct DataKey {
    /// Its number, counted from 1 in each log.
    pub id: KeyId,
    /// The epoch for which it was made: what is encrypted with it is bound to that.
    pub epoch: Uuid,
    /// The newest notification when it was made: what comes after it is encrypted with it.
    pub after: u64,
    /// The key.
    pub key: Key,
}

/// The data keys of a log as they are stored next to it: one value, in which each is encrypted with a configured key and bound
/// to the log's name, its own number and its epoch.
///
/// To take another configured key is to replace this value. No event changes.
///
/// ```text
/// 1 (u8), then for each key, ascending by number:
/// number (u32) ‖ epoch (16) ‖ after (u64) ‖ number of the configured key (u32) ‖ nonce (12) ‖ AES-256-GCM-SIV of the key (48)
/// associated data: "boxes data key 1 " ‖ length of the name (u64) ‖ name ‖ number ‖ epoch ‖ after ‖ number of the configured key
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKeys(Vec<u8>);

/// What is stored of a log's data keys is of no use here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DataKeyError {
    /// They are wrapped by a key that is not given: give it too.
    #[error(
        "the data key of the log `{log}` is encrypted with key {key}, which is not among the configured keys"
    )]
    UnknownKey {
        /// The log.
        log: String,
        /// The number of the configured key.
        key: KeyId,
    },
    /// They are not what was stored, or of another log, or the key that wraps them is another one here.
    #[error(
        "the data key of the log `{log}` can't be decrypted: key {key} has a different value here than when it was stored, or the store was altered"
    )]
    Damaged {
        /// The log.
        log: String,
        /// The number of the configured key.
        key: KeyId,
    },
    /// They are no data keys at all.
    #[error("what is stored as the data key of the log `{log}` is damaged")]
    Malformed {
        /// The log.
        log: String,
    },
}

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const WRAPPED_BYTES: usize = KEY_BYTES + 16;
const ENTRY_BYTES: usize = 4 + 16 + 8 + 4 + NONCE_BYTES + WRAPPED_BYTES;

impl WrappedDataKeys {
    /// The keys, each encrypted with the current key of `by`. `nonce` gives 12 random bytes.
    ///
    /// # Errors
    ///
    /// [`DataKeyError::Damaged`] if one can't be encrypted, which does not happen; or that of `nonce`.
    pub fn wrap<E: From<DataKeyError>>(
        log: &str,
        keys: &[DataKey],
        by: &dyn KeyProvider,
        mut nonce: impl FnMut() -> Result<[u8; NONCE_BYTES], E>,
    ) -> Result<Self, E> {
        let (number, wrapping) = by.current();
        let mut bytes = vec![VERSION];
        for key in keys {
            let nonce = nonce()?;
            let payload = Payload {
                msg: key.key.expose(),
                aad: &associated_data(log, key.id, key.epoch, key.after, number),
            };
            let wrapped = gcm_siv(&wrapping).encrypt(&Nonce::from(nonce), payload);
            let wrapped = wrapped.map_err(|_| DataKeyError::Damaged {
                log: log.to_owned(),
                key: number,
            })?;
            bytes.extend(key.id.0.to_be_bytes());
            bytes.extend(key.epoch.as_bytes());
            bytes.extend(key.after.to_be_bytes());
            bytes.extend(number.0.to_be_bytes());
            bytes.extend(nonce);
            bytes.extend(wrapped);
        }
        Ok(Self(bytes))
    }

    /// From what is stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// As they are stored. No key is needed to read it, and none is in it in the clear.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The keys, ascending by number.
    ///
    /// # Errors
    ///
    /// [`DataKeyError`] if one of them can't be had.
    pub fn unwrap_with(
        &self,
        log: &str,
        by: &dyn KeyProvider,
    ) -> Result<Vec<DataKey>, DataKeyError> {
        let malformed = || DataKeyError::Malformed {
            log: log.to_owned(),
        };
        let entries = self.0.strip_prefix(&[VERSION]).ok_or_else(malformed)?;
        let chunks = entries.chunks_exact(ENTRY_BYTES);
        if entries.is_empty() || !chunks.remainder().is_empty() {
            return Err(malformed());
        }
        let mut keys: Vec<DataKey> = Vec::new();
        for entry in chunks {
            let key = unwrap(entry, log, by)?.ok_or_else(malformed)?;
            if keys.last().is_some_and(|last| last.id >= key.id) {
                return Err(malformed());
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Whether all of them are encrypted with the current key of `by`.
    #[must_use]
    pub fn are_current(&self, by: &dyn KeyProvider) -> bool {
        let current = by.current().0.0.to_be_bytes();
        let entries = self.0.get(1..).unwrap_or_default();
        entries
            .chunks_exact(ENTRY_BYTES)
            .all(|entry| entry.get(28..32) == Some(&current))
    }
}

fn unwrap(entry: &[u8], log: &str, by: &dyn KeyProvider) -> Result<Option<DataKey>, DataKeyError> {
    let Some(((id, epoch, after, number), rest)) = header(entry) else {
        return Ok(None);
    };
    let Some((nonce, wrapped)) = rest.split_first_chunk::<NONCE_BYTES>() else {
        return Ok(None);
    };
    let wrapping = by.key(number).ok_or_else(|| DataKeyError::UnknownKey {
        log: log.to_owned(),
        key: number,
    })?;
    let payload = Payload {
        msg: wrapped,
        aad: &associated_data(log, id, epoch, after, number),
    };
    let key = gcm_siv(&wrapping).decrypt(&Nonce::from(*nonce), payload);
    let key = Zeroizing::new(key.map_err(|_| DataKeyError::Damaged {
        log: log.to_owned(),
        key: number,
    })?);
    let Ok(key) = key.as_slice().try_into() else {
        return Ok(None);
    };
    Ok(Some(DataKey {
        id,
        epoch,
        after,
        key: Key::new(key),
    }))
}

/// What stands before the nonce of an entry.
type Header = (KeyId, Uuid, u64, KeyId);

fn header(entry: &[u8]) -> Option<(Header, &[u8])> {
    let (id, rest) = entry.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (after, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let header = (
        KeyId(u32::from_be_bytes(*id)),
        Uuid::from_bytes(*epoch),
        u64::from_be_bytes(*after),
        KeyId(u32::from_be_bytes(*number)),
    );
    Some((header, rest))
}

fn gcm_siv(key: &Key) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}

fn associated_data(log: &str, id: KeyId, epoch: Uuid, after: u64, number: KeyId) -> Vec<u8> {
    let length = u64::try_from(log.len()).unwrap_or(u64::MAX);
    [
        &b"boxes data key 1 "[..],
        &length.to_be_bytes(),
        log.as_bytes(),
        &id.0.to_be_bytes(),
        epoch.as_bytes(),
        &after.to_be_bytes(),
        &number.0.to_be_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keys;

    fn keys(n: u8) -> Keys {
        Keys::new(KeyId(n.into()), Key::new(&[n; KEY_BYTES]))
    }

    fn data_key(n: u8) -> DataKey {
        DataKey {
            id: KeyId(n.into()),
            epoch: Uuid::from_u128(n.into()),
            after: 100 * u64::from(n),
            key: Key::new(&[100 + n; KEY_BYTES]),
        }
    }

    fn wrapped() -> WrappedDataKeys {
        let keys_of_log = [data_key(1), data_key(2)];
        let nonce = || Ok::<_, DataKeyError>([9; NONCE_BYTES]);
        WrappedDataKeys::wrap("orders", &keys_of_log, &keys(7), nonce).unwrap()
    }

    #[test]
    fn what_was_wrapped_is_unwrapped_and_nothing_of_it_is_in_the_clear() {
        let wrapped = wrapped();
        let found = wrapped.unwrap_with("orders", &keys(7)).unwrap();
        for (found, n) in found.iter().zip(1..) {
            let made = data_key(n);
            assert_eq!(
                (found.id, found.epoch, found.after),
                (made.id, made.epoch, made.after)
            );
            assert_eq!(found.key.expose(), made.key.expose());
        }
        assert_eq!(found.len(), 2);
        assert!(wrapped.are_current(&keys(7)) && !wrapped.are_current(&keys(8)));
        for byte in [101, 102] {
            assert!(!wrapped.as_bytes().windows(8).any(|part| part == [byte; 8]));
        }
    }

    #[test]
    fn what_was_altered_cut_or_copied_is_refused_at_every_byte() {
        let wrapped = wrapped();
        let bytes = wrapped.as_bytes();
        for place in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[place] ^= 1;
            let altered = WrappedDataKeys::from_bytes(&altered);
            assert!(altered.unwrap_with("orders", &keys(7)).is_err(), "{place}");
        }
        // To take the last one away whole leaves the others: what was written with it is not readable then, and says so.
        for length in (0..bytes.len()).filter(|length| *length != 1 + ENTRY_BYTES) {
            let cut = WrappedDataKeys::from_bytes(&bytes[..length]);
            assert!(cut.unwrap_with("orders", &keys(7)).is_err(), "{length}");
        }
        assert!(wrapped.unwrap_with("payments", &keys(7)).is_err());
        let unknown = wrapped.unwrap_with("orders", &keys(8)).unwrap_err();
        assert!(matches!(
            unknown,
            DataKeyError::UnknownKey { key: KeyId(7), .. }
        ));
        let other = Keys::new(KeyId(7), Key::new(&[8; KEY_BYTES]));
        let other = wrapped.unwrap_with("orders", &other).unwrap_err();
        assert!(matches!(other, DataKeyError::Damaged { key: KeyId(7), .. }));
    }
}
