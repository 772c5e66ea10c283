//! What an event says about a person, which may be forgotten.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The member under which a sealed part stands in the state of an event.
const SEALED: &str = "$personal";

/// Whom a [`Personal`] part is about: a name of yours for the person, such as the id of the customer.
///
/// Take one that says nothing by itself. It has 1 to 200 bytes, which is checked where its key is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Into<String>> From<S> for Subject {
    fn from(name: S) -> Self {
        Self(name.into())
    }
}

/// A part of an event that is about a person, and is forgotten with the person.
///
/// Where the event is stored and published this part is encrypted with a key of its subject's own, and stands there as
/// `{"$personal":"…"}` between the others, which stay as they are. When the subject is forgotten its key is deleted: from then
/// on the part is [`Forgotten`](Self::Forgotten) wherever it is read, in the store, in pages that were fetched long ago, in
/// the boxes that follow. The log stays as it was, and is replayed as before.
///
/// ```
/// use boxes_domain::{Aggregate, Event, Personal};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, Serialize, Deserialize)]
/// #[event(topic = "crm.customer", crate = "boxes_domain")]
/// enum CustomerEvent {
///     Registered { name: Personal<String>, country: String },
/// }
///
/// #[derive(Default, Clone)]
/// struct Customer {
///     name: Personal<String>,
/// }
///
/// impl Aggregate for Customer {
///     type Event = CustomerEvent;
///
///     fn apply(&mut self, CustomerEvent::Registered { name, .. }: &CustomerEvent) {
///         self.name = name.clone();
///     }
/// }
///
/// impl Customer {
///     fn letter(&self) -> String {
///         let name = self.name.known().map_or("customer", String::as_str);
///         format!("Dear {name}")
///     }
/// }
///
/// let name = Personal::of("customer-7", "Maria Anders".to_owned());
/// let mut customer = Customer::default();
/// customer.apply(&CustomerEvent::Registered { name, country: "DE".into() });
/// assert_eq!(customer.letter(), "Dear Maria Anders");
///
/// customer.apply(&CustomerEvent::Registered { name: Personal::Forgotten, country: "DE".into() });
/// assert_eq!(customer.letter(), "Dear customer");
/// ```
///
/// It is written nowhere but in events: to give it out, in the answer of a route, give out what is
/// [`known`](Self::known). It is read from events, and where `{"subject":…,"value":…}` stands for it: that is what an
/// [`Upcast`](crate::Upcast) makes of older events that have it in the clear. (Those themselves stay as they are.)
///
/// Its debug output shows neither subject nor value.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum Personal<T> {
    /// It is known.
    Known {
        /// Whom it is about.
        subject: Subject,
        /// What it says.
        value: T,
    },
    /// It was said, and is forgotten; or nothing was said yet, in the state before the first event.
    #[default]
    Forgotten,
    /// It is passed on unread, where events are published in another form: there nobody needs to know it, and what is made
    /// of an event must not depend on who is forgotten meanwhile. Policies and aggregates never meet it.
    Sealed(Sealed),
}

/// A part as it stands in the event.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed(String);

impl<T> Personal<T> {
    /// What is said about a subject.
    pub fn of(subject: impl Into<Subject>, value: T) -> Self {
        Self::Known {
            subject: subject.into(),
            value,
        }
    }

    /// What it says, unless it is forgotten, or passed on unread.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Forgotten | Self::Sealed(_) => None,
        }
    }

    /// Whom it is about, if it is known: that is forgotten with it.
    #[must_use]
    pub const fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Known { subject, .. } => Some(subject),
            Self::Forgotten | Self::Sealed(_) => None,
        }
    }

    /// Whether it is forgotten.
    #[must_use]
    pub const fn is_forgotten(&self) -> bool {
        matches!(self, Self::Forgotten)
    }

    /// The same about the same subject, in another form. What is passed on unread has no other form: it is left out, as if
    /// it were forgotten.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Personal<U> {
        match self {
            Self::Known { subject, value } => Personal::Known {
                subject,
                value: change(value),
            },
            Self::Forgotten | Self::Sealed(_) => Personal::Forgotten,
        }
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known { .. } => "Known(…)",
            Self::Forgotten => "Forgotten",
            Self::Sealed(_) => "Sealed(…)",
        })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// What became of a part that was sealed.
