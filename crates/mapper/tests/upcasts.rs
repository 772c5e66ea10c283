//! Events of older versions are read as the current one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper, MapperError};
use boxes_recorder::StoredEvent;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.item", crate = "boxes_domain")]
enum Item {
    /// Version 1: whole units, as `price`. Version 2: the same as `amount`, with a currency.
    #[event(version = 3, upcast(rename_price, count_cents))]
    Priced { cents: u64, currency: String },
    /// Version 1: a number alone.
    #[event(version = 2, upcast(pair_up))]
    Moved(i64, i64),
    /// Version 1 is forgotten.
    #[event(version = 3, upcast(count_cents))]
    Late { cents: u64 },
}

fn rename_price(mut state: Value) -> Value {
    json!({ "amount": state["price"].take(), "currency": "EUR" })
}

fn count_cents(state: Value) -> Value {
    let Some(amount) = state["amount"].as_u64() else {
        return state;
    };
    json!({ "cents": amount * 100, "currency": state["currency"] })
}

fn pair_up(state: Value) -> Value {
    Value::Array(vec![state, json!(0)])
}

fn stored_in(topic: &'static str, version: u32, state: &'static str) -> StoredEvent {
    let any = Item::Moved(0, 0);
    let stored = Mapper::default()
        .to_stored(&any, &Envelope::default())
        .unwrap();
    StoredEvent {
        topic: topic.into(),
        schema_version: version,
        state: state.into(),
        ..stored
    }
}

