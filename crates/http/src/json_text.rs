//! JSON, written by hand into one buffer.
//!
//! A page is mostly bytes that are JSON already; building a tree of it to print it again would cost more than
//! everything else that a page costs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

/// A buffer that JSON is written into, member by member.
#[derive(Debug, Default)]
pub(crate) struct JsonText {
    bytes: Vec<u8>,
}

impl JsonText {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Text that is JSON as it is: punctuation, names of members, `true`.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.bytes.extend_from_slice(json.as_bytes());
        self
    }

    /// Bytes that are JSON as they are.
    pub(crate) fn embed(&mut self, json: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(json);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    pub(crate) fn uuid(&mut self, uuid: Uuid) -> &mut Self {
        let mut buffer = Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut buffer);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(text.as_bytes());
        self.raw("\"")
    }

    /// A string, with what JSON does not allow in one escaped (RFC 8259, 7).
    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.raw("\"");
        let mut rest = text;
        while let Some(place) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(place);
            self.raw(plain);
            let mut chars = special.chars();
            match chars.next() {
                Some(c @ ('"' | '\\')) => {
                    self.raw(if c == '"' { "\\\"" } else { "\\\\" });
                }
                Some(c) => {
                    self.raw(&format!("\\u{:04x}", u32::from(c)));
                }
                None => {}
            }
            rest = chars.as_str();
        }
        self.raw(rest).raw("\"")
    }

    /// A string of standard padded base64.
    pub(crate) fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw("\"");
        let start = self.bytes.len();
        let length = bytes.len().div_ceil(3) * 4;
        self.bytes.resize(start + length, b'=');
        if let Some(place) = self.bytes.get_mut(start..) {
            // It can't fail: the place has the length that padded base64 has.
            let written = STANDARD.encode_slice(bytes, place);
            debug_assert_eq!(written, Ok(length));
        }
        self.raw("\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut JsonText)) -> String {
        let mut json = JsonText::default();
        write(&mut json);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    proptest! {
        #[test]
        fn any_string_reads_back_as_it_was(text in "[\\x00-\\x22a\\\\\\x7f-\\u{a0}\\u{2028}😀]*") {
            let json = written(|json| { json.string(&text); });
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            prop_assert!(!json.contains('\n'));
        }

        #[test]
        fn any_bytes_read_back_as_they_were(bytes: Vec<u8>) {
            let json = written(|json| { json.base64(&bytes); });
            let text = serde_json::from_str::<String>(&json).unwrap();
            prop_assert_eq!(STANDARD.decode(text).unwrap(), bytes);
        }
    }
}
