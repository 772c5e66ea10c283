//! Values whose members have names in JSON.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A `T` that is read from JSON as axum does, but for one thing: where `T` is a struct, an array is refused.
///
/// serde takes `[…]` for a struct as well, member by member in the order of the declaration: a client that sends one
/// means something else, and a member that is moved would change what it means.
#[derive(Debug)]
pub(crate) struct ByName<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(Objects(deserializer)).map(Self)
    }
}

/// Gives a struct only what has names, and all else what it asks for.
struct Objects<D>(D);

macro_rules! forward {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
        deserialize_unit deserialize_seq deserialize_map deserialize_identifier deserialize_ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Place {
        product: u32,
        note: Option<String>,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Wrapped(Place);

    #[derive(Deserialize, Debug, PartialEq)]
    enum Command {
        Pay { method: String },
        Cancel,
    }

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
        let read: Result<ByName<T>, _> = serde_json::from_str(text);
        read.ok().map(|ByName(value)| value)
    }

    #[test]
    fn a_struct_is_read_from_an_object_alone_and_all_else_as_ever() {
        let place = || Place {
            product: 7,
            note: None,
        };
        let object = r#"{"product": 7}"#;
        assert_eq!(read(object), Some(place()));
        assert_eq!(read(object), Some(Wrapped(place())));
        assert_eq!(read::<Place>("[7, null]"), None);
        assert_eq!(read::<Wrapped>("[7, null]"), None);
        assert_eq!(read("[7, 8]"), Some(vec![7, 8]));
        assert_eq!(read("[7, 8]"), Some((7, 8)));
        assert_eq!(read("[7]"), Some(serde_json::json!([7])));
        assert_eq!(read::<Option<Value>>("null"), Some(None));
        assert_eq!(read(r#""Cancel""#), Some(Command::Cancel));
        let method = "card".to_owned();
        assert_eq!(
            read(r#"{"Pay": {"method": "card"}}"#),
            Some(Command::Pay { method })
        );
    }
}
