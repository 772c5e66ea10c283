//! Events of older versions are read as the current one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper};
use boxes_recorder::StoredEvent;
use serde::{Deserialize, Serialize};
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
