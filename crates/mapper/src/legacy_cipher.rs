//! The encryption of the Python library `eventsourcing` in its early versions.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::zlib::{self, Refusal};

const IV_BYTES: usize = 16;

/// Opens and writes what the Python library `eventsourcing` encrypted in 2017, to take such data over.
///
/// The form is base64(iv ‖ AES-CBC(PKCS #7(base64(zlib(text))))). It detects no tampering: what was altered
/// may open as something else, and one who can try alterations and see how each fails can read the text. Open
/// what you trust, once, and store it anew with an [`Encryption`](crate::Encryption).
///
/// ```
/// use boxes_mapper::{DEFAULT_MAX_INFLATED, LegacyCipher};
///
/// let cipher = LegacyCipher::new(b"0123456789abcdef")?;
/// let text = cipher.open(
///     "AAECAwQFBgcICQoLDA0OD77O3l7zbJSJ3l7IM0XoZ1OPX/WT9rscBztV4o9fW9bYcw8h2htT46ARQtg8/j2I+aFYFfxQaPRTogCaeBGmGkY=",
///     DEFAULT_MAX_INFLATED,
/// )?;
/// assert_eq!(text, br#"{"a":"secret data","b":"more secrets"}"#);
/// # Ok::<(), boxes_mapper::LegacyCipherError>(())
/// ```
pub struct LegacyCipher {
    key: Zeroizing<Vec<u8>>,
}

/// Why something is not opened, or a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LegacyCipherError {
    /// The key has a length that AES does not know.
    #[error("a key has 16, 24 or 32 bytes, not {length}")]
    Key {
        /// Its bytes.
        length: usize,
    },
    /// It is not base64 of an iv and whole blocks: something else, or cut.
    #[error("this is not base64 of 16 bytes and blocks of 16")]
    Form,
    /// What comes out is no text: another key, or altered.
    #[error("this can't be decrypted: the key is another, or it was altered")]
    Decrypt,
    /// The text can't be compressed or encrypted.
    #[error("this can't be encrypted")]
    Encrypt,
    /// The text is larger than allowed.
    #[error("this inflates to more than {max} bytes")]
    TooLarge {
        /// What is allowed.
        max: usize,
    },
}

impl fmt::Debug for LegacyCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyCipher(…)")
    }
}

impl LegacyCipher {
    /// With this key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    ///
    /// [`LegacyCipherError::Key`] if it has another length.
    pub fn new(key: &[u8]) -> Result<Self, LegacyCipherError> {
        match key.len() {
            16 | 24 | 32 => Ok(Self {
                key: Zeroizing::new(key.to_vec()),
            }),
            length => Err(LegacyCipherError::Key { length }),
        }
    }

    /// The text in `sealed`, if it has no more than `max` bytes.
    ///
    /// # Errors
    ///
    /// [`LegacyCipherError::Form`], [`LegacyCipherError::Decrypt`] or [`LegacyCipherError::TooLarge`].
    pub fn open(&self, sealed: &str, max: usize) -> Result<Vec<u8>, LegacyCipherError> {
        let bytes = STANDARD
            .decode(sealed)
            .map_err(|_| LegacyCipherError::Form)?;
        let (iv, blocks) = bytes
            .split_first_chunk::<IV_BYTES>()
            .filter(|(_, blocks)| !blocks.is_empty() && blocks.len() % IV_BYTES == 0)
            .ok_or(LegacyCipherError::Form)?;
        let inner = match self.key.len() {
            16 => decrypt::<cbc::Decryptor<Aes128>>(&self.key, iv, blocks),
            24 => decrypt::<cbc::Decryptor<Aes192>>(&self.key, iv, blocks),
            _ => decrypt::<cbc::Decryptor<Aes256>>(&self.key, iv, blocks),
        };
        let compressed = inner
            .and_then(|inner| STANDARD.decode(inner).ok())
            .ok_or(LegacyCipherError::Decrypt)?;
        zlib::inflate(&compressed, max).map_err(|refusal| match refusal {
            Refusal::TooLarge => LegacyCipherError::TooLarge { max },
            Refusal::Damaged => LegacyCipherError::Decrypt,
        })
    }

    /// `text` as that library reads it. `iv` must be random, and another each time.
    ///
    /// # Errors
    ///
    /// [`LegacyCipherError::Encrypt`] if the text can't be compressed or encrypted; no text is known that can't.
    pub fn seal(&self, text: &[u8], iv: [u8; IV_BYTES]) -> Result<String, LegacyCipherError> {
        let inner = STANDARD.encode(zlib::compress(text).ok_or(LegacyCipherError::Encrypt)?);
        let blocks = match self.key.len() {
            16 => encrypt::<cbc::Encryptor<Aes128>>(&self.key, iv, inner.as_bytes()),
            24 => encrypt::<cbc::Encryptor<Aes192>>(&self.key, iv, inner.as_bytes()),
            _ => encrypt::<cbc::Encryptor<Aes256>>(&self.key, iv, inner.as_bytes()),
        }
        .ok_or(LegacyCipherError::Encrypt)?;
        Ok(STANDARD.encode([iv.as_slice(), &blocks].concat()))
    }
}

fn decrypt<D: KeyIvInit + BlockModeDecrypt>(
    key: &[u8],
    iv: &[u8; IV_BYTES],
    blocks: &[u8],
) -> Option<Vec<u8>> {
    D::new_from_slices(key, iv)
        .ok()?
        .decrypt_padded_vec::<Pkcs7>(blocks)
        .ok()
}

fn encrypt<E: KeyIvInit + BlockModeEncrypt>(
    key: &[u8],
    iv: [u8; IV_BYTES],
    text: &[u8],
) -> Option<Vec<u8>> {
    Some(
        E::new_from_slices(key, &iv)
            .ok()?
            .encrypt_padded_vec::<Pkcs7>(text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = br#"{"a":"secret data","b":"more secrets"}"#;

    #[test]
    fn it_opens_what_it_writes_with_keys_of_each_length_and_no_other() {
        for length in 0..40 {
            match LegacyCipher::new(&vec![7; length]) {
                Ok(cipher) => {
                    assert!([16, 24, 32].contains(&length));
                    let sealed = cipher.seal(TEXT, [3; 16]).unwrap();
                    assert_eq!(cipher.open(&sealed, TEXT.len()).unwrap(), TEXT);
                    assert_eq!(
                        cipher.open(&sealed, TEXT.len() - 1),
                        Err(LegacyCipherError::TooLarge { max: 37 })
                    );
                    let other = LegacyCipher::new(&vec![8; length]).unwrap();
                    assert_eq!(other.open(&sealed, 99), Err(LegacyCipherError::Decrypt));
                }
                Err(error) => assert_eq!(error, LegacyCipherError::Key { length }),
            }
        }
    }

    #[test]
    fn what_is_cut_or_no_base64_is_refused() {
        let cipher = LegacyCipher::new(&[7; 16]).unwrap();
        let sealed = cipher.seal(TEXT, [3; 16]).unwrap();
        for length in 0..sealed.len() {
            assert!(cipher.open(&sealed[..length], 99).is_err(), "{length}");
        }
        assert_eq!(cipher.open("?", 99), Err(LegacyCipherError::Form));
    }
}
