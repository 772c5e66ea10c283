//! The keys that sign seals, and those that check them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::digest::{bytes_of_hex, write_hex};

/// A text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealKeyError {
    /// Not one that signs.
    #[error(
        "expected a private Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` prints it"
    )]
    Signing,
    /// Not one that checks signatures.
    #[error(
        "expected a public Ed25519 key: 64 hexadecimal digits, or PEM as `openssl pkey -pubout` prints it"
    )]
    Verifying,
}

/// A key that signs seals (Ed25519, RFC 8032). It is never printed.
///
/// Keep it away from the database whose log it signs: whoever has both can change the log and seal it again.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads what `openssl genpkey -algorithm ed25519` prints (PKCS#8 in PEM, RFC 8410).
    ///
    /// # Errors
    ///
    /// [`SealKeyError::Signing`] for anything else. The text is not repeated.
    pub fn from_pem(text: &str) -> Result<Self, SealKeyError> {
        let der = Zeroizing::new(pem(text, "PRIVATE KEY").ok_or(SealKeyError::Signing)?);
        // OpenSSL leaves the public key out, so there is nothing to hold it against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        pair.map(Self).map_err(|_| SealKeyError::Signing)
    }

    /// The one that checks what this one signs.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut key = [0; 32];
        // A public key has 32 bytes.
        for (byte, of_key) in key.iter_mut().zip(self.0.public_key().as_ref()) {
            *byte = *of_key;
        }
        VerifyingKey(key)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        for (byte, of_signature) in signature.iter_mut().zip(self.0.sign(message).as_ref()) {
            *byte = *of_signature;
        }
        Signature(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key())
    }
}

/// A key that checks signatures. As text it is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifyingKey([u8; 32]);

/// What stands before the 32 bytes of an Ed25519 key in a public key in DER (RFC 8410, 4).
const PUBLIC_KEY_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl VerifyingKey {
    /// As `openssl pkey -pubout` prints it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&PUBLIC_KEY_PREFIX[..], &self.0].concat();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    pub(crate) fn accepts(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, &signature.0)
            .is_ok()
    }
}

impl FromStr for VerifyingKey {
    type Err = SealKeyError;

    /// Reads hexadecimal digits, or PEM.
    fn from_str(text: &str) -> Result<Self, SealKeyError> {
        let of_pem = || {
            let der = pem(text, "PUBLIC KEY")?;
            der.strip_prefix(&PUBLIC_KEY_PREFIX)?.try_into().ok()
        };
        bytes_of_hex(text.trim())
            .or_else(of_pem)
            .map(Self)
            .ok_or(SealKeyError::Verifying)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 signature. As text it is 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature([u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = bytes_of_hex(&text);
        bytes
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected 128 hexadecimal digits"))
    }
}

/// The bytes in the first PEM block of this kind (RFC 7468).
fn pem(text: &str, kind: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {kind}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(body.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{OTHER_KEY, SIGNING_KEY};

    #[test]
    fn keys_are_those_of_openssl() {
        let key = SigningKey::from_pem(SIGNING_KEY).unwrap().verifying_key();
        assert_eq!(
            key.to_string(),
            "8cbc24c3f6b223a82ad040682455f2f5397306df3c016de57aa9d470c949c4dc"
        );
        assert_eq!(key.to_pem().parse(), Ok(key));
        assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let public = SigningKey::from_pem(SIGNING_KEY)
            .unwrap()
            .verifying_key()
            .to_pem();
        for text in ["", "secret", &public, &SIGNING_KEY.replace("MC4", "MC5")] {
            let error = SigningKey::from_pem(text).unwrap_err();
            assert_eq!(error, SealKeyError::Signing);
            assert!(!error.to_string().contains("secret"));
        }
        for text in ["", "12", SIGNING_KEY] {
            assert_eq!(text.parse::<VerifyingKey>(), Err(SealKeyError::Verifying));
        }
    }

    #[test]
    fn a_key_accepts_what_its_own_other_half_signed_and_nothing_else() {
        let key = SigningKey::from_pem(SIGNING_KEY).unwrap();
        let signature = key.sign(b"page");
        assert!(key.verifying_key().accepts(b"page", &signature));
        assert!(!key.verifying_key().accepts(b"pages", &signature));
        let other = SigningKey::from_pem(OTHER_KEY).unwrap().verifying_key();
        assert!(!other.accepts(b"page", &signature));
        assert!(!format!("{key:?}").contains("MC4"));
    }
}
