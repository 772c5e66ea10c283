//! JSON as it is written: with all digits, in its order, also where a key comes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::fingerprint::MAX_DEPTH;

/// A value with its text, and what is within it.
///
/// `serde_json::Value` is what functions of users take. It has numbers of 64 bits, and neither the order of keys nor those that come
/// twice; features of `serde_json` that would change that change it for the whole program of a user. So the text is kept
/// beside it.
#[derive(Debug)]
pub(crate) struct JsonTree<'a> {
    text: &'a str,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    /// Null, a truth value, a text.
    Plain(Value),
    /// A text that is none in Unicode, as `"\ud800"`: its text in JSON takes its place.
    Odd,
    Number(Number),
    /// A number that no 64 bits hold.
    Inexact,
    List(Vec<JsonTree<'a>>),
    Map {
        /// The last one of each key, with the place at which the key came first.
        members: BTreeMap<String, (usize, JsonTree<'a>)>,
        /// How many there are, with those that come twice.
        n: usize,
    },
}

/// Which numbers stand in a `Value` for those that it can't hold. Each for one only, so that it is recognised wherever it is put.
#[derive(Debug, Default)]
pub(crate) struct Approximations<'a> {
    by_text: BTreeMap<&'a str, Number>,
    texts: BTreeMap<u64, &'a str>,
    odd: BTreeSet<&'a str>,
}

impl<'a> JsonTree<'a> {
    /// What is in `text`.
    ///
    /// # Errors
    ///
    /// If it is no JSON, or nested deeper than what is written.
    pub(crate) fn parse(text: &'a str) -> serde_json::Result<Self> {
        Self::at(serde_json::from_str(text)?, 0)
    }

    fn at(raw: &'a RawValue, depth: u8) -> serde_json::Result<Self> {
        let text = raw.get();
        let deeper = depth.saturating_add(1);
        if depth > MAX_DEPTH {
            return Err(serde_json::Error::custom("recursion limit exceeded"));
        }
        let content = match text.bytes().next() {
            Some(b'[') => {
                let values: Vec<&RawValue> = serde_json::from_str(text)?;
                let values = values.into_iter().map(|value| Self::at(value, deeper));
                Content::List(values.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let Members(found) = serde_json::from_str(text)?;
                let n = found.len();
                let mut members = BTreeMap::new();
                for (place, (key, value)) in found.into_iter().enumerate() {
                    let value = Self::at(value, deeper)?;
                    let key = text_of(key.get()).unwrap_or_else(|| key.get().to_owned());
                    let place = members.get(&key).map_or(place, |(first, _)| *first);
                    members.insert(key, (place, value));
                }
                Content::Map { members, n }
            }
            Some(b'"') => text_of(text).map_or(Content::Odd, |text| Content::Plain(text.into())),
            Some(b'-' | b'0'..=b'9') => {
                let number = serde_json::from_str::<Number>(text).ok();
                let number = number.filter(|number| is_exact(number, text));
                number.map_or(Content::Inexact, Content::Number)
            }
            _ => Content::Plain(serde_json::from_str(text)?),
        };
        Ok(Self { text, content })
    }

    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// What stands for the numbers in it that a `Value` can't hold.
    pub(crate) fn approximations(&self) -> Approximations<'a> {
        let mut found = Approximations::default();
        let mut taken = BTreeSet::new();
        self.collect(&mut found, &mut taken);
        let texts: Vec<&str> = found.by_text.keys().copied().collect();
        for text in texts {
            let nearest: f64 = text.parse().unwrap_or_default();
            let mut float = nearest.clamp(f64::MIN, f64::MAX);
            while !taken.insert(float.to_bits()) {
                // Towards zero, and through it: there are more than enough.
                float = if text.starts_with('-') {
                    float.next_up()
                } else {
                    float.next_down()
                };
            }
            if let Some(number) = Number::from_f64(float) {
                found.by_text.insert(text, number);
                found.texts.insert(float.to_bits(), text);
            }
        }
        found
    }

    fn collect(&self, found: &mut Approximations<'a>, taken: &mut BTreeSet<u64>) {
        match &self.content {
            Content::Plain(_) => {}
            Content::Odd => {
                found.odd.insert(self.text);
            }
            Content::Number(number) => {
                taken.extend(float_bits(number));
            }
            Content::Inexact => {
                found.by_text.insert(self.text, Number::from(0));
            }
            Content::List(values) => values.iter().for_each(|value| value.collect(found, taken)),
            Content::Map { members, .. } => {
                for (_, value) in members.values() {
                    value.collect(found, taken);
                }
            }
        }
    }

    /// As functions of users take it.
    pub(crate) fn to_value(&self, by: &Approximations<'_>) -> Value {
        match &self.content {
            Content::Plain(value) => value.clone(),
            Content::Odd => self.text.into(),
            Content::Number(number) => number.clone().into(),
            Content::Inexact => by.by_text.get(self.text).cloned().into(),
            Content::List(values) => values.iter().map(|value| value.to_value(by)).collect(),
            Content::Map { members, .. } => members
                .iter()
                .map(|(key, (_, value))| (key.clone(), value.to_value(by)))
                .collect(),
        }
    }

    /// Whether it is what [`to_value`](Self::to_value) made of this.
    pub(crate) fn is(&self, value: &Value, by: &Approximations<'_>) -> bool {
        match (&self.content, value) {
            (Content::Plain(own), value) => own == value,
            (Content::Odd, Value::String(value)) => value == self.text,
            (Content::Number(own), Value::Number(value)) => own == value,
            (Content::Inexact, Value::Number(value)) => by.by_text.get(self.text) == Some(value),
            (Content::List(own), Value::Array(values)) => {
                own.len() == values.len()
                    && own.iter().zip(values).all(|(own, value)| own.is(value, by))
            }
            (Content::Map { members: own, .. }, Value::Object(members)) => {
                own.len() == members.len()
                    && own.iter().zip(members).all(|((own, (_, value)), member)| {
                        own == member.0 && value.is(member.1, by)
                    })
            }
            _ => false,
        }
    }