#[derive(Clone)]
pub enum Opened {
    /// It is known: whom it is about, and what it says.
    Known(Subject, Box<RawValue>),
    /// It is forgotten.
    Forgotten,
    /// It is passed on as it is.
    Unread,
}

// Written out: it shows neither subject nor value.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(..) => "Known(…)",
            Self::Forgotten => "Forgotten",
            Self::Unread => "Unread",
        })
    }
}

/// How personal parts are sealed where an event is written, and opened where it is read: for the mapper, which has the keys.
pub trait PersonalSeal {
    /// The sealed form of a part, whose value is given as JSON, or `None` to leave it out, as if it were forgotten.
    ///
    /// # Errors
    ///
    /// In a sentence, which becomes that of the serializer.
    fn seal(&self, subject: &Subject, value: &RawValue) -> Result<Option<String>, String>;

    /// What became of the part that was sealed.
    ///
    /// # Errors
    ///
    /// In a sentence, which becomes that of the deserializer.
    fn open(&self, sealed: &str) -> Result<Opened, String>;

    /// Whether parts that are passed on unread may be written: only where they stay within their event.
    fn passes_on(&self) -> bool {
        false
    }

    /// Whether parts are written as they are, with subject and value: only where nobody keeps it.
    fn shows(&self) -> bool {
        false
    }
}

thread_local! {
    static SEAL: RefCell<Option<Rc<dyn PersonalSeal>>> = const { RefCell::new(None) };
}

/// Does `work`, in which personal parts are written and read by `seal`.
///
/// Serde has no way to hand something to the types that it writes, so it stands beside them for as long as the work takes,
/// on this thread: `work` is synchronous.
pub fn sealed_by<R>(seal: Rc<dyn PersonalSeal>, work: impl FnOnce() -> R) -> R {
    /// Puts back what was there, also when `work` panics.
    struct Before(Option<Rc<dyn PersonalSeal>>);

    impl Drop for Before {
        fn drop(&mut self) {
            SEAL.set(self.0.take());
        }
    }

    let _before = Before(SEAL.replace(Some(seal)));
    work()
}

fn current_seal() -> Option<Rc<dyn PersonalSeal>> {
    SEAL.with_borrow(Option::clone)
}

const OUTSIDE: &str =
    "what is personal is written and read in events alone: give out what is `known()` of it";

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seal = current_seal().ok_or_else(|| S::Error::custom(OUTSIDE))?;
        let sealed = match self {
            Self::Known { subject, value } if seal.shows() => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("subject", subject)?;
                map.serialize_entry("value", value)?;
                return map.end();
            }
            Self::Known { subject, value } => {
                let value = serde_json::value::to_raw_value(value).map_err(S::Error::custom)?;
                seal.seal(subject, &value).map_err(S::Error::custom)?
            }
            Self::Forgotten => None,
            Self::Sealed(Sealed(sealed)) if seal.passes_on() => Some(sealed.clone()),
            Self::Sealed(_) => return Err(S::Error::custom(OUTSIDE)),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(SEALED, &sealed)?;
        map.end()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PersonalVisitor(PhantomData))
    }
}

/// The schema of what is stored, whatever it says.
impl<T> JsonSchema for Personal<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Personal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "encrypted with a key of the person that it is about; null if it was forgotten when this was written",
            "properties": { SEALED: { "type": ["string", "null"] } },
            "required": [SEALED],
        })
    }
}

