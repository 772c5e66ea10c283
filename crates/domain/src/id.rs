//! Which aggregate.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// The namespace of the ids that [`Id::named`] makes.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2f3e_57b8_5d0a_9a53_0c6c_1d2e_8b47);

/// The identity of an aggregate of type `A`: a UUID that can't be mistaken for another aggregate's.
///
/// An id is made outside the domain (by the application, or from a name) and comes in, so that a command
/// can be repeated. It reads and prints as a hyphenated lower-case UUID, in JSON as a string.
///
/// ```
/// use boxes_domain::Id;
/// struct Product;
///
/// let chai = Id::<Product>::named("product/1");
/// assert_eq!(chai, Id::named("product/1"));
/// assert_eq!(chai, chai.to_string().parse()?);
/// assert_ne!(chai, Id::named("product/2"));
/// # Ok::<(), boxes_domain::ParseIdError>(())
/// ```
pub struct Id<A: ?Sized> {
    uuid: Uuid,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: ?Sized> Id<A> {
    /// The id that is this UUID.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            aggregate: PhantomData,
        }
    }

    /// The id that belongs to a name: the same name gives the same id, everywhere and always (UUID version 5).
    ///
    /// For things that have a name of their own already, such as a product's number in another system.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::new(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The UUID that it is.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The same identity in another role.
    ///
    /// An order and its reservation in another box may share one identity: `order_id.cast::<Reservation>()`.
    #[must_use]
    pub const fn cast<B: ?Sized>(self) -> Id<B> {
        Id::new(self.uuid)
    }
}

/// A text is not the id of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an id: expected a UUID such as 0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f")]
pub struct ParseIdError {
    text: String,
}

/// The most of an unreadable id that an error repeats, in characters.
const MAX_QUOTED: usize = 64;

impl<A: ?Sized> FromStr for Id<A> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Uuid::try_parse(text)
            .map(Self::new)
            .map_err(|_| ParseIdError {
                text: text.chars().take(MAX_QUOTED).collect(),
            })
    }
}

impl<A: ?Sized> fmt::Display for Id<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.hyphenated().fmt(f)
    }
}

impl<A: ?Sized> fmt::Debug for Id<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

// Written out, because a derive would ask the same of `A`.
impl<A: ?Sized> Clone for Id<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: ?Sized> Copy for Id<A> {}

impl<A: ?Sized> PartialEq for Id<A> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<A: ?Sized> Eq for Id<A> {}

impl<A: ?Sized> PartialOrd for Id<A> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<A: ?Sized> Ord for Id<A> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<A: ?Sized> Hash for Id<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<A: ?Sized> Serialize for Id<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}

impl<'de, A: ?Sized> Deserialize<'de> for Id<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::new)
    }
}

impl<A: ?Sized> JsonSchema for Id<A> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Order;

    #[test]
    fn an_id_reads_what_it_prints_in_text_and_json() {
        let id = Id::<Order>::named("order/10248");
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<Id<Order>>(&json).unwrap(), id);
    }

    #[test]
    fn a_text_that_is_no_id_is_named_in_the_error_but_not_at_full_length() {
        let long = "x".repeat(10_000);
        let error = long.parse::<Id<Order>>().unwrap_err().to_string();
        assert!(error.contains("xxx") && error.len() < 200, "{error}");
    }
}
