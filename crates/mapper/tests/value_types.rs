//! Values of named types stand in events of every format, and those that nobody knows are refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::error::Error;

use boxes_domain::{Dynamic, Event, Named, ValueType, ValueTypeError, ValueTypes};
use boxes_mapper::{
    DateAsIso, DatetimeAsIso, Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError,
    UuidAsHex,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Two UUIDs, as a tuple is written by a transcoding that the Python library's documentation has.
struct Pair;

impl ValueType for Pair {
    const NAME: &'static str = "tuple_as_list";
    type Value = (Uuid, Uuid);
    type Data = [Named<UuidAsHex>; 2];

    fn to_data(value: &(Uuid, Uuid)) -> Self::Data {
        [Named(value.0), Named(value.1)]
    }

    fn from_data([a, b]: Self::Data) -> Option<(Uuid, Uuid)> {
        Some((a.0, b.0))
    }
}

struct Pairs;

impl ValueType for Pairs {
    const NAME: &'static str = "set_as_list";
    type Value = BTreeSet<(Uuid, Uuid)>;
    type Data = Vec<Named<Pair>>;

    fn to_data(value: &BTreeSet<(Uuid, Uuid)>) -> Self::Data {
        value.iter().copied().map(Named).collect()
    }

    fn from_data(data: Self::Data) -> Option<BTreeSet<(Uuid, Uuid)>> {
        Some(data.into_iter().map(Named::into_inner).collect())
    }
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.thing", crate = "boxes_domain")]
enum Thing {
    Typed {
        #[serde(with = "Named::<UuidAsHex>")]
        id: Uuid,
        friends: Named<Pairs>,
        day: Option<Named<DateAsIso>>,
        plain: Uuid,
    },
    Anything {
        attributes: Dynamic,
    },
    #[event(version = 2, upcast(std::convert::identity))]
    Either(Price),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Price {
    Named(Named<DatetimeAsIso>),
    Plain(Value),
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn typed() -> Thing {
    Thing::Typed {
        id: id(1),
        friends: Named([(id(2), id(3)), (id(4), id(5))].into()),
        day: Some(Named(Date::constant(2026, 1, 2))),
        plain: id(6),
    }
}

fn anything(attributes: Value) -> Thing {
    let attributes = attributes.into();
    Thing::Anything { attributes }
}

fn knowing_pairs() -> Mapper {
    let mut types = ValueTypes::default();
    types.register::<Pair>().unwrap();
    types.register::<Pairs>().unwrap();
    Mapper::default().with_value_types(&types).unwrap()
}

/// The state as JSON.
fn stored(mapper: &Mapper, thing: &Thing) -> Value {
    let stored = mapper.to_stored(thing, &Envelope::default()).unwrap();
    serde_json::from_slice(&mapper.read_json(&stored).unwrap()).unwrap()
}

#[test]
fn values_are_written_by_name_in_fields_and_in_what_has_no_type_and_read_back_in_every_format() {
    let hex = |n| json!({ "_type_": "uuid_hex", "_data_": id(n).simple().to_string() });
    let pair = |a, b| json!({ "_type_": "tuple_as_list", "_data_": [hex(a), hex(b)] });
    let state = json!({
        "id": hex(1),
        "friends": { "_type_": "set_as_list", "_data_": [pair(2, 3), pair(4, 5)] },
        "day": { "_type_": "date_iso", "_data_": "2026-01-02" },
        "plain": id(6),
    });
    let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
    let json = knowing_pairs();
    for mapper in [
        json.clone(),
        json.clone().message_pack(),
        json.message_pack()
            .compressed()
            .encrypted(Encryption::all(keys)),
    ] {
        assert_eq!(stored(&mapper, &typed()), state);
        assert_eq!(
            stored(&mapper, &anything(state.clone())),
            json!({ "attributes": state })
        );
        for thing in [typed(), anything(state.clone())] {
            let stored = mapper.to_stored(&thing, &Envelope::default()).unwrap();
            assert_eq!(mapper.to_event(&stored).unwrap(), Some(thing));
        }
    }
    let Thing::Anything { attributes } = anything(state) else {
        unreachable!()
    };
    let friends = attributes.get("friends").unwrap().value::<Pairs>();
    assert_eq!(friends.unwrap().len(), 2);
}

#[test]
fn a_type_that_nobody_registered_is_refused_by_name_with_its_topic_when_written_and_when_read() {
    for (mapper, foreign) in [
        (Mapper::default(), knowing_pairs()),
        (
            Mapper::default().message_pack(),
            knowing_pairs().message_pack(),
        ),
    ] {
        let pair = json!({ "_type_": "tuple_as_list", "_data_": [] });
        let thing = anything(json!([{ "deep": pair }]));
        let written = mapper.to_stored(&thing, &Envelope::default()).unwrap_err();
        let thing = anything(json!({ "_type_": "set_as_list", "_data_": [] }));
        let stored = foreign.to_stored(&thing, &Envelope::default());
        let read = mapper.to_event::<Thing>(&stored.unwrap()).unwrap_err();
        for (error, name) in [(written, "tuple_as_list"), (read, "set_as_list")] {
            assert!(error.to_string().contains("`t.thing.anything`"), "{error}");
            let source = error.source().unwrap().to_string();
            assert!(
                source.contains(&format!("`{name}` is not known"))
                    && source.contains("BoundedContext::value_type")
                    && source.contains("date_iso, datetime_iso"),
                "{source}"
            );
        }
    }
}

#[test]
fn another_type_in_a_field_and_data_that_is_none_are_refused_without_their_data() {
    let mapper = knowing_pairs();
    let read = |id: Value| {
        let mut stored = mapper.to_stored(&typed(), &Envelope::default()).unwrap();
        let mut state: Value = serde_json::from_slice(&stored.state).unwrap();
        state["id"] = id;
        stored.state = state.to_string().into();
        match mapper.to_event::<Thing>(&stored).unwrap_err() {
            MapperError::ValueType { source, .. } => source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        read(json!({ "_type_": "decimal", "_data_": "secret" })),
        ValueTypeError::Other {
            expected: "uuid_hex",
            found: "decimal".into()
        }
    );
    assert_eq!(
        read(json!({ "_type_": "uuid_hex", "_data_": "secret" })),
        ValueTypeError::Data {
            name: "uuid_hex".into()
        }
    );
}

#[test]
fn what_is_wrong_with_one_way_to_read_it_does_not_matter_where_another_one_fits() {
    let mapper = Mapper::default();
    let old = json!({ "_type_": "datetime_iso", "_data_": "yesterday" });
    for price in [
        Price::Named(Named("2026-01-02T03:04:05Z".parse().unwrap())),
        Price::Plain(old),
    ] {
        let stored = mapper
            .to_stored(&Thing::Either(price.clone()), &Envelope::default())
            .unwrap();
        assert_eq!(
            mapper.to_event(&stored).unwrap(),
            Some(Thing::Either(price))
        );
    }
}

#[test]
fn a_type_of_the_user_takes_the_place_of_one_that_the_kit_has_and_not_of_another_of_the_user() {
    macro_rules! number_named_date {
        ($type:ident) => {
            struct $type;

            impl ValueType for $type {
                const NAME: &'static str = "date_iso";
                type Value = u32;
                type Data = u32;

                fn to_data(value: &u32) -> u32 {
                    *value
                }

                fn from_data(data: u32) -> Option<u32> {
                    Some(data)
                }
            }
        };
    }
    number_named_date!(Mine);
    number_named_date!(Yours);
    let mut mine = ValueTypes::default();
    mine.register::<Mine>().unwrap();
    let mapper = Mapper::default().with_value_types(&mine).unwrap();
    let day = json!({ "_type_": "date_iso", "_data_": 7 });
    assert!(
        mapper
            .to_stored(&anything(day.clone()), &Envelope::default())
            .is_ok()
    );
    assert!(
        Mapper::default()
            .to_stored(&anything(day), &Envelope::default())
            .is_err()
    );

    let mut yours = ValueTypes::default();
    yours.register::<Yours>().unwrap();
    assert!(matches!(
        mapper.with_value_types(&yours),
        Err(ValueTypeError::Duplicate {
            name: "date_iso",
            ..
        })
    ));
}
