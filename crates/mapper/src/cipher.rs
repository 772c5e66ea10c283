//! Authenticated encryption of one event's state.

use aes::Aes256;
use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use boxes_recorder::StoredEvent;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Key, KeyId};

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const GCM_SIV_TAG_BYTES: usize = 16;
const IV_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;
const MAC_BYTES: usize = 32;

/// How state is encrypted. Both are authenticated: what was altered is not opened.
///
/// A record is the number of the key (4 bytes, big-endian), a nonce, the ciphertext, and a tag. The number is that of one of the
/// log's [data keys](crate::DataKeyring), or of a configured key where there are none:
///
/// | | nonce | tag | ciphertext |
/// |---|---|---|---|
/// | AES-256-GCM-SIV (RFC 8452) | 12 | 16 | as long as the text |
/// | AES-256-CBC, HMAC-SHA-256 over everything before it | 16 | 32 | the text, filled up to whole blocks of 16 |
///
/// Nonces are made from the id of the event, which is unique everywhere: the box's edge gives it. A record
/// is then the same for the same event, and if an id ever came twice, AES-GCM-SIV would show no more than
/// that two events of one aggregate with one version are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cipher {
    /// AES-256-GCM-SIV: shorter and faster, and forgives a nonce that is used twice.
    #[default]
    Aes256GcmSiv,
    /// AES-256-CBC and HMAC-SHA-256 over the result, with keys of their own, for readers that have no GCM-SIV.
    Aes256CbcHmacSha256,
}

/// What a record is bound to, besides the place of its event, and whose key it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// A configured key, and nothing more: all that there was at first, and what a mapper without data keys writes.
    Configured,
    /// A data key of the log, the epoch for which it was made, and the event's id.
    DataKey {
        /// The epoch for which the key was made.
        epoch: Uuid,
    },
}

/// Follows the mark of a cipher where the key is a data key.
const DATA_KEY: &str = "-data-key";

impl Cipher {
    const ALL: [Self; 2] = [Self::Aes256GcmSiv, Self::Aes256CbcHmacSha256];

