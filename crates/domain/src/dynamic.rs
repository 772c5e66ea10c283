//! A value of which no type says what it may hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

use crate::value_type::{DATA, TYPE};
use crate::value_types::check;
use crate::{ValueType, ValueTypeError};

/// A value of which no type says what it may hold: what JSON has a form for, and values of named types.
///
/// It is for what the program passes on without knowing it beforehand: attributes that users define, the whole state of
/// another system's event. Where the type is known, a field of it is better.
///
/// In an event it is written and read only if all names in it are known: those that the kit has, and those that the box
/// registers (`BoundedContext::value_type`). So what is found wrong is found where the event is read, and what a
/// box writes it can read again.
///
/// ```
/// use boxes_domain::{Dynamic, ValueType};
///
/// struct Percent;
///
/// impl ValueType for Percent {
///     const NAME: &'static str = "percent";
///     type Value = u8;
///     type Data = u8;
///
///     fn to_data(percent: &u8) -> u8 {
///         *percent
///     }
///
///     fn from_data(data: u8) -> Option<u8> {
///         (data <= 100).then_some(data)
///     }
/// }
///
/// let rebate = Dynamic::map([
///     ("reason", Dynamic::from("jubilee")),
///     ("rebate", Dynamic::named::<Percent>(&15)?),
/// ]);
/// let json = serde_json::to_string(&rebate)?;
/// assert_eq!(json, r#"{"reason":"jubilee","rebate":{"_type_":"percent","_data_":15}}"#);
///
/// let read: Dynamic = serde_json::from_str(&json)?;
/// let rebate = read.get("rebate").and_then(Dynamic::value::<Percent>);
/// assert_eq!(rebate, Some(15));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What JSON has no form for becomes what `serde_json` makes of it when it writes: bytes a list of numbers, a number that is
/// not finite null.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dynamic {
    /// Nothing.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// Values in an order.
    List(Vec<Self>),
    /// Values by their keys.
    Map(BTreeMap<String, Self>),
    /// A value of a named type.
    Named(NamedData),
}

/// A value of a named type, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedData {
    name: String,
    data: Box<Dynamic>,
}

impl NamedData {
    /// The name of the type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is stored beside the name.
    #[must_use]
    pub fn data(&self) -> &Dynamic {
        &self.data
    }

    /// The value, if it is one of `V`.
    #[must_use]
    pub fn value<V: ValueType>(&self) -> Option<V::Value> {
        if !V::answers_to(&self.name) {
            return None;
        }
        let data = serde_json::from_value(Value::from((*self.data).clone()));
        data.ok().and_then(V::from_data)
    }
}

impl Dynamic {
    /// A value of a named type.
    ///
    /// # Errors
    ///
    /// [`ValueTypeError::Data`] if its data has no form in JSON, as a map whose keys are no texts.
    pub fn named<V: ValueType>(value: &V::Value) -> Result<Self, ValueTypeError> {
        let data = serde_json::to_value(V::to_data(value));
        let data = data.map_err(|_| ValueTypeError::data(V::NAME))?;
        Ok(Self::Named(NamedData {
            name: V::NAME.to_owned(),
            data: Box::new(data.into()),
        }))
    }

    /// Values by their keys.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Map(entries.map(|(key, value)| (key.into(), value)).collect())
    }

    /// The value at this key, if it is a map that has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The values, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The value of the type `V`, if it is one.
    #[must_use]
    pub fn value<V: ValueType>(&self) -> Option<V::Value> {
        match self {
            Self::Named(named) => named.value::<V>(),
            _ => None,
        }
    }
}

