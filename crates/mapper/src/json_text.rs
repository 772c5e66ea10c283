//! Content of any format, as the text of JSON: what upcast steps begin with.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The content that `deserializer` has, as JSON.
///
/// What JSON has no form for becomes what `serde_json` makes of it when it writes: bytes an array of numbers, a key that
/// is a number or a truth value its text, a number that is not finite null. Numbers keep all digits, keys their order.
pub(crate) fn to_json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut text = String::new();
    JsonText(&mut text).deserialize(deserializer)?;
    Ok(text)
}

/// Writes a value behind the text that is there.
struct JsonText<'a>(&'a mut String);

/// The same for a key of an object.
struct Key<'a>(&'a mut String);

impl JsonText<'_> {
    fn display<E: Error>(self, value: impl fmt::Display) -> Result<(), E> {
        write!(self.0, "{value}").map_err(E::custom)
    }

    fn json<E: Error>(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        let json = serde_json::to_string(value).map_err(E::custom)?;
        self.0.push_str(&json);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has a form for")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.display(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.display(value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<(), E> {
        self.display(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.display(value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<(), E> {
        self.display(value)
    }

    fn visit_f32<E: Error>(self, value: f32) -> Result<(), E> {
        self.json(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.json(&value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.json(value)
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<(), E> {
        self.json(value)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.display("null")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.display("null")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push('[');
        let begin = self.0.len();
        loop {
            let end = self.0.len();
            if end > begin {
                self.0.push(',');
            }
            if seq.next_element_seed(JsonText(self.0))?.is_none() {
                self.0.truncate(end);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let begin = self.0.len();
        loop {
            let end = self.0.len();
            if end > begin {
                self.0.push(',');
            }
            if map.next_key_seed(Key(self.0))?.is_none() {
                self.0.truncate(end);
                break;
            }
            self.0.push(':');
            map.next_value_seed(JsonText(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let key = to_json_text(deserializer)?;
        match key.bytes().next() {
            Some(b'"') => self.0.push_str(&key),
            Some(b'[' | b'{' | b'n') | None => {
                return Err(D::Error::custom(format!("`{key}` is no key in JSON")));
            }
            Some(_) => {
                let text = serde_json::to_string(&key).map_err(D::Error::custom)?;
                self.0.push_str(&text);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(messagepack: &[u8]) -> Result<String, rmp_serde::decode::Error> {
        to_json_text(&mut rmp_serde::Deserializer::from_read_ref(messagepack))
    }

    #[test]
    fn what_json_has_no_form_for_becomes_what_serde_json_would_have_written() {
        // {"a": 7, 3: bytes [1, 2], true: [nil, -1, 1.5, NaN], "a": {}, "": [0.1 in 32 bits, []]}
        let messagepack = [
            &[
                0x85, 0xa1, b'a', 7, 3, 0xc4, 2, 1, 2, 0xc3, 0x94, 0xc0, 0xff,
            ][..],
            &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[
                0xa1, b'a', 0x80, 0xa0, 0x92, 0xca, 0x3d, 0xcc, 0xcc, 0xcd, 0x90,
            ],
        ]
        .concat();
        assert_eq!(
            text_of(&messagepack).unwrap(),
            r#"{"a":7,"3":[1,2],"true":[null,-1,1.5,null],"a":{},"":[0.1,[]]}"#
        );
    }

    #[test]
    fn a_key_that_is_no_text_in_json_is_refused() {
        // {[]: 1}
        let error = text_of(&[0x81, 0x90, 1]).unwrap_err();
        assert!(error.to_string().contains("no key in JSON"), "{error}");
    }
}