struct PersonalVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for PersonalVisitor<T> {
    type Value = Personal<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a personal part: `{{\"{SEALED}\":…}}`, or `{{\"subject\":…,\"value\":…}}`"
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Personal<T>, A::Error> {
        let mut sealed: Option<Option<String>> = None;
        let (mut subject, mut value) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                SEALED => sealed = Some(map.next_value()?),
                "subject" => subject = Some(map.next_value()?),
                "value" => value = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (sealed, subject, value) {
            (None, Some(subject), Some(value)) => Ok(Personal::Known { subject, value }),
            (Some(None), ..) => Ok(Personal::Forgotten),
            (Some(Some(sealed)), ..) => {
                let seal = current_seal().ok_or_else(|| A::Error::custom(OUTSIDE))?;
                let opened = seal.open(&sealed).map_err(A::Error::custom)?;
                match opened {
                    Opened::Known(subject, value) => {
                        let value = serde_json::from_str(value.get()).map_err(A::Error::custom)?;
                        Ok(Personal::Known { subject, value })
                    }
                    Opened::Forgotten => Ok(Personal::Forgotten),
                    Opened::Unread => Ok(Personal::Sealed(Sealed(sealed))),
                }
            }
            _ => Err(A::Error::custom(
                "neither a sealed part nor subject and value",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Seals by writing in the clear, and forgets one subject.
    struct Clear;

    impl PersonalSeal for Clear {
        fn seal(&self, subject: &Subject, value: &RawValue) -> Result<Option<String>, String> {
            Ok(Some(serde_json::to_string(&(subject, value)).unwrap()))
        }

        fn open(&self, sealed: &str) -> Result<Opened, String> {
            let (subject, value): (Subject, Box<RawValue>) =
                serde_json::from_str(sealed).map_err(|error| error.to_string())?;
            Ok(match subject.as_str() {
                "gone" => Opened::Forgotten,
                _ => Opened::Known(subject, value),
            })
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        lines: Vec<Line>,
        note: Option<Personal<String>>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        n: u8,
        engraving: Personal<Vec<String>>,
    }

    fn order(subject: &str) -> Order {
        let engraving = Personal::of(subject, vec!["To".to_owned(), "Ann".to_owned()]);
        Order {
            lines: vec![Line { n: 1, engraving }],
            note: Some(Personal::of("other", "ring twice".to_owned())),
        }
    }

    #[test]
    fn parts_are_sealed_wherever_they_are_and_come_back() {
        let written = sealed_by(Rc::new(Clear), || {
            serde_json::to_value(order("ann")).unwrap()
        });
        assert_eq!(
            written["lines"][0],
            json!({ "n": 1, "engraving": { "$personal": r#"["ann",["To","Ann"]]"# } })
        );
        let read: Order = sealed_by(Rc::new(Clear), || serde_json::from_value(written).unwrap());
        assert_eq!(read, order("ann"));
    }

    #[test]
    fn what_is_forgotten_is_so_beside_what_is_known_and_stays_so() {
        let again = |order: &Order| -> Order {
            sealed_by(Rc::new(Clear), || {
                serde_json::from_value(serde_json::to_value(order).unwrap()).unwrap()
            })
        };
        let read = again(&order("gone"));
        assert!(read.lines[0].engraving.is_forgotten());
        assert_eq!(read.note, order("").note);
        assert_eq!(again(&read), read);
    }

    #[test]
    fn it_is_written_nowhere_else() {
        let error = serde_json::to_string(&order("ann"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("known()") && !error.contains("Ann"),
            "{error}"
        );
        let sealed = r#"{"$personal":"[\"ann\",1]"}"#;
        assert!(serde_json::from_str::<Personal<u8>>(sealed).is_err());
        let inside = sealed_by(Rc::new(Clear), || {
            serde_json::to_string(&Personal::of("a", 1))
        });
        assert!(inside.is_ok() && serde_json::to_string(&Personal::of("a", 1)).is_err());
    }

    #[test]
    fn an_upcast_may_say_it_in_the_clear() {
        let part: Personal<u8> =
            serde_json::from_value(json!({ "value": 7, "subject": "ann" })).unwrap();
        assert_eq!(part, Personal::of("ann", 7));
        assert!(serde_json::from_value::<Personal<u8>>(json!({ "value": 7 })).is_err());
        assert!(serde_json::from_value::<Personal<u8>>(json!("ann")).is_err());
    }

    #[test]
    fn its_schema_is_that_of_what_is_stored() {
        #[derive(crate::Event, Clone, Serialize, Deserialize, JsonSchema)]
        #[event(topic = "t.e", crate = "crate")]
        enum E {
            Named { name: Personal<String> },
        }
        let schemas = <E as crate::Event>::state_schemas().unwrap();
        assert_eq!(
            schemas[0]["properties"]["name"]["properties"],
            json!({ "$personal": { "type": ["string", "null"] } })
        );
    }

    #[test]
    fn its_debug_output_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", order("ann").note), "Some(Known(…))");
    }
}