#[test]
fn every_older_version_is_read_as_the_current_one_step_by_step() {
    let read = |topic, version, state| {
        let stored = stored_in(topic, version, state);
        Mapper::default().to_own_event::<Item>(&stored).unwrap()
    };
    for (version, state) in [
        (1, r#"{"price":7}"#),
        (2, r#"{"amount":7,"currency":"EUR"}"#),
        (3, r#"{"cents":700,"currency":"EUR"}"#),
    ] {
        let priced = read("t.item.priced", version, state);
        let expected = Item::Priced {
            cents: 700,
            currency: "EUR".to_owned(),
        };
        assert_eq!(priced, expected, "version {version}");
    }
    assert_eq!(read("t.item.moved", 1, "-3"), Item::Moved(-3, 0));
}

#[test]
fn an_older_version_is_read_also_when_it_was_compressed() {
    let mapper = Mapper::default().compressed();
    let long = "x".repeat(500);
    let old = Old::Named {
        called: long.clone(),
    };
    let stored = mapper.to_stored(&old, &Envelope::default()).unwrap();
    assert!(!stored.encoding.is_plain_json() && stored.schema_version == 1);
    assert_eq!(
        mapper.to_own_event::<New>(&stored).unwrap(),
        New::Named { name: long }
    );
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.thing", crate = "boxes_domain")]
enum Old {
    Named { called: String },
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.thing", crate = "boxes_domain")]
enum New {
    #[event(version = 2, upcast(rename_called))]
    Named { name: String },
}

fn rename_called(mut state: Value) -> Value {
    json!({ "name": state["called"].take() })
}

#[test]
fn a_version_that_no_step_starts_from_is_refused_with_those_that_are_read() {
    let refused = |version| {
        let stored = stored_in("t.item.late", version, r#"{"amount":7}"#);
        let error = Mapper::default().to_event::<Item>(&stored).unwrap_err();
        error.to_string()
    };
    for version in [0, 1, 4] {
        assert_eq!(
            refused(version),
            format!(
                "topic `t.item.late` is stored in version {version}, this program reads versions 2 to 3"
            )
        );
    }
}

#[test]
fn a_step_that_gets_what_it_does_not_expect_ends_in_an_error_that_names_the_version() {
    let stored = stored_in("t.item.priced", 2, r#"{"amount":-7}"#);
    let error = Mapper::default().to_event::<Item>(&stored).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("version 2 of topic `t.item.priced`"),
        "{error}"
    );
}

/// What an event holds that a `serde_json::Value` can't.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "t.exact", crate = "boxes_domain")]
enum OldExact {
    Kept(Exact),
    Extended(Exact),
    Moved { of: Exact },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Exact {
    wide: u128,
    signed: i128,
    double: f64,
    raw: Box<RawValue>,
    list: Vec<Wide>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wide {
    wide: u128,
    name: String,
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "t.exact", crate = "boxes_domain")]
enum NewExact {
    #[event(version = 2, upcast(std::convert::identity))]
    Kept(Exact),
    #[event(version = 3, upcast(mark_each, mark))]
    Extended(Extended),
    #[event(version = 2, upcast(take_out))]
    Moved(Exact),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Extended {
    marked: bool,
    list: Vec<Marked>,
    raw: Box<RawValue>,
    signed: i128,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Marked {
    n: usize,
    wide: u128,
}

fn mark_each(mut state: Value) -> Value {
    for (n, wide) in state["list"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .enumerate()
    {
        wide["n"] = n.into();
    }
    state
}

fn mark(mut state: Value) -> Value {
    state["marked"] = true.into();
    state
}

fn take_out(mut state: Value) -> Value {
    state["of"].take()
}

fn exact(wide: u128, signed: i128, double: f64, raw: &str) -> Exact {
    let wides = [("b", wide), ("a", 7), ("c", u128::MAX - wide)];
    Exact {
        wide,
        signed,
        double,
        raw: RawValue::from_string(raw.to_owned()).unwrap(),
        list: wides
            .map(|(name, wide)| Wide {
                wide,
                name: name.to_owned(),
            })
            .into(),
    }
}

fn is_kept(read: &Exact, was: &Exact) {
    assert_eq!((read.wide, read.signed), (was.wide, was.signed));
    assert_eq!(read.double.to_bits(), was.double.to_bits());
    assert_eq!((&read.list, read.raw.get()), (&was.list, was.raw.get()));
}

/// For an event of each kind, whatever is in it.
fn nothing_is_lost(was: &Exact) {
    for mapper in [
        Mapper::default(),
        Mapper::default().message_pack().compressed(),
    ] {
        let read = |old: OldExact| -> NewExact {
            let stored = mapper.to_stored(&old, &Envelope::default()).unwrap();
            assert_eq!(stored.schema_version, 1);
            mapper.to_own_event(&stored).unwrap()
        };
        let NewExact::Kept(kept) = read(OldExact::Kept(was.clone())) else {
            panic!("another kind");
        };
        is_kept(&kept, was);
        let NewExact::Moved(moved) = read(OldExact::Moved { of: was.clone() }) else {
            panic!("another kind");
        };
        is_kept(&moved, was);
    }
}

#[test]
fn a_step_loses_no_digit_and_no_order_of_what_it_does_not_touch() {
    let was = exact(
        u128::MAX,
        i128::MIN,
        0.1,
        r#"{"b":1.10,"a":1e400,"b":"\ud800"}"#,
    );
    nothing_is_lost(&was);
    let stored =
        Mapper::default().to_stored(&OldExact::Extended(was.clone()), &Envelope::default());
    let stored = StoredEvent {
        schema_version: 1,
        ..stored.unwrap()
    };
    let read = Mapper::default().to_own_event(&stored).unwrap();
    let NewExact::Extended(extended) = read else {
        panic!("another kind");
    };
    assert!(extended.marked);
    let list: Vec<_> = extended
        .list
        .iter()
        .map(|marked| (marked.n, marked.wide))
        .collect();
    assert_eq!(list, [(0, u128::MAX), (1, 7), (2, 0)]);
    assert_eq!(extended.raw.get(), was.raw.get());
    assert_eq!(extended.signed, i128::MIN);
}

proptest! {
    #[test]
    fn no_number_is_changed_by_steps_that_leave_or_move_it(
        wide: u128,
        signed: i128,
        double in -1e300..1e300f64,
        digits in "-?[1-9][0-9]{0,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,3})?",
    ) {
        nothing_is_lost(&exact(wide, signed, double, &digits));
        nothing_is_lost(&exact(wide, signed, double, &format!("[{digits},{{\"z\":{digits},\"a\":[]}}]")));
    }
}

#[test]
fn a_state_at_the_depth_limit_is_read_by_steps_that_put_something_around_it() {
    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.deep", crate = "boxes_domain")]
    enum Old {
        Deep(Value),
    }
    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.deep", crate = "boxes_domain")]
    enum New {
        #[event(version = 2, upcast(surround))]
        Deep { within: Value },
    }
    #[expect(clippy::needless_pass_by_value, reason = "a step is given the state")]
    fn surround(state: Value) -> Value {
        json!({ "within": state })
    }
    let deepest = (0..127).fold(json!(1), |inner, _| json!([inner]));
    for mapper in [Mapper::default(), Mapper::default().message_pack()] {
        let stored = mapper.to_stored(&Old::Deep(deepest.clone()), &Envelope::default());
        let New::Deep { within } = mapper.to_own_event(&stored.unwrap()).unwrap();
        assert_eq!(within, deepest);
    }
}

/// What a box that follows `t.item` reads of it, whatever version it comes to.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.item", crate = "boxes_domain", tolerant)]
enum Currency {
    Priced { currency: String },
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.item", crate = "boxes_domain")]
enum Strict {
    Priced {
        currency: String,
    },
    #[event(tolerant, version = 2, upcast(rename_price))]
    Late {
        currency: String,
    },
}

#[test]
fn a_tolerant_reader_reads_every_version_by_the_fields_that_it_has() {
    let mapper = Mapper::default();
    let euro = Currency::Priced {
        currency: "EUR".to_owned(),
    };
    for (version, state) in [
        (1, r#"{"currency":"EUR"}"#),
        (3, r#"{"cents":700,"currency":"EUR"}"#),
        (9, r#"{"amounts":[{"new":[]}],"currency":"EUR"}"#),
    ] {
        let stored = stored_in("t.item.priced", version, state);
        assert_eq!(mapper.to_own_event::<Currency>(&stored).unwrap(), euro);
    }
    let packed = Mapper::default().message_pack();
    let item = Item::Priced {
        cents: 700,
        currency: "EUR".to_owned(),
    };
    let stored = packed.to_stored(&item, &Envelope::default()).unwrap();
    assert_eq!(
        (stored.schema_version, stored.encoding.as_str()),
        (3, "messagepack")
    );
    assert_eq!(mapper.to_own_event::<Currency>(&stored).unwrap(), euro);

    // What it needs has to be there still.
    let without = stored_in("t.item.priced", 9, r#"{"cents":700}"#);
    let error = mapper.to_event::<Currency>(&without).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("version 9 of topic `t.item.priced`"),
        "{error}"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("missing field `currency`"), "{cause}");
}

#[test]
fn a_reader_is_tolerant_where_it_says_so_and_takes_the_steps_that_it_has() {
    let mapper = Mapper::default();
    let state = r#"{"price":7,"currency":"USD"}"#;
    let error = mapper.to_event::<Strict>(&stored_in("t.item.priced", 2, state));
    assert!(
        matches!(error, Err(MapperError::UnknownVersion { .. })),
        "{error:?}"
    );
    for (version, currency) in [(1, "EUR"), (2, "USD"), (5, "USD")] {
        let read = mapper.to_own_event::<Strict>(&stored_in("t.item.late", version, state));
        let currency = currency.to_owned();
        assert_eq!(read.unwrap(), Strict::Late { currency }, "{version}");
    }
}
