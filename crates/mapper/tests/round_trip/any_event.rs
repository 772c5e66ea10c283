//! Anything that serde may meet in an event.

use std::collections::{BTreeMap, HashMap, HashSet};

use boxes_domain::{Dynamic, Event, Large, LargeId, Personal};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes as `serde_bytes` writes and reads them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binary(pub(crate) Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Binary;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(bytes.to_vec()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Binary, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Binary(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// Raw JSON, equal by its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Raw(pub(crate) Box<RawValue>);

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

pub(crate) fn raw(text: &str) -> Raw {
    Raw(RawValue::from_string(text.to_owned()).unwrap())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inner {
    pub(crate) wide: u128,
    pub(crate) double: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub(crate) enum Tagged {
    Measured(Inner),
    Named { at: i128 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Colour {
    Red,
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Nothing;

/// Anything that serde may meet in an event.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.any", crate = "boxes_domain")]
pub(crate) enum Any {
    Unit,
    Double(f64),
    Single(f32),
    MaybeDouble {
        x: Option<f64>,
    },
    Doubles(Vec<Option<f32>>),
    Wide {
        signed: i128,
        unsigned: u128,
    },
    Narrow(i8, u64, i64),
    Char(char, String),
    Binary(Binary),
    ByNumber(BTreeMap<i64, bool>),
    ByWide(BTreeMap<u128, u8>),
    ByChar(BTreeMap<char, u8>),
    ByBool(BTreeMap<bool, u8>),
    ByUnit(BTreeMap<Colour, u8>),
    ByPair(BTreeMap<(u8, u8), u8>),
    ByOption(BTreeMap<Option<u8>, u8>),
    Hashed(HashMap<String, HashSet<u32>>),
    Deep(Option<Option<u8>>),
    Deeper {
        x: Option<Option<Option<bool>>>,
    },
    MaybeUnit(Option<()>),
    MaybeNothing {
        nothing: Option<Nothing>,
        list: Vec<Option<()>>,
    },
    MaybeValue(Option<Value>),
    Value(Value),
    Dynamic(Dynamic),
    Raw {
        raw: Raw,
        maybe: Option<Raw>,
    },
    Flat {
        #[serde(flatten)]
        inner: Inner,
        more: u8,
    },
    FlatByNumber {
        #[serde(flatten)]
        by_number: BTreeMap<u32, u8>,
    },
    Untagged(Untagged),
    Tagged(Vec<Tagged>),
    Personal(Personal<f64>),
    PersonalMap {
        of: Personal<HashMap<String, Option<Inner>>>,
        n: u8,
    },
    Large(Vec<Large>),
    Forgetful {
        kept: u8,
        #[serde(skip)]
        lost: u8,
    },
    Lost {
        #[serde(skip_deserializing)]
        lost: u8,
    },
    Missing {
        #[serde(skip_serializing)]
        missing: u8,
    },
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "_type_",
        "_data_",
        "$personal",
        "$large",
        "subject",
        "value",
    ];
    prop_oneof![
        any::<String>(),
        prop::sample::select(known.to_vec()).prop_map(str::to_owned)
    ]
}

fn inner() -> impl Strategy<Value = Inner> {
    (any::<u128>(), any_double()).prop_map(|(wide, double)| Inner { wide, double })
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.0..1.0f64,
        Just(f64::NAN),
        Just(f64::INFINITY),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    prop_oneof![
        any::<i64>().prop_map(Untagged::Int),
        any_double().prop_map(Untagged::Float),
        any::<String>().prop_map(Untagged::Text),
        any::<Vec<u8>>().prop_map(Untagged::Bytes),
    ]
}

fn large() -> impl Strategy<Value = Large> {
    prop_oneof![
        any::<Vec<u8>>().prop_map(Large::inline),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(id, n)| Large::apart(LargeId::new(id), n)),
    ]
}

fn personal<T: DeserializeOwned + Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Personal<T>> {
    (any::<bool>(), "[a-z]{1,9}", value).prop_map(|(is_known, subject, value)| match is_known {
        true => Personal::of(subject, value),
        false => Personal::Forgotten,
    })
}

pub(crate) fn anything() -> impl Strategy<Value = Any> {
    let numbers = prop_oneof![
        any_double().prop_map(Any::Double),
        any::<u32>().prop_map(|bits| Any::Single(f32::from_bits(bits))),
        prop::option::of(any_double()).prop_map(|x| Any::MaybeDouble { x }),
        any::<Vec<Option<f32>>>().prop_map(Any::Doubles),
        any::<(i128, u128)>().prop_map(|(signed, unsigned)| Any::Wide { signed, unsigned }),
        any::<(i8, u64, i64)>().prop_map(|(a, b, c)| Any::Narrow(a, b, c)),
    ];
    let keyed = prop_oneof![
        any::<BTreeMap<i64, bool>>().prop_map(Any::ByNumber),
        any::<BTreeMap<u128, u8>>().prop_map(Any::ByWide),
        any::<BTreeMap<char, u8>>().prop_map(Any::ByChar),
        any::<BTreeMap<(u8, u8), u8>>().prop_map(Any::ByPair),
        any::<BTreeMap<Option<u8>, u8>>().prop_map(Any::ByOption),
        any::<BTreeMap<u32, u8>>().prop_map(|by_number| Any::FlatByNumber { by_number }),
        any::<HashMap<String, HashSet<u32>>>().prop_map(Any::Hashed),
        any::<Option<String>>().prop_map(|name| {
            Any::ByUnit([(name.map_or(Colour::Red, Colour::Other), 1)].into())
        }),
    ];
    let options = prop_oneof![
        any::<Option<Option<u8>>>().prop_map(Any::Deep),
        any::<Option<Option<Option<bool>>>>().prop_map(|x| Any::Deeper { x }),
        any::<Option<()>>().prop_map(Any::MaybeUnit),
        any::<(bool, Vec<Option<()>>)>().prop_map(|(is_there, list)| Any::MaybeNothing {
            nothing: is_there.then_some(Nothing),
            list,
        }),
        prop::option::of(value()).prop_map(Any::MaybeValue),
    ];
    let open = prop_oneof![
        value().prop_map(Any::Value),
        value().prop_map(|value| Any::Dynamic(value.into())),
        (value(), prop::option::of(value())).prop_map(|(one, maybe)| Any::Raw {
            raw: raw(&one.to_string()),
            maybe: maybe.map(|value| raw(&format!("{value:#}"))),
        }),
        (inner(), any::<u8>()).prop_map(|(inner, more)| Any::Flat { inner, more }),
        untagged().prop_map(Any::Untagged),
        prop::collection::vec(inner().prop_map(Tagged::Measured), 0..3).prop_map(Any::Tagged),
        any::<i128>().prop_map(|at| Any::Tagged(vec![Tagged::Named { at }])),
    ];
    let parts = prop_oneof![
        personal(any_double()).prop_map(Any::Personal),
        personal(prop::collection::hash_map(
            any::<String>(),
            prop::option::of(inner()),
            0..9
        ))
        .prop_map(|of| Any::PersonalMap { of, n: 1 }),
        prop::collection::vec(large(), 0..3).prop_map(Any::Large),
        any::<(char, String)>().prop_map(|(c, text)| Any::Char(c, text)),
        any::<Vec<u8>>().prop_map(|bytes| Any::Binary(Binary(bytes))),
    ];
    prop_oneof![numbers, keyed, options, open, parts]
}
