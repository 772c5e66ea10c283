//! What a mapper writes it reads back as what it was; what it could not read back it refuses on write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod any_event;

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::sync::Arc;

use boxes_domain::{Dynamic, Event, Personal, Subject};
use boxes_mapper::{
    Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError, SubjectKey, SubjectKeyId,
    SubjectKeyring,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use any_event::{Any, Colour, Inner, Tagged, anything, raw};

/// One key for all subjects.
#[derive(Debug)]
struct OneKey;

impl SubjectKeyring for OneKey {
    fn of_subject(&self, _: &Subject) -> Option<(SubjectKeyId, Key)> {
        Some((SubjectKeyId(Uuid::from_u128(1)), Key::new(&[1; 32])))
    }

    fn by_id(&self, _: SubjectKeyId) -> Option<SubjectKey> {
        Some(SubjectKey::Key(Key::new(&[1; 32])))
    }
}

fn mappers() -> Vec<Mapper> {
    let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    let plain = || Mapper::default().with_subject_keys(Arc::new(OneKey));
    vec![
        plain(),
        plain().message_pack(),
        plain().compressed().encrypted(Encryption::all(keys)),
        plain().message_pack().compressed(),
    ]
}

fn envelope() -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(3),
        ..Envelope::default()
    }
}

/// Whether it is taken. If so, it is read back as it is; if not, it is refused in a sentence that names its topic.
fn is_taken<E: Event + PartialEq + std::fmt::Debug>(mapper: &Mapper, event: &E) -> bool {
    match mapper.to_stored(event, &envelope()) {
        Ok(stored) => {
            let read = mapper.to_own_event::<E>(&stored);
            assert_eq!(&read.unwrap(), event, "{}", stored.encoding);
            true
        }
        Err(error @ MapperError::Encode { .. }) => {
            let topic = event.event_type().topic;
            assert_eq!(
                error.to_string(),
                format!("an event of topic `{topic}` can't be written")
            );
            assert!(error.source().is_some());
            false
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn taken_by_all(event: &Any) {
    for mapper in mappers() {
        assert!(is_taken(&mapper, event), "{event:?} {mapper:?}");
    }
}

fn refused_by_all(event: &Any, reason: &str) {
    for mapper in mappers() {
        assert!(!is_taken(&mapper, event), "{event:?} {mapper:?}");
        let error = mapper.to_stored(event, &envelope()).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(source.contains(reason), "{event:?}: {source}");
    }
}

fn nested(n_levels: usize) -> Value {
    (0..n_levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn a_float_keeps_its_last_bit() {
    taken_by_all(&Any::Double(0.999_999_999_999_999_9));
    taken_by_all(&Any::Double(-0.0));
    taken_by_all(&Any::Single(0.1));
}

#[test]
fn a_number_that_is_not_finite_is_refused_wherever_it_is() {
    let reason = "not finite";
    for double in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused_by_all(&Any::Double(double), reason);
        refused_by_all(&Any::MaybeDouble { x: Some(double) }, "`x`: a number that");
        refused_by_all(&Any::Personal(Personal::of("ann", double)), reason);
    }
    refused_by_all(&Any::Single(f32::NAN), reason);
    refused_by_all(&Any::Doubles(vec![None, Some(f32::INFINITY)]), reason);
}

#[test]
fn what_is_nested_deeper_than_it_is_read_is_refused() {
    taken_by_all(&Any::Value(nested(127)));
    refused_by_all(&Any::Value(nested(128)), "deeper than 127 levels");
    // However deep it is: nothing recurses beyond that.
    refused_by_all(&Any::Value(nested(1_000)), "deeper than 127 levels");
    let dynamic = |n| Any::Dynamic(Dynamic::from(nested(n)));
    taken_by_all(&dynamic(127));
    refused_by_all(&dynamic(128), "deeper than 127 levels");
}

#[test]
fn integers_of_128_bits_are_read_back_in_every_format() {
    for (signed, unsigned) in [(i128::MIN, u128::MAX), (-1, 7), (i128::MAX, 1 << 64)] {
        taken_by_all(&Any::Wide { signed, unsigned });
        taken_by_all(&Any::ByWide([(unsigned, 1)].into()));
    }
    // Serde sets flattened and tagged members aside before it has their type, and then has no form for 128 bits.
    let reason = "it could not be read back";
    let number = |wide| Inner { wide, double: 0.5 };
    refused_by_all(&Any::Tagged(vec![Tagged::Measured(number(7))]), reason);
    let inner = number(u128::MAX);
    refused_by_all(&Any::Flat { inner, more: 1 }, reason);
}

#[test]
fn raw_json_keeps_its_bytes_in_every_format() {
    for text in [r#"{"b":1.10,"a":1e400,"b":2}"#, "[ 1,\n2]", r#""\ud800""#] {
        let maybe = Some(raw(text));
        let raw = raw(text);
        taken_by_all(&Any::Raw { raw, maybe });
    }
    taken_by_all(&Any::Raw {
        raw: raw("null"),
        maybe: None,
    });
    // In an option null is nothing.
    let maybe = Some(raw("null"));
    refused_by_all(
        &Any::Raw {
            raw: raw("1"),
            maybe,
        },
        "`maybe` would be read back",
    );
}

#[test]
fn what_json_does_not_tell_apart_is_refused() {
    let reason = "would be read back as something else";
    taken_by_all(&Any::Deep(None));
    taken_by_all(&Any::Deep(Some(Some(1))));
    refused_by_all(&Any::Deep(Some(None)), reason);
    refused_by_all(
        &Any::Deeper {
            x: Some(Some(None)),
        },
        "`x` would be",
    );
    refused_by_all(&Any::MaybeUnit(Some(())), reason);
    let nothing = |list| Any::MaybeNothing {
        nothing: None,
        list,
    };
    taken_by_all(&nothing(vec![None]));
    refused_by_all(&nothing(vec![Some(())]), "`list` would be");
    refused_by_all(&Any::MaybeValue(Some(Value::Null)), reason);
    let disguised = json!({ "$serde_json::private::RawValue": "[1]" });
    assert!(!is_taken(&Mapper::default(), &Any::Value(disguised)));
}

#[test]
fn keys_of_maps_are_read_back_or_refused() {
    taken_by_all(&Any::ByNumber([(-1, true), (i64::MAX, false)].into()));
    taken_by_all(&Any::ByChar([('ü', 1)].into()));
    taken_by_all(&Any::ByBool([(true, 1)].into()));
    taken_by_all(&Any::ByUnit([(Colour::Red, 1)].into()));
    let [json, packed, ..] = &mappers()[..] else {
        panic!("there are some");
    };
    let by_pair = Any::ByPair([((1, 2), 3)].into());
    assert!(!is_taken(json, &by_pair) && is_taken(packed, &by_pair));
    let flat = Any::FlatByNumber {
        by_number: [(1, 2)].into(),
    };
    assert!(!is_taken(json, &flat));
}

#[test]
fn what_has_no_order_is_not_refused_for_another_one() {
    let numbers: HashSet<u32> = (0..50).collect();
    let sets = (0..20).map(|n| (n.to_string(), numbers.clone()));
    taken_by_all(&Any::Hashed(sets.collect()));
    let entries = (0..20).map(|n| (n.to_string(), None)).collect();
    taken_by_all(&Any::PersonalMap {
        of: Personal::of("ann", entries),
        n: 1,
    });
}

#[test]
fn what_a_type_writes_and_does_not_read_is_refused_and_what_it_leaves_out_is_its_own_affair() {
    refused_by_all(
        &Any::Lost { lost: 1 },
        "`lost` would be read back as something else",
    );
    refused_by_all(&Any::Missing { missing: 1 }, "missing field `missing`");
    let forgetful = Any::Forgetful { kept: 1, lost: 2 };
    let stored = Mapper::default()
        .to_stored(&forgetful, &envelope())
        .unwrap();
    assert_eq!(stored.state, r#"{"kept":1}"#);
}

#[test]
fn message_pack_leaves_in_json_what_it_has_no_form_for() {
    let encoding = |event: &Any| {
        let stored = Mapper::default()
            .message_pack()
            .to_stored(event, &envelope());
        stored.unwrap().encoding.to_string()
    };
    assert_eq!(encoding(&Any::Narrow(1, u64::MAX, i64::MIN)), "messagepack");
    assert_eq!(
        encoding(&Any::Wide {
            signed: 1,
            unsigned: 1
        }),
        "json"
    );
    assert_eq!(
        encoding(&Any::Raw {
            raw: raw("[1.10]"),
            maybe: None
        }),
        "json"
    );
}

/// A snapshot is an event of a type of its own, of the state.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.snapshot", crate = "boxes_domain")]
enum Snapshot {
    Taken { state: Any, seen: BTreeSet<u64> },
}

proptest! {
    #[test]
    fn whatever_an_event_holds_is_read_back_as_it_is_or_refused(event in anything(), seen: BTreeSet<u64>) {
        for mapper in mappers() {
            let is_taken_alone = is_taken(&mapper, &event);
            let snapshot = Snapshot::Taken { state: event.clone(), seen: seen.clone() };
            // One level deeper, which only changes what is at the limit.
            prop_assert_eq!(is_taken(&mapper, &snapshot), is_taken_alone);
        }
    }

    #[test]
    fn every_float_is_read_back_as_it_was(double: f64, uniform in 0.0..1.0f64, single: f32) {
        taken_by_all(&Any::Double(double));
        taken_by_all(&Any::Double(uniform));
        taken_by_all(&Any::Single(single));
    }

    #[test]
    fn values_are_taken_to_one_depth_in_every_format(n in 100..150usize) {
        for mapper in mappers() {
            prop_assert_eq!(is_taken(&mapper, &Any::Value(nested(n))), n <= 127);
        }
    }
}