impl From<&str> for Dynamic {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Dynamic {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Dynamic {
    fn from(is_so: bool) -> Self {
        Self::Bool(is_so)
    }
}

impl From<i64> for Dynamic {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Dynamic {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Vec<Self>> for Dynamic {
    fn from(values: Vec<Self>) -> Self {
        Self::List(values)
    }
}

/// Objects that have the form of a named value become one.
impl From<Value> for Dynamic {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is_so) => Self::Bool(is_so),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                of_entries(members.map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

/// A named value becomes an object of its name and its data.
impl From<Dynamic> for Value {
    fn from(value: Dynamic) -> Self {
        match value {
            Dynamic::Null => Self::Null,
            Dynamic::Bool(is_so) => Self::Bool(is_so),
            Dynamic::Number(number) => Self::Number(number),
            Dynamic::Text(text) => Self::String(text),
            Dynamic::List(values) => Self::Array(values.into_iter().map(Self::from).collect()),
            Dynamic::Map(entries) => {
                let entries = entries.into_iter();
                Self::Object(entries.map(|(key, value)| (key, value.into())).collect())
            }
            Dynamic::Named(NamedData { name, data }) => Self::Object(Map::from_iter([
                (TYPE.to_owned(), Self::String(name)),
                (DATA.to_owned(), (*data).into()),
            ])),
        }
    }
}

/// A named value if there are its two members and nothing else, otherwise a map.
fn of_entries(mut entries: BTreeMap<String, Dynamic>) -> Dynamic {
    if !is_like_named(&entries) {
        return Dynamic::Map(entries);
    }
    match (entries.remove(TYPE), entries.remove(DATA)) {
        (Some(Dynamic::Text(name)), Some(data)) => Dynamic::Named(NamedData {
            name,
            data: Box::new(data),
        }),
        // It is like that.
        _ => Dynamic::Map(entries),
    }
}

fn is_like_named(entries: &BTreeMap<String, Dynamic>) -> bool {
    entries.len() == 2
        && entries.contains_key(DATA)
        && matches!(entries.get(TYPE), Some(Dynamic::Text(_)))
}

impl Serialize for Dynamic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(is_so) => serializer.serialize_bool(*is_so),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) if is_like_named(entries) => {
                let error = ValueTypeError::Map;
                let refused = S::Error::custom(&error);
                crate::value_types::note(error);
                Err(refused)
            }
            Self::Map(entries) => serializer.collect_map(entries),
            Self::Named(NamedData { name, data }) => {
                check(name, || (**data).clone().into()).map_err(S::Error::custom)?;
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry(TYPE, name)?;
                map.serialize_entry(DATA, data)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Dynamic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DynamicVisitor)
    }
}

struct DynamicVisitor;

impl<'de> Visitor<'de> for DynamicVisitor {
    type Value = Dynamic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has a form for")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Dynamic, E> {
        Ok(Dynamic::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Dynamic, E> {
        Ok(Number::from_f64(value).map_or(Dynamic::Null, Dynamic::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Dynamic, E> {
        let numbers = value.iter().map(|byte| Dynamic::from(u64::from(*byte)));
        Ok(Dynamic::List(numbers.collect()))
    }

    fn visit_none<E>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::Null)
    }

    fn visit_unit<E>(self) -> Result<Dynamic, E> {
        Ok(Dynamic::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dynamic, D::Error> {
        Dynamic::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Dynamic, D::Error> {
        Dynamic::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dynamic, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Dynamic::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dynamic, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            entries.insert(key, value);
        }
        let value = of_entries(entries);
        if let Dynamic::Named(NamedData { name, data }) = &value {
            check(name, || (**data).clone().into()).map_err(A::Error::custom)?;
        }
        Ok(value)
    }
}

/// Any value, and how those of named types stand in it.
impl JsonSchema for Dynamic {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Dynamic".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "any value; in it, an object with the members `_type_` and `_data_` alone is a value of the type of that name",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ValueTypes, with_value_types};
    use serde_json::json;

    /// A list of whatever the box knows, so that values nest.
    struct Tuple;

    impl ValueType for Tuple {
        const NAME: &'static str = "tuple";
        type Value = Vec<Dynamic>;
        type Data = Vec<Dynamic>;

        fn to_data(value: &Vec<Dynamic>) -> Vec<Dynamic> {
            value.clone()
        }

        fn from_data(data: Vec<Dynamic>) -> Option<Vec<Dynamic>> {
            Some(data)
        }
    }

    fn types() -> ValueTypes {
        let mut types = ValueTypes::default();
        types.register::<Tuple>().unwrap();
        types
    }

    fn read(json: &Value) -> (Result<Dynamic, String>, Option<ValueTypeError>) {
        with_value_types(&types(), || {
            serde_json::from_str(&json.to_string()).map_err(|error| error.to_string())
        })
    }

    #[test]
    fn it_reads_what_it_writes_and_agrees_with_json() {
        let value = json!({
            "a": [null, true, -1, 1.5, u64::MAX, "x", {}],
            "t": { "_type_": "tuple", "_data_": [1, { "_data_": [], "_type_": "tuple" }] },
            "three": { "_type_": "x", "_data_": 1, "more": 2 },
            "no name": { "_type_": 7, "_data_": 1 },
        });
        let (read, wrong) = read(&value);
        let read = read.unwrap();
        assert_eq!(wrong, None);
        assert_eq!(read, Dynamic::from(value.clone()));
        assert_eq!(Value::from(read.clone()), value);
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
        let tuple = read.get("t").unwrap().value::<Tuple>().unwrap();
        assert_eq!(tuple[1].value::<Tuple>(), Some(vec![]));
        assert!(matches!(read.get("three"), Some(Dynamic::Map(_))));
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_wherever_it_stands_with_those_that_are() {
        let inner = json!({ "_type_": "other", "_data_": 1 });
        let outer = json!([{ "_type_": "tuple", "_data_": [inner] }]);
        let (result, wrong) = read(&outer);
        let error = result.unwrap_err();
        assert!(
            error.starts_with("a value of the type `other` is not known here; register")
                && error.contains("(known are: tuple)"),
            "{error}"
        );
        assert!(matches!(wrong, Some(ValueTypeError::Unknown { .. })));
        let written = with_value_types(&types(), || serde_json::to_string(&Dynamic::from(outer)));
        assert!(written.0.is_err() && written.1.is_some());
    }

    #[test]
    fn data_that_the_type_does_not_take_is_refused() {
        let (result, wrong) = read(&json!({ "_type_": "tuple", "_data_": "secret" }));
        let error = result.unwrap_err();
        assert!(error.starts_with("the data of a `tuple`"), "{error}");
        assert!(!error.contains("secret"));
        assert!(matches!(wrong, Some(ValueTypeError::Data { .. })));
    }

    #[test]
    fn a_map_that_would_be_read_as_a_named_value_is_not_written() {
        let map = Dynamic::map([("_type_", "tuple".into()), ("_data_", Dynamic::Null)]);
        let error = serde_json::to_string(&map).unwrap_err();
        assert!(error.to_string().contains("give it another key"), "{error}");
    }

    #[test]
    fn values_within_values_are_looked_at_once_for_each_depth() {
        let deep = (0..60).fold(
            json!(1),
            |inner, _| json!({ "_type_": "tuple", "_data_": [inner] }),
        );
        assert!(read(&deep).0.is_ok());
    }
}
