//! Values that have a name where they are stored, for those who read them without the type of the event.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value_types::{ValueTypeError, note};

/// The member that has the name of the type.
pub(crate) const TYPE: &str = "_type_";
/// The member that has the data.
pub(crate) const DATA: &str = "_data_";

/// How values of one type are stored under a name: as `{"_type_":"email","_data_":"ann@example.org"}`.
///
/// A field of an event needs none of this: it is what serde makes of it, and the event's type says what that is. The named form
/// is for what is read without that type: [`Dynamic`](crate::Dynamic) values, and values that are exchanged with the Python
/// library `eventsourcing`, whose transcoder (version 9) writes this form. A value in a field is given it by [`Named`].
///
/// It is implemented on a type of your own that stands for the way of storing, so that values of other crates can have a name
/// too, or on the type of the values itself:
///
/// ```
/// use boxes_domain::{Named, ValueType};
///
/// #[derive(Debug, Clone, PartialEq)]
/// struct Email(String);
///
/// impl ValueType for Email {
///     const NAME: &'static str = "email";
///     type Value = Self;
///     type Data = String;
///
///     fn to_data(email: &Self) -> String {
///         email.0.clone()
///     }
///
///     fn from_data(data: String) -> Option<Self> {
///         data.contains('@').then_some(Self(data))
///     }
/// }
///
/// let email: Named<Email> = serde_json::from_str(r#"{"_type_":"email","_data_":"ann@example.org"}"#)?;
/// assert_eq!(email.0, Email("ann@example.org".into()));
/// assert!(serde_json::from_str::<Named<Email>>(r#"{"_type_":"email","_data_":"ann"}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub trait ValueType: 'static {
    /// The name: 1 to 100 ASCII letters, digits, dots, colons, hyphens and underscores. What is stored has it, so it stays.
    const NAME: &'static str;

    /// Names that it had before, and is read under.
    const ALIASES: &'static [&'static str] = &[];

    /// The values.
    type Value;

    /// What is stored of one, beside the name: anything that serde writes and reads. It may hold named values itself.
    type Data: Serialize + DeserializeOwned;

    /// What is stored of `value`.
    fn to_data(value: &Self::Value) -> Self::Data;

    /// The value that is stored as `data`; `None` if no value is.
    fn from_data(data: Self::Data) -> Option<Self::Value>;

    /// Whether what is stored under `name` is of this type.
    #[must_use]
    fn answers_to(name: &str) -> bool {
        name == Self::NAME || Self::ALIASES.contains(&name)
    }
}

/// A value that is stored under the name of its type, `V`. In memory it is the value alone.
///
/// It may stand anywhere in an event, and in other values: `Vec<Named<Email>>`, `BTreeMap<String, Option<Named<Email>>>`. A
/// field that is just a value can keep its own type, and is told in an attribute:
///
/// ```
/// # use boxes_domain::ValueType;
/// # #[derive(Debug, Clone, PartialEq)]
/// # struct Email(String);
/// # impl ValueType for Email {
/// #     const NAME: &'static str = "email";
/// #     type Value = Self;
/// #     type Data = String;
/// #     fn to_data(email: &Self) -> String { email.0.clone() }
/// #     fn from_data(data: String) -> Option<Self> { Some(Self(data)) }
/// # }
/// use boxes_domain::{Event, Named};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[event(topic = "crm.customer", crate = "boxes_domain")]
/// enum CustomerEvent {
///     Registered {
///         #[serde(with = "Named::<Email>")]
///         email: Email,
///         others: Vec<Named<Email>>,
///     },
/// }
///
/// let email = Email("ann@example.org".into());
/// let registered = CustomerEvent::Registered { email: email.clone(), others: vec![Named(email)] };
/// let named = r#"{"_type_":"email","_data_":"ann@example.org"}"#;
/// assert_eq!(
///     serde_json::to_string(&registered)?,
///     format!(r#"{{"Registered":{{"email":{named},"others":[{named}]}}}}"#)
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Where another type stands, or data that is none of this type's, it is not read, and the error of the event names the type.
/// Both members have to be there, in either order, and no other.
pub struct Named<V: ValueType>(
    /// The value.
    pub V::Value,
);

impl<V: ValueType> Named<V> {
    /// The value.
    pub fn into_inner(self) -> V::Value {
        self.0
    }

    /// Writes `value` under the name of its type: for `#[serde(with = "Named::<V>")]`.
    ///
    /// # Errors
    ///
    /// Those of `serializer`.
    pub fn serialize<S: Serializer>(value: &V::Value, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(TYPE, V::NAME)?;
        map.serialize_entry(DATA, &V::to_data(value))?;
        map.end()
    }

    /// Reads a value that stands under the name of its type: for `#[serde(with = "Named::<V>")]`.
    ///
    /// # Errors
    ///
    /// Those of `deserializer`, and if it is another type, or data that is none of this one's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_map(NamedVisitor::<V>(PhantomData))
    }
}

impl<V: ValueType> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(&self.0, serializer)
    }
}

impl<'de, V: ValueType> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer).map(Self)
    }
}

struct NamedVisitor<V>(PhantomData<V>);

impl<'de, V: ValueType> Visitor<'de> for NamedVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of the type `{}`", V::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        let (mut is_named, mut data) = (false, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                TYPE => {
                    let found: Cow<'_, str> = map.next_value()?;
                    if !V::answers_to(&found) {
                        return Err(refused(ValueTypeError::other(V::NAME, &found)));
                    }
                    is_named = true;
                }
                DATA => data = Some(map.next_value::<V::Data>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(refused(ValueTypeError::form(V::NAME)));
                }
            }
        }
        match data {
            Some(data) if is_named => {
                V::from_data(data).ok_or_else(|| refused(ValueTypeError::data(V::NAME)))
            }
            _ => Err(refused(ValueTypeError::form(V::NAME))),
        }
    }
}

