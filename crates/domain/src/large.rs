//! A value that is too large to stand in an event.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A value of an event that may be large, such as a picture: bytes.
///
/// A small one stands in the event; a large one is stored apart, once for all events that have it, and the event names it by
/// the SHA-256 of its content. Which it is, the application decides where it takes the content in (`App::keep`), and it gives
/// the content out again (`App::value`); in the domain it is a value like any other, to be compared and handed on.
///
/// In JSON it is `{"$inline":"…"}` with base64, or `{"$large":{"sha256":"…","size":12345}}`.
///
/// ```
/// use boxes_domain::{Event, Large};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[event(topic = "shop.product", crate = "boxes_domain")]
/// enum ProductEvent {
///     Pictured { picture: Large },
/// }
///
/// let pictured = ProductEvent::Pictured { picture: Large::inline(*b"GIF89a") };
/// assert_eq!(
///     serde_json::to_string(&pictured)?,
///     r#"{"Pictured":{"picture":{"$inline":"R0lGODlh"}}}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Large(Content);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Content {
    Here(Arc<[u8]>),
    Apart(LargeId, u64),
}

impl Large {
    /// A value that stands in the event itself.
    #[must_use]
    pub fn inline(content: impl Into<Arc<[u8]>>) -> Self {
        Self(Content::Here(content.into()))
    }

    /// A value of `size` bytes that is stored apart under this id. It has to be there before the event is recorded.
    #[must_use]
    pub const fn apart(id: LargeId, size: u64) -> Self {
        Self(Content::Apart(id, size))
    }

    /// The content, if it stands in the event.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        match &self.0 {
            Content::Here(content) => Some(content),
            Content::Apart(..) => None,
        }
    }

    /// The id under which it is stored apart, if it is.
    #[must_use]
    pub const fn id(&self) -> Option<LargeId> {
        match &self.0 {
            Content::Here(_) => None,
            Content::Apart(id, _) => Some(*id),
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.0 {
            Content::Here(content) => u64::try_from(content.len()).unwrap_or(u64::MAX),
            Content::Apart(_, size) => *size,
        }
    }
}

/// Written out: content is never logged.
impl fmt::Debug for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut large = f.debug_struct("Large");
        if let Some(id) = self.id() {
            large.field("id", &id);
        }
        large.field("size", &self.size()).finish_non_exhaustive()
    }
}

/// The SHA-256 of a value's content, by which it is found. As text it is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeId([u8; 32]);

/// A text is no id of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a SHA-256: 64 lower-case hexadecimal digits")]
pub struct ParseLargeIdError;

impl LargeId {
    /// The id with these bytes.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LargeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LargeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LargeId {
    type Err = ParseLargeIdError;

    fn from_str(text: &str) -> Result<Self, ParseLargeIdError> {
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(ParseLargeIdError);
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ParseLargeIdError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseLargeIdError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for LargeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LargeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
enum Document {
    #[serde(rename = "$inline")]
    Here(String),
    #[serde(rename = "$large")]
    Apart { sha256: LargeId, size: u64 },
}

thread_local! {
    /// The ids that were written, while somebody wants to know them. Serde hands nothing to the types that it writes.
    static WRITTEN: RefCell<Option<Vec<LargeId>>> = const { RefCell::new(None) };
}

/// Does `work`, and gives the ids of all values apart that it wrote, in their order: for those who write events and note
/// which values they need.
pub fn large_ids_of<T>(work: impl FnOnce() -> T) -> (T, Vec<LargeId>) {
    let before = WRITTEN.replace(Some(Vec::new()));
    let done = work();
    let written = WRITTEN.replace(before);
    (done, written.unwrap_or_default())
}

impl Serialize for Large {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let document = match &self.0 {
            Content::Here(content) => Document::Here(STANDARD.encode(content)),
            Content::Apart(sha256, size) => {
                WRITTEN.with_borrow_mut(|written| {
                    if let Some(written) = written {
                        written.push(*sha256);
                    }
                });
                Document::Apart {
                    sha256: *sha256,
                    size: *size,
                }
            }
        };
        document.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Large {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Document::deserialize(deserializer)? {
            Document::Apart { sha256, size } => Self::apart(sha256, size),
            Document::Here(text) => {
                let content = STANDARD.decode(text.as_bytes());
                Self::inline(content.map_err(|_| D::Error::custom("`$inline` is not base64"))?)
            }
        })
    }
}

impl JsonSchema for Large {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Large".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "bytes: a small value in base64, a large one stored apart under its SHA-256",
            "properties": {
                "$inline": { "type": "string", "contentEncoding": "base64" },
                "$large": {
                    "type": "object",
                    "properties": {
                        "sha256": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
                        "size": { "type": "integer", "minimum": 0 },
                    },
                    "required": ["sha256", "size"],
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LargeId = LargeId::new([0xab; 32]);

    #[test]
    fn it_reads_what_it_writes() {
        for large in [
            Large::inline(*b""),
            Large::inline([0, 255]),
            Large::apart(ID, u64::MAX),
        ] {
            let json = serde_json::to_string(&large).unwrap();
            assert_eq!(serde_json::from_str::<Large>(&json).unwrap(), large);
        }
        for wrong in [
            r#"{"$inline":"*"}"#,
            r#"{"$large":{"sha256":"AB","size":1}}"#,
            r#"{"$other":1}"#,
            "7",
        ] {
            assert!(serde_json::from_str::<Large>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_reads_what_it_prints_and_nothing_else() {
        assert_eq!(ID.to_string().parse(), Ok(ID));
        for wrong in ["", &ID.to_string()[1..], &ID.to_string().to_uppercase()] {
            assert_eq!(wrong.parse::<LargeId>(), Err(ParseLargeIdError));
        }
    }

    #[test]
    fn the_values_apart_that_were_written_are_told_to_who_asked() {
        let write = || {
            let values = [Large::inline(*b"a"), Large::apart(ID, 1)];
            serde_json::to_string(&values).unwrap()
        };
        let (_, ids) = large_ids_of(|| {
            let (_, inner) = large_ids_of(write);
            assert_eq!(inner, [ID]);
            write();
            write()
        });
        assert_eq!(ids, [ID, ID]);
        assert_eq!(large_ids_of(|| ()).1, []);
    }
}
