//! Events of every shape are stored as JSON and read back, and what does not fit is refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper, MapperError};
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.e", crate = "boxes_domain")]
#[serde(rename_all = "kebab-case")]
enum Everything {
    Unit,
    Newtype(String),
    Tuple(u8, Option<f64>),
    #[event(alias = "t.e.record", version = 3)]
    Struct {
        #[serde(rename = "n")]
        number: i64,
        #[serde(default)]
        nested: Vec<Self>,
    },
}

fn all() -> [(Everything, &'static str); 4] {
    [
        (Everything::Unit, "{}"),
        (Everything::Newtype("ü\n".into()), "\"ü\\n\""),
        (Everything::Tuple(1, None), "[1,null]"),
        (
            Everything::Struct {
                number: -1,
                nested: vec![Everything::Unit],
            },
            "{\"n\":-1,\"nested\":[\"unit\"]}",
        ),
    ]
}

#[test]
fn every_shape_of_variant_is_stored_as_its_content_and_read_back() {
    let mapper = Mapper::default();
    for (event, json) in all() {
        let stored = mapper.to_stored(&event, &Envelope::default()).unwrap();
        assert_eq!(stored.state, json);
        assert_eq!(mapper.to_event(&stored).unwrap(), Some(event));
    }
}

#[test]
fn members_that_are_not_known_are_ignored_and_a_unit_ignores_all() {
    let mapper = Mapper::default();
    let mut stored = mapper
        .to_stored(
            &Everything::Struct {
                number: 1,
                nested: vec![],
            },
            &Envelope::default(),
        )
        .unwrap();
    stored.state = Bytes::from_static(b" {\"more\":[1],\"n\":1} ");
    assert_eq!(
        mapper.to_event(&stored).unwrap(),
        Some(Everything::Struct {
            number: 1,
            nested: vec![]
        })
    );
    let mut stored = mapper
        .to_stored(&Everything::Unit, &Envelope::default())
        .unwrap();
    stored.state = Bytes::from_static(b"{\"since\":1}");
    assert_eq!(mapper.to_event(&stored).unwrap(), Some(Everything::Unit));
}

#[test]
fn an_alias_is_read_and_a_foreign_topic_is_none() {
    let mapper = Mapper::default();
    let event = Everything::Struct {
        number: 1,
        nested: vec![],
    };
    let mut stored = mapper.to_stored(&event, &Envelope::default()).unwrap();
    stored.topic = "t.e.record".into();
    assert_eq!(mapper.to_event(&stored).unwrap(), Some(event));
    stored.topic = "t.e.other".into();
    assert_eq!(mapper.to_event::<Everything>(&stored).unwrap(), None);
    assert!(
        mapper
            .to_own_event::<Everything>(&stored)
            .unwrap_err()
            .to_string()
            .contains("`t.e.other`")
    );
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let mapper = Mapper::default();
    let stored = mapper
        .to_stored(
            &Everything::Struct {
                number: 1,
                nested: vec![],
            },
            &Envelope::default(),
        )
        .unwrap();
    let error = |change: fn(&mut StoredEvent)| {
        let mut stored = stored.clone();
        change(&mut stored);
        mapper.to_event::<Everything>(&stored).unwrap_err()
    };
    assert!(matches!(
        error(|s| s.state = Bytes::from_static(b"{\"n\":\"x\"}")),
        MapperError::Decode { version: 3, .. }
    ));
    assert!(matches!(
        error(|s| s.state = Bytes::from_static(b"{\"n\":1} x")),
        MapperError::Decode { .. }
    ));
    assert!(matches!(
        error(|s| s.state = Bytes::new()),
        MapperError::Decode { .. }
    ));
    assert!(matches!(
        error(|s| s.schema_version = 4),
        MapperError::UnknownVersion {
            stored: 4,
            known: 3,
            ..
        }
    ));
    assert!(
        error(|s| s.encoding = Encoding::new("json+rot13"))
            .to_string()
            .contains("`json+rot13`")
    );
}

#[test]
fn an_event_type_whose_serialization_hides_its_variant_is_refused() {
    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "t.tagged", crate = "boxes_domain")]
    #[serde(tag = "type")]
    enum Tagged {
        A { x: u8 },
    }
    let error = Mapper::default()
        .to_stored(&Tagged::A { x: 1 }, &Envelope::default())
        .unwrap_err();
    assert!(
        matches!(&error, MapperError::Encode { source, .. } if source.to_string().contains("plain derived")),
        "{error:?}"
    );
}
