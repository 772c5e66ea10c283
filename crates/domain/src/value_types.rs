//! Which types of named values are known.

use std::any::{TypeId, type_name};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::ValueType;

/// How much of a name that was found is shown.
const MAX_SHOWN: usize = 100;

/// The types of named values that are known, by name: for [`Dynamic`](crate::Dynamic) values, of which nothing else says what
/// they may hold. What stands in a field of its own type ([`Named`](crate::Named)) needs none.
///
/// Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub struct ValueTypes {
    by_name: Arc<BTreeMap<&'static str, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: TypeId,
    /// Of the Rust type.
    rust_name: &'static str,
    /// Whether another type may take its name.
    is_replaceable: bool,
    /// Whether it is data of the type.
    takes: fn(Value) -> bool,
}

/// What is wrong with a named value, or with its type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueTypeError {
    /// Nobody knows what it is: register the type, or leave the value out.
    #[error(
        "a value of the type `{name}` is not known here; register a type of this name with `BoundedContext::value_type` (known are: {known})"
    )]
    Unknown {
        /// The name.
        name: String,
        /// Those that are known.
        known: String,
    },
    /// It is a value of another type than what reads it.
    #[error("a `{expected}` is expected where a `{found}` stands")]
    Other {
        /// The name of the type that should be there.
        expected: &'static str,
        /// The name that is there.
        found: String,
    },
    /// Its data is not what the type takes. It is not shown: errors are logged, and what events say is not.
    #[error("the data of a `{name}` is none that the type takes")]
    Data {
        /// The name of the type.
        name: String,
    },
    /// It has not the form of a named value.
    #[error("a `{name}` has the members `_type_` and `_data_`, and no others")]
    Form {
        /// The name of the type.
        name: &'static str,
    },
    /// A map can't be told from a named value: give it another key.
    #[error(
        "a map with the keys `_type_` and `_data_` alone would be read as a value of a named type: give it another key, or make it a named value"
    )]
    Map,
    /// Two types claim one name: give one of them another, and an alias for what is stored already.
    #[error(
        "the value type `{name}` is claimed twice: by `{first}` and by `{second}`: give one of them another NAME"
    )]
    Duplicate {
        /// The name, or alias.
        name: &'static str,
        /// The type that was registered first.
        first: &'static str,
        /// The one that claims it too.
        second: &'static str,
    },
    /// The name can't be used.
    #[error(
        "`{name}` can't be the name of a value type: it has 1 to 100 ASCII letters, digits, dots, colons, hyphens and underscores"
    )]
    Name {
        /// The name.
        name: &'static str,
    },
}

impl ValueTypeError {
    pub(crate) fn other(expected: &'static str, found: &str) -> Self {
        Self::Other {
            expected,
            found: shown(found),
        }
    }

    pub(crate) fn data(name: &str) -> Self {
        Self::Data { name: shown(name) }
    }

    pub(crate) const fn form(name: &'static str) -> Self {
        Self::Form { name }
    }
}

/// A name as it is shown, which may be anything.
fn shown(name: &str) -> String {
    name.chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}

impl ValueTypes {
    /// Adds a type under its name and aliases. Adding it again changes nothing; it takes the place of a
    /// [replaceable](Self::register_replaceable) one.
    ///
    /// # Errors
    ///
    /// [`ValueTypeError::Duplicate`] if another one has the name or an alias, [`ValueTypeError::Name`] if one can't be used:
    /// nothing is added then.
    pub fn register<V: ValueType>(&mut self) -> Result<(), ValueTypeError> {
        self.add::<V>(false)
    }

    /// The same for a type that makes room for another one of the same name: for those that are there without being asked for.
    ///
    /// # Errors
    ///
    /// Those of [`register`](Self::register).
    pub fn register_replaceable<V: ValueType>(&mut self) -> Result<(), ValueTypeError> {
        self.add::<V>(true)
    }

    fn add<V: ValueType>(&mut self, is_replaceable: bool) -> Result<(), ValueTypeError> {
        let new = Known {
            id: TypeId::of::<V>(),
            rust_name: type_name::<V>(),
            is_replaceable,
            takes: takes::<V>,
        };
        let mut by_name = BTreeMap::clone(&self.by_name);
        for &name in std::iter::once(&V::NAME).chain(V::ALIASES) {
            if !is_name(name) {
                return Err(ValueTypeError::Name { name });
            }
            insert(&mut by_name, name, new)?;
        }
        self.by_name = Arc::new(by_name);
        Ok(())
    }

    /// Adds all of `others`.
    ///
    /// # Errors
    ///
    /// [`ValueTypeError::Duplicate`] if two of them have one name: nothing is added then.
    pub fn include(&mut self, others: &Self) -> Result<(), ValueTypeError> {
        let mut by_name = BTreeMap::clone(&self.by_name);
        for (&name, &new) in &*others.by_name {
            insert(&mut by_name, name, new)?;
        }
        self.by_name = Arc::new(by_name);
        Ok(())
    }

