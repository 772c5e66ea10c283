//! Content of any format, as JSON: what upcast steps get.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value as JSON has it, out of any format that describes itself.
///
/// What JSON has no form for becomes what `serde_json` makes of it when it writes: bytes an array of numbers, a key that
/// is a number or a truth value its text, a number that is not finite null.
#[derive(Debug)]
pub(crate) struct AnyValue(pub(crate) Value);

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has a form for")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        let number = Number::from_i128(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom(format!("the number {value} is too large")))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        let number = Number::from_u128(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom(format!("the number {value} is too large")))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(AnyValue(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let AnyValue(value) = map.next_value()?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

/// A key of a map, as the text that JSON has for it.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        match AnyValue::deserialize(deserializer)?.0 {
            Value::String(key) => Ok(key),
            Value::Number(key) => Ok(key.to_string()),
            Value::Bool(key) => Ok(key.to_string()),
            other => Err(D::Error::custom(format!("`{other}` is no key in JSON"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_json_has_no_form_for_becomes_what_serde_json_would_have_written() {
        // {"a": 7, 3: bytes [1, 2], true: [nil, -1, 1.5, NaN]}
        let messagepack = [
            &[
                0x83, 0xa1, b'a', 7, 3, 0xc4, 2, 1, 2, 0xc3, 0x94, 0xc0, 0xff,
            ][..],
            &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let AnyValue(value) = rmp_serde::from_slice(&messagepack).unwrap();
        assert_eq!(
            value,
            json!({ "a": 7, "3": [1, 2], "true": [null, -1, 1.5, null] })
        );
    }

    #[test]
    fn a_key_that_is_no_text_in_json_is_refused() {
        // {[]: 1}
        let error = rmp_serde::from_slice::<AnyValue>(&[0x81, 0x90, 1]).unwrap_err();
        assert!(error.to_string().contains("no key in JSON"), "{error}");
    }
}
