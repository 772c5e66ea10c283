//! A SHA-256.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A SHA-256. As text it is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 64 hexadecimal digits")]
pub struct ParseDigestError;

impl Digest {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        bytes_of_hex(text).map(Self).ok_or(ParseDigestError)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The bytes that exactly `2 * N` hexadecimal digits say; capitals are read as well.
pub(crate) fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        // `from_str_radix` would also take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// What is hashed or signed, part by part, so that no two lists of parts give the same bytes.
///
/// It begins with a label that says what it is, and a zero byte. Numbers are big-endian and of fixed length;
/// bytes of any length have their length before them, in eight bytes.
pub(crate) struct Parts<W>(W);

/// Where parts go.
pub(crate) trait Sink {
    fn take(&mut self, bytes: &[u8]);
}

impl Sink for Context {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for Vec<u8> {
    fn take(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Parts<Context> {
    pub(crate) fn hashed(label: &str) -> Self {
        Self(Context::new(&SHA256)).begin(label)
    }

    pub(crate) fn digest(self) -> Digest {
        let mut bytes = [0; 32];
        // SHA-256 gives 32 bytes.
        for (byte, of_hash) in bytes.iter_mut().zip(self.0.finish().as_ref()) {
            *byte = *of_hash;
        }
        Digest(bytes)
    }
}

impl Parts<Vec<u8>> {
    pub(crate) fn collected(label: &str) -> Self {
        Self(Vec::new()).begin(label)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl<W: Sink> Parts<W> {
    fn begin(mut self, label: &str) -> Self {
        self.0.take(label.as_bytes());
        self.0.take(&[0]);
        self
    }

    /// Bytes whose length is fixed.
    pub(crate) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.take(bytes);
        self
    }

    /// Bytes of any length.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        // There is no memory that u64 can't count.
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.take(&length.to_be_bytes());
        self.0.take(bytes);
        self
    }

    pub(crate) fn u32(self, number: u32) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    pub(crate) fn u64(self, number: u64) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    pub(crate) fn i64(self, number: i64) -> Self {
        self.fixed(&number.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_what_it_prints_and_nothing_else() {
        let digest = Parts::hashed("a").bytes(b"b").digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let text = digest.to_string();
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replacen(|_: char| true, "g", 1),
            &format!("+{}", &text[1..]),
        ] {
            assert_eq!(wrong.parse::<Digest>(), Err(ParseDigestError), "{wrong}");
        }
    }

    #[test]
    fn parts_are_told_from_each_other() {
        let of = |a: &[u8], b: &[u8]| Parts::hashed("x").bytes(a).bytes(b).digest();
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
        assert_ne!(of(b"", b"a"), of(b"a", b""));
        assert_ne!(
            Parts::hashed("x").digest(),
            Parts::hashed("y").digest(),
            "labels count"
        );
    }
}