    /// The element at this place, if it is a list that has one.
    pub(crate) fn element(&self, place: usize) -> Option<&Self> {
        match &self.content {
            Content::List(values) => values.get(place),
            _ => None,
        }
    }

    /// The member with this key, if it is a map that has one, and its place.
    pub(crate) fn member(&self, key: &str) -> Option<(usize, &Self)> {
        match &self.content {
            Content::Map { members, .. } => {
                let (place, value) = members.get(key)?;
                Some((*place, value))
            }
            _ => None,
        }
    }

    /// What is directly within it.
    pub(crate) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.content {
            Content::List(values) => Box::new(values.iter()),
            Content::Map { members, .. } => Box::new(members.values().map(|(_, value)| value)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether it holds nothing that a format of numbers of 64 bits, which knows no key twice, would not hold.
    pub(crate) fn is_plain(&self) -> bool {
        match &self.content {
            Content::Plain(_) | Content::Number(_) => true,
            Content::Odd | Content::Inexact => false,
            Content::List(values) => values.iter().all(Self::is_plain),
            Content::Map { members, n } => {
                *n == members.len() && members.values().all(|(_, value)| value.is_plain())
            }
        }
    }

    /// Whether another one says the same in the same order, however numbers and texts are written.
    pub(crate) fn says_the_same(&self, other: &JsonTree<'_>) -> bool {
        match (&self.content, &other.content) {
            (Content::Plain(own), Content::Plain(other)) => own == other,
            (Content::Number(own), Content::Number(other)) => own == other,
            (Content::List(own), Content::List(other)) => {
                own.len() == other.len() && own.iter().zip(other).all(|(a, b)| a.says_the_same(b))
            }
            (
                Content::Map { members: own, n },
                Content::Map {
                    members: other,
                    n: m,
                },
            ) => {
                n == m
                    && own.len() == other.len()
                    && own
                        .iter()
                        .zip(other)
                        .all(|((key, (place, a)), (of, (at, b)))| {
                            key == of && place == at && a.says_the_same(b)
                        })
            }
            _ => self.text == other.text,
        }
    }
}

/// As a value in any format, where it [is plain](JsonTree::is_plain).
impl Serialize for JsonTree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.content {
            Content::Plain(value) => value.serialize(serializer),
            Content::Number(number) => number.serialize(serializer),
            Content::Odd | Content::Inexact => Err(serde::ser::Error::custom("it is not plain")),
            Content::List(values) => serializer.collect_seq(values),
            Content::Map { members, .. } => {
                let mut in_order: Vec<_> = members.iter().collect();
                in_order.sort_by_key(|(_, (place, _))| *place);
                let mut map = serializer.serialize_map(Some(in_order.len()))?;
                for (key, (_, value)) in in_order {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'a> Approximations<'a> {
    /// The text of the number that this one stands for, if it stands for one.
    pub(crate) fn text_of_number(&self, number: &Number) -> Option<&'a str> {
        self.texts.get(&float_bits(number)?).copied()
    }

    /// Whether this stands for a text that is none in Unicode: it is what that is in JSON.
    pub(crate) fn is_odd(&self, text: &str) -> bool {
        self.odd.contains(text)
    }
}

fn float_bits(number: &Number) -> Option<u64> {
    (number.is_f64().then(|| number.as_f64())?).map(f64::to_bits)
}

fn text_of(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// Decimal digits that a float always keeps.
const SAFE_DIGITS: usize = 15;

/// Whether `number`, which was read from `text`, is that number.
fn is_exact(number: &Number, text: &str) -> bool {
    if !number.is_f64() {
        return true;
    }
    let (mantissa, _) = text.split_once(['e', 'E']).unwrap_or((text, ""));
    let digits = mantissa.replace(['-', '.'], "");
    let digits = digits.trim_matches('0');
    let is_normal = number.as_f64().is_some_and(f64::is_normal);
    digits.is_empty() || (is_normal && digits.len() <= SAFE_DIGITS) || number.to_string() == text
}

/// The members of an object in their order.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_exact_if_a_float_holds_all_its_digits() {
        for exact in [
            "0",
            "-0",
            "1.10",
            "1E5",
            "0.9999999999999999",
            "1e-320",
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000",
            "1e+22",
        ] {
            let number = serde_json::from_str(exact).unwrap();
            assert!(is_exact(&number, exact), "{exact}");
        }
        for inexact in [
            "18446744073709551616",
            "0.1000000000000000055",
            "9007199254740993.0",
            "1e-400",
        ] {
            let number = serde_json::from_str(inexact).unwrap();
            assert!(!is_exact(&number, inexact), "{inexact}");
        }
    }

    #[test]
    fn each_number_that_is_not_exact_has_one_of_its_own() {
        let max = u128::MAX;
        let text = format!(
            "[{max},{},3.4028236692093846e38,1e400,-1e400,1e401]",
            max - 1
        );
        let tree = JsonTree::parse(&text).unwrap();
        let by = tree.approximations();
        let value = tree.to_value(&by);
        assert!(tree.is(&value, &by));
        let numbers: BTreeSet<u64> = value
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap().to_bits())
            .collect();
        assert_eq!(numbers.len(), 6);
    }
}
