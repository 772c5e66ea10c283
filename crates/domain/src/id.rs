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

use crate::{Aggregate, Event};

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
    /// For things that already have a name, such as a product's number in another system. The kind of aggregate is not
    /// part of it: two kinds that use the same name get the same id, and only one of them can be created in a box. Use
    /// [`of_kind`](Self::of_kind) for new ids.
    ///
    /// It is a hash without a key: who sees the id and guesses the name, such as an e-mail address, knows that the guess is right, and
    /// the id stays when a person is forgotten. For such names take `NamedIds` of the mapper, which has a key, or random ids.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::new(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The id that belongs to a name among the aggregates of this kind: the same kind and name give the same id, everywhere
    /// and always, and another kind gives another id.
    ///
    /// The kind is the [`KIND`](Event::KIND) of the aggregate's events, usually the topic on the enum. (UUID version 5,
    /// in a namespace that is the UUID version 5 of the kind.) A name that can be guessed is confirmed by the id, as with
    /// [`named`](Self::named).
    ///
    /// ```
    /// # use boxes_domain::{Aggregate, Event, Id};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Clone, Serialize, Deserialize)]
    /// # #[event(topic = "shop.product", crate = "boxes_domain")]
    /// # enum ProductEvent { Added }
    /// # #[derive(Default, Clone)] struct Product;
    /// # impl Aggregate for Product { type Event = ProductEvent; fn apply(&mut self, _: &ProductEvent) {} }
    /// assert_eq!(Id::<Product>::of_kind("1"), Id::of_kind("1"));
    /// assert_ne!(Id::<Product>::of_kind("1"), Id::named("1"));
    /// ```
    #[must_use]
    pub fn of_kind(name: &str) -> Self
    where
        A: Aggregate,
    {
        let kind = Uuid::new_v5(&NAMESPACE, A::Event::KIND.as_bytes());
        Self::new(Uuid::new_v5(&kind, name.as_bytes()))
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

    macro_rules! kind {
        ($aggregate:ident, $event:ident, $topic:literal) => {
            #[derive(Event, Clone, Serialize, Deserialize)]
            #[event(topic = $topic, crate = "crate")]
            enum $event {
                Begun,
            }

            #[derive(Default, Clone)]
            struct $aggregate;

            impl Aggregate for $aggregate {
                type Event = $event;
                fn apply(&mut self, _: &$event) {}
            }
        };
    }
    kind!(Cat, CatEvent, "zoo.cat");
    kind!(Dog, DogEvent, "zoo.dog");

    /// Stored ids depend on these bytes.
    #[test]
    fn the_ids_of_names_stay_as_they_are_and_those_of_kinds_differ_by_kind() {
        let named = "1cb63782-1628-5c50-b981-7424697ffe35";
        assert_eq!(Id::<Cat>::named("tom").to_string(), named);
        assert_eq!(Id::<Dog>::named("tom").to_string(), named);
        let (cat, dog) = (Id::<Cat>::of_kind("tom"), Id::<Dog>::of_kind("tom"));
        assert_eq!(cat.to_string(), "46d17e97-990c-5fc3-a617-434971b76fba");
        assert_ne!(cat.uuid(), dog.uuid());
        assert_ne!(cat, Id::named("tom"));
    }

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