    /// Its part of the mark of an encoding.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Aes256GcmSiv => "aes-256-gcm-siv",
            Self::Aes256CbcHmacSha256 => "aes-256-cbc-hmac-sha-256",
        }
    }

    /// The same for what is encrypted with a data key.
    pub(crate) fn data_key_mark(self) -> String {
        format!("{}{DATA_KEY}", self.mark())
    }

    /// The cipher with this mark, and whether the key is a data key.
    pub(crate) fn of(mark: &str) -> Option<(Self, bool)> {
        let (mark, is_data_key) = match mark.strip_suffix(DATA_KEY) {
            Some(mark) => (mark, true),
            None => (mark, false),
        };
        let cipher = Self::ALL.into_iter().find(|cipher| cipher.mark() == mark)?;
        Some((cipher, is_data_key))
    }

    /// The record of `text` as the state of `event`, whose own state is left out of account.
    ///
    /// `None` for a text that is too long for the cipher (64 GiB).
    pub(crate) fn seal(
        self,
        (id, key, binding): (KeyId, &Key, Binding),
        event: &StoredEvent,
        text: &[u8],
    ) -> Option<Vec<u8>> {
        let associated = associated_data(id, binding, event);
        let mut record = id.0.to_be_bytes().to_vec();
        match self {
            Self::Aes256GcmSiv => {
                let (_, nonce) = event
                    .event_id
                    .as_bytes()
                    .split_last_chunk::<NONCE_BYTES>()?;
                let payload = Payload {
                    msg: text,
                    aad: &associated,
                };
                let sealed = gcm_siv(key).encrypt(&Nonce::from(*nonce), payload).ok()?;
                record.extend_from_slice(nonce);
                record.extend(sealed);
            }
            Self::Aes256CbcHmacSha256 => {
                // CBC wants what can't be foretold: a unique value, encrypted.
                let iv = mac(&*derive(key, "iv")?, &[event.event_id.as_bytes(), text])?
                    .finalize()
                    .into_bytes();
                let (iv, _) = iv.split_first_chunk::<IV_BYTES>()?;
                let encryptor =
                    cbc::Encryptor::<Aes256>::new_from_slices(derive(key, "encrypt")?.as_ref(), iv)
                        .ok()?;
                record.extend_from_slice(iv);
                record.extend(encryptor.encrypt_padded_vec::<Pkcs7>(text));
                let tag = mac(
                    &*derive(key, "authenticate")?,
                    &[associated.as_slice(), &record],
                )?;
                record.extend_from_slice(&tag.finalize().into_bytes());
            }
        }
        Some(record)
    }

    /// The number of the key that a record was written with; `None` if it is too short to be a record.
    pub(crate) fn key_id(self, record: &[u8]) -> Option<KeyId> {
        let min = KEY_ID_BYTES
            + match self {
                Self::Aes256GcmSiv => NONCE_BYTES + GCM_SIV_TAG_BYTES,
                Self::Aes256CbcHmacSha256 => IV_BYTES + BLOCK_BYTES + MAC_BYTES,
            };
        match record.first_chunk::<KEY_ID_BYTES>() {
            Some(id) if record.len() >= min => Some(KeyId(u32::from_be_bytes(*id))),
            _ => None,
        }
    }

    /// The text of the record that is the state of `event`; `None` if it is not authentic.
    pub(crate) fn open(
        self,
        (id, key, binding): (KeyId, &Key, Binding),
        event: &StoredEvent,
    ) -> Option<Vec<u8>> {
        let associated = &associated_data(id, binding, event);
        let record = &event.state;
        match self {
            Self::Aes256GcmSiv => {
                let (nonce, sealed) = record
                    .get(KEY_ID_BYTES..)?
                    .split_first_chunk::<NONCE_BYTES>()?;
                let payload = Payload {
                    msg: sealed,
                    aad: associated,
                };
                gcm_siv(key).decrypt(&Nonce::from(*nonce), payload).ok()
            }
            Self::Aes256CbcHmacSha256 => {
                let (sealed, tag) = record.split_last_chunk::<MAC_BYTES>()?;
                mac(
                    &*derive(key, "authenticate")?,
                    &[associated.as_slice(), sealed],
                )?
                .verify_slice(tag)
                .ok()?;
                let (iv, text) = sealed
                    .get(KEY_ID_BYTES..)?
                    .split_first_chunk::<IV_BYTES>()?;
                cbc::Decryptor::<Aes256>::new_from_slices(derive(key, "encrypt")?.as_ref(), iv)
                    .ok()?
                    .decrypt_padded_vec::<Pkcs7>(text)
                    .ok()
            }
        }
    }
}

fn gcm_siv(key: &Key) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}

/// A key for one purpose, so that no two algorithms share one.
fn derive(key: &Key, purpose: &str) -> Option<Zeroizing<[u8; MAC_BYTES]>> {
    let parts: &[&[u8]] = &[b"boxes aes-256-cbc-hmac-sha-256 ", purpose.as_bytes()];
    Some(Zeroizing::new(
        mac(key.expose(), parts)?.finalize().into_bytes().into(),
    ))
}

fn mac(key: &[u8; MAC_BYTES], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

/// What a record is bound to: where it stands, and how it is to be understood. Lengths stand before what
/// varies, so that no two places are written alike.
fn associated_data(id: KeyId, binding: Binding, event: &StoredEvent) -> Vec<u8> {
    let mut data = Vec::new();
    if let Binding::DataKey { epoch } = binding {
        data.extend_from_slice(epoch.as_bytes());
        data.extend_from_slice(event.event_id.as_bytes());
    }
    data.extend_from_slice(&id.0.to_be_bytes());
    data.extend_from_slice(event.originator_id.as_bytes());
    data.extend_from_slice(&event.originator_version.to_be_bytes());
    data.extend_from_slice(&event.schema_version.to_be_bytes());
    for text in [event.encoding.as_str(), &*event.topic] {
        data.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        data.extend_from_slice(text.as_bytes());
    }
    data
}