fn refused<E: serde::de::Error>(error: ValueTypeError) -> E {
    let refused = E::custom(&error);
    note(error);
    refused
}

/// The schema of what is stored: the name is a constant of it.
impl<V: ValueType> JsonSchema for Named<V>
where
    V::Data: JsonSchema,
{
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        V::NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let data = generator.subschema_for::<V::Data>();
        json_schema!({
            "type": "object",
            "properties": { TYPE: { "const": V::NAME }, DATA: data },
            "required": [TYPE, DATA],
            "additionalProperties": false,
        })
    }
}

impl<V: ValueType> Deref for Named<V> {
    type Target = V::Value;

    fn deref(&self) -> &V::Value {
        &self.0
    }
}

impl<V: ValueType> DerefMut for Named<V> {
    fn deref_mut(&mut self) -> &mut V::Value {
        &mut self.0
    }
}

// Written out: derived ones would ask the same of `V`, which is the way of storing and no value.

impl<V: ValueType<Value: fmt::Debug>> fmt::Debug for Named<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<V: ValueType<Value: Clone>> Clone for Named<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: ValueType<Value: Copy>> Copy for Named<V> {}

impl<V: ValueType<Value: Default>> Default for Named<V> {
    fn default() -> Self {
        Self(V::Value::default())
    }
}

impl<V: ValueType<Value: PartialEq>> PartialEq for Named<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<V: ValueType<Value: Eq>> Eq for Named<V> {}

impl<V: ValueType<Value: PartialOrd>> PartialOrd for Named<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

impl<V: ValueType<Value: Ord>> Ord for Named<V> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<V: ValueType<Value: Hash>> Hash for Named<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use serde_json::json;

    struct Pair;

    impl ValueType for Pair {
        const NAME: &'static str = "pair";
        const ALIASES: &'static [&'static str] = &["tuple"];
        type Value = (u8, u8);
        type Data = [u8; 2];

        fn to_data(value: &(u8, u8)) -> [u8; 2] {
            [value.0, value.1]
        }

        fn from_data([a, b]: [u8; 2]) -> Option<(u8, u8)> {
            (a <= b).then_some((a, b))
        }
    }

    /// A set of whatever has a name itself.
    struct Set<V>(PhantomData<V>);

    impl<V: ValueType<Value: Ord + Clone>> ValueType for Set<V> {
        const NAME: &'static str = "set";
        type Value = BTreeSet<V::Value>;
        type Data = Vec<Named<V>>;

        fn to_data(value: &BTreeSet<V::Value>) -> Vec<Named<V>> {
            value.iter().cloned().map(Named).collect()
        }

        fn from_data(data: Vec<Named<V>>) -> Option<BTreeSet<V::Value>> {
            Some(data.into_iter().map(Named::into_inner).collect())
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Holder {
        #[serde(with = "Named::<Pair>")]
        plain: (u8, u8),
        nested: Vec<Option<Named<Set<Pair>>>>,
        id: String,
    }

    fn holder() -> Holder {
        Holder {
            plain: (1, 2),
            nested: vec![None, Some(Named([(1, 3), (0, 1)].into()))],
            id: "1".to_owned(),
        }
    }

    #[test]
    fn a_value_is_written_under_its_name_wherever_it_stands_and_others_are_not_touched() {
        let pair = |a, b| json!({ "_type_": "pair", "_data_": [a, b] });
        let written = serde_json::to_value(holder()).unwrap();
        assert_eq!(
            written,
            json!({
                "plain": pair(1, 2),
                "nested": [null, { "_type_": "set", "_data_": [pair(0, 1), pair(1, 3)] }],
                "id": "1",
            })
        );
        assert_eq!(serde_json::from_value::<Holder>(written).unwrap(), holder());
        assert_eq!(size_of::<Named<Pair>>(), size_of::<(u8, u8)>());
    }

    #[test]
    fn it_is_read_in_either_order_and_under_its_older_name() {
        for text in [
            r#"{"_data_":[1,2],"_type_":"pair"}"#,
            r#"{"_type_":"\u0074uple","_data_":[1,2]}"#,
        ] {
            assert_eq!(serde_json::from_str::<Named<Pair>>(text).unwrap().0, (1, 2));
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused() {
        for (text, said) in [
            (
                r#"{"_type_":"set","_data_":[1,2]}"#,
                "a `pair` is expected where a `set` stands",
            ),
            (
                r#"{"_type_":"pair","_data_":[2,1]}"#,
                "the data of a `pair` is none that the type takes",
            ),
            (r#"{"_type_":"pair"}"#, "a `pair` has the members"),
            (r#"{"_data_":[1,2]}"#, "a `pair` has the members"),
            (
                r#"{"_type_":"pair","_data_":[1,2],"x":1}"#,
                "a `pair` has the members",
            ),
            ("[1,2]", "expected a value of the type `pair`"),
        ] {
            let error = serde_json::from_str::<Named<Pair>>(text).unwrap_err();
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_schema_of_a_field_names_its_type() {
        let schema = schemars::schema_for!(Holder).to_value();
        assert_eq!(
            schema["properties"]["plain"]["properties"]["_type_"],
            json!({ "const": "pair" })
        );
    }
}
