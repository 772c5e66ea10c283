//! States as the Python library `eventsourcing` keeps them today.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{AesGcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::DEFAULT_MAX_INFLATED;
use crate::zlib::{self, Refusal};

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Reads the states that an application of the Python library `eventsourcing`, version 9, has stored: as its transcoder
/// wrote them, or compressed by its `ZlibCompressor`, or encrypted by its `AESCipher`, or both.
///
/// The form is nonce ‖ tag ‖ AES-GCM(zlib(text)), where each of both steps may be missing. Nothing says which were
/// taken, so that has to be known.
///
/// ```
/// use boxes_mapper::PythonStates;
///
/// let plain = PythonStates::default();
/// assert_eq!(plain.read(b"{}")?, "{}");
/// // The value of CIPHER_KEY in the environment of the application.
/// let encrypted = PythonStates::default().encrypted("AAECAwQFBgcICQoLDA0ODw==")?;
/// assert!(encrypted.read(b"{}").is_err());
/// # Ok::<(), boxes_mapper::PythonStatesError>(())
/// ```
#[derive(Default)]
pub struct PythonStates {
    is_compressed: bool,
    key: Option<Zeroizing<Vec<u8>>>,
}

/// Why a state is not read, or a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PythonStatesError {
    /// The key is not written as the library writes keys, or has a length that AES does not know.
    #[error("a cipher key of the Python library is base64 of 16, 24 or 32 bytes")]
    Key,
    /// It is no ciphertext, the key is another, or somebody altered it.
    #[error("can't be decrypted: it is not encrypted, the key is another, or it was altered")]
    Decrypt,
    /// It is not what zlib writes.
    #[error("can't be decompressed: it is not compressed by zlib, or it was altered")]
    Inflate,
    /// It is larger than a state may be.
    #[error("inflates to more than {max} bytes")]
    TooLarge {
        /// What is allowed.
        max: usize,
    },
}

impl fmt::Debug for PythonStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PythonStates")
            .field("is_compressed", &self.is_compressed)
            .field("is_encrypted", &self.key.is_some())
            .finish()
    }
}

impl PythonStates {
    /// They were compressed: the application had a `COMPRESSOR_TOPIC`.
    #[must_use]
    pub const fn compressed(mut self) -> Self {
        self.is_compressed = true;
        self
    }

    /// They were encrypted with this key, the application's `CIPHER_KEY`.
    ///
    /// # Errors
    ///
    /// [`PythonStatesError::Key`] if it is no base64 of 16, 24 or 32 bytes.
    pub fn encrypted(mut self, key: &str) -> Result<Self, PythonStatesError> {
        let key = STANDARD
            .decode(key.trim())
            .map(Zeroizing::new)
            .map_err(|_| PythonStatesError::Key)?;
        if ![16, 24, 32].contains(&key.len()) {
            return Err(PythonStatesError::Key);
        }
        self.key = Some(key);
        Ok(self)
    }

    /// What the transcoder of the application wrote; JSON, unless the application has a transcoder of its own.
    ///
    /// # Errors
    ///
    /// [`PythonStatesError::Decrypt`], [`PythonStatesError::Inflate`], or [`PythonStatesError::TooLarge`] beyond
    /// [`DEFAULT_MAX_INFLATED`].
    pub fn read(&self, state: &[u8]) -> Result<Bytes, PythonStatesError> {
        let state = match &self.key {
            Some(key) => decrypt(key, state).ok_or(PythonStatesError::Decrypt)?,
            None => state.to_vec(),
        };
        if !self.is_compressed {
            return Ok(state.into());
        }
        zlib::inflate(&state, DEFAULT_MAX_INFLATED)
            .map(Bytes::from)
            .map_err(|refusal| match refusal {
                Refusal::TooLarge => PythonStatesError::TooLarge {
                    max: DEFAULT_MAX_INFLATED,
                },
                Refusal::Damaged => PythonStatesError::Inflate,
            })
    }
}

fn decrypt(key: &[u8], state: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = state.split_first_chunk::<NONCE_BYTES>()?;
    let (tag, text) = rest.split_first_chunk::<TAG_BYTES>()?;
    // The tag stands behind the text everywhere else.
    let sealed = [text, tag.as_slice()].concat();
    match key.len() {
        16 => open::<AesGcm<Aes128, U12>>(key, nonce, &sealed),
        24 => open::<AesGcm<Aes192, U12>>(key, nonce, &sealed),
        _ => open::<AesGcm<Aes256, U12>>(key, nonce, &sealed),
    }
}

fn open<C: Aead<NonceSize = U12> + KeyInit>(
    key: &[u8],
    nonce: &[u8; NONCE_BYTES],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let cipher = C::new_from_slice(key).ok()?;
    cipher
        .decrypt(&Nonce::from(*nonce), Payload::from(sealed))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // What `eventsourcing` 9.5.6 makes of `{"name": "Fido"}` with a ZlibCompressor and AESCipher, and of it with AESCipher alone.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
    const TEXT: &str = r#"{"name": "Fido"}"#;
    const BOTH: &str = "3NNOGssjR7qzQ9Xee8a1zQmCfaoa1k0BeXCJu+azmmuVbZ8oMWiJ4DM8gljGRGMYZkkoug==";
    const ENCRYPTED: &str = "smQIA1v8U21M4ChBE555+wDdZoduORqHLq8/Z/QhD/rrLrL7NKCeTgI53rs=";

    fn bytes(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    #[test]
    fn what_the_library_wrote_is_read() {
        let encrypted = PythonStates::default().encrypted(KEY).unwrap();
        assert_eq!(encrypted.read(&bytes(ENCRYPTED)).unwrap(), TEXT);
        let both = PythonStates::default().compressed().encrypted(KEY).unwrap();
        assert_eq!(both.read(&bytes(BOTH)).unwrap(), TEXT);
    }

    #[test]
    fn every_byte_counts_and_another_key_reads_nothing() {
        let both = PythonStates::default().compressed().encrypted(KEY).unwrap();
        let state = bytes(BOTH);
        for i in 0..state.len() {
            let mut altered = state.clone();
            altered[i] ^= 1;
            assert_eq!(both.read(&altered), Err(PythonStatesError::Decrypt), "{i}");
            assert_eq!(both.read(&state[..i]), Err(PythonStatesError::Decrypt));
        }
        for key in [
            KEY.replace('A', "B"),
            STANDARD.encode([1; 24]),
            STANDARD.encode([1; 32]),
        ] {
            let other = PythonStates::default().encrypted(&key).unwrap();
            assert_eq!(other.read(&state), Err(PythonStatesError::Decrypt));
        }
    }

    #[test]
    fn what_is_no_key_and_what_is_not_compressed_is_refused() {
        for key in ["", "?", "AAEC"] {
            let refused = PythonStates::default().encrypted(key);
            assert_eq!(refused.unwrap_err(), PythonStatesError::Key);
        }
        let compressed = PythonStates::default().compressed();
        assert_eq!(compressed.read(b"{}"), Err(PythonStatesError::Inflate));
        let bomb = zlib::compress(&vec![b' '; DEFAULT_MAX_INFLATED + 1]).unwrap();
        let max = DEFAULT_MAX_INFLATED;
        assert_eq!(
            compressed.read(&bomb),
            Err(PythonStatesError::TooLarge { max })
        );
    }
}