    /// The names, in their order, with the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// Whether a type has this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    fn check(&self, name: &str, data: impl FnOnce() -> Value) -> Result<(), ValueTypeError> {
        let Some(known) = self.by_name.get(name) else {
            let known: Vec<_> = self.names().collect();
            return Err(ValueTypeError::Unknown {
                name: shown(name),
                known: match known.as_slice() {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                },
            });
        };
        if (known.takes)(data()) {
            Ok(())
        } else {
            Err(ValueTypeError::data(name))
        }
    }
}

fn insert(
    by_name: &mut BTreeMap<&'static str, Known>,
    name: &'static str,
    new: Known,
) -> Result<(), ValueTypeError> {
    match by_name.insert(name, new) {
        Some(first) if first.id != new.id && !first.is_replaceable => {
            Err(ValueTypeError::Duplicate {
                name,
                first: first.rust_name,
                second: new.rust_name,
            })
        }
        _ => Ok(()),
    }
}

fn takes<V: ValueType>(data: Value) -> bool {
    serde_json::from_value(data).is_ok_and(|data| V::from_data(data).is_some())
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".:-_".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(fits)
}

/// What is known while an event is written or read, and what was wrong.
struct Scope {
    types: ValueTypes,
    /// Boxed, because there is seldom one, and every event has a scope.
    error: Option<Box<ValueTypeError>>,
}

thread_local! {
    /// Serde hands nothing to the types that it writes and reads, so it stands beside them.
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Puts back what was there before, also after a panic.
struct Before(Option<Scope>);

impl Drop for Before {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

/// Does `work`, in which [`Dynamic`](crate::Dynamic) values are written and read only if `types` knows what they hold, and
/// tells what was wrong last with a named value, if anything was: that is the reason if `work` fails. On this thread: `work`
/// is synchronous. Outside of it all names are taken as they are.
pub fn with_value_types<T>(
    types: &ValueTypes,
    work: impl FnOnce() -> T,
) -> (T, Option<ValueTypeError>) {
    let scope = Scope {
        types: types.clone(),
        error: None,
    };
    let before = Before(SCOPE.replace(Some(scope)));
    let done = work();
    let scope = SCOPE.take();
    drop(before);
    let error = scope.and_then(|scope| scope.error);
    (done, error.map(|error| *error))
}

/// Remembers what is wrong, for who asked.
pub(crate) fn note(error: ValueTypeError) {
    SCOPE.with_borrow_mut(|scope| {
        if let Some(scope) = scope {
            scope.error = Some(Box::new(error));
        }
    });
}

/// Holds a named value against what is known here.
pub(crate) fn check(name: &str, data: impl FnOnce() -> Value) -> Result<(), ValueTypeError> {
    // Taken out meanwhile: values within the data have been looked at already, and looking again at each depth would take a
    // time that doubles with it.
    let Some(scope) = SCOPE.take() else {
        return Ok(());
    };
    let checked = scope.types.check(name, data);
    SCOPE.set(Some(scope));
    checked.inspect_err(|error| note(error.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! text_type {
        ($type:ident, $name:literal, $aliases:expr) => {
            struct $type;

            impl ValueType for $type {
                const NAME: &'static str = $name;
                const ALIASES: &'static [&'static str] = $aliases;
                type Value = String;
                type Data = String;

                fn to_data(value: &String) -> String {
                    value.clone()
                }

                fn from_data(data: String) -> Option<String> {
                    Some(data)
                }
            }
        };
    }

    text_type!(Email, "email", &["mail"]);
    text_type!(Mail, "mail", &[]);
    text_type!(Wrong, "e mail", &[]);

    #[test]
    fn two_types_do_not_share_a_name_and_aliases_count() {
        let mut types = ValueTypes::default();
        types.register::<Email>().unwrap();
        types.register::<Email>().unwrap();
        let error = types.register::<Mail>().unwrap_err().to_string();
        assert!(
            error.starts_with("the value type `mail` is claimed twice: by `")
                && error.contains("Email` and by `")
                && error.contains("Mail`: "),
            "{error}"
        );
        assert!(types.names().eq(["email", "mail"]));
        assert_eq!(
            types.register::<Wrong>(),
            Err(ValueTypeError::Name { name: "e mail" })
        );
    }

    #[test]
    fn a_type_that_is_there_unasked_makes_room_for_another_and_not_the_other_way_round() {
        let mut types = ValueTypes::default();
        types.register_replaceable::<Mail>().unwrap();
        types.register::<Email>().unwrap();
        assert!(matches!(
            types.register_replaceable::<Mail>(),
            Err(ValueTypeError::Duplicate { .. })
        ));
    }

    #[test]
    fn what_is_known_ends_with_the_work_and_also_when_that_panics() {
        let mut types = ValueTypes::default();
        types.register::<Email>().unwrap();
        let outer = with_value_types(&types, || {
            let inner = with_value_types(&ValueTypes::default(), || check("email", || "a".into()));
            assert!(inner.0.is_err() && inner.1.is_some());
            let panicked = std::panic::catch_unwind(|| {
                with_value_types(&ValueTypes::default(), || panic!("in the work"))
            });
            assert!(panicked.is_err());
            check("email", || "a".into())
        });
        assert_eq!(outer, (Ok(()), None));
        assert_eq!(check("other", || Value::Null), Ok(()));
    }
}
