//! State in other formats than JSON is read as what was written, and the format is one of the user's choice.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use boxes_domain::Event;
use boxes_mapper::{
    Content, ContentReader, Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError,
    MessagePack, Transcoder, TranscoderError,
};
use boxes_recorder::StoredEvent;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.e", crate = "boxes_domain")]
enum Everything {
    Unit,
    Newtype(String),
    Tuple(u8, Option<f64>),
    Struct {
        #[serde(rename = "n")]
        number: i64,
        big: u64,
        id: Uuid,
        nested: Vec<Self>,
        by_number: BTreeMap<u32, bool>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    },
}

fn everything() -> [Everything; 4] {
    let record = Everything::Struct {
        number: -1_000_000_000_000,
        big: u64::MAX,
        id: Uuid::from_u128(7),
        nested: vec![Everything::Unit, Everything::Tuple(200, None)],
        by_number: [(1, true), (70_000, false)].into(),
        more: [("more".to_owned(), json!({ "a": [1.5, null, "x"] }))].into(),
    };
    [
        Everything::Unit,
        Everything::Newtype("ü\n".repeat(300)),
        Everything::Tuple(1, Some(0.1)),
        record,
    ]
}

/// What a user would write: a format that the kit does not know, and that is not human-readable.
#[derive(Debug)]
struct Cbor;

impl Transcoder for Cbor {
    fn mark(&self) -> &'static str {
        "cbor"
    }

    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
        let mut serializer = minicbor_serde::Serializer::new(Vec::new());
        content.serialize(serializer.serialize_unit_as_null(true))?;
        Ok(serializer.into_encoder().into_writer())
    }

    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
        reader.read(&mut minicbor_serde::Deserializer::new(state))
    }
}

fn cbor() -> Mapper {
    Mapper::default().transcoded(Cbor).unwrap()
}

fn message_pack() -> Mapper {
    Mapper::default().message_pack()
}

fn store(mapper: &Mapper, event: &impl Event) -> StoredEvent {
    mapper.to_stored(event, &Envelope::default()).unwrap()
}

#[test]
fn every_shape_of_event_is_written_in_another_format_and_read_back() {
    for (mapper, mark) in [(message_pack(), "messagepack"), (cbor(), "cbor")] {
        for event in everything() {
            let stored = store(&mapper, &event);
            assert_eq!(stored.encoding.as_str(), mark);
            let read: Everything = mapper.to_own_event(&stored).unwrap();
            assert_eq!(read, event, "{mark}");
        }
    }
}

/// The bytes by the format's specification: a map of two, its names, a text, a number of two bytes.
#[test]
fn message_pack_has_the_members_by_name_and_numbers_in_few_bytes() {
    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.paid", crate = "boxes_domain")]
    enum Paid {
        Paid { by: Uuid, cents: u64 },
    }
    let by = Uuid::from_u128(0x0102);
    let stored = store(&message_pack(), &Paid::Paid { by, cents: 700 });
    let expected = [
        b"\x82\xa2by\xd9\x24",
        by.to_string().as_bytes(),
        b"\xa5cents\xcd\x02\xbc",
    ]
    .concat();
    assert_eq!(stored.state, expected);
}

#[test]
fn a_log_may_hold_several_formats_and_a_mapper_that_writes_one_reads_the_others() {
    let [.., event] = everything();
    for writer in [Mapper::default(), message_pack(), cbor()] {
        let stored = store(&writer, &event);
        for reader in [Mapper::default(), message_pack()] {
            let reader = reader.reading(Cbor).unwrap();
            assert_eq!(
                reader.to_own_event::<Everything>(&stored).unwrap(),
                event,
                "{}",
                stored.encoding
            );
        }
    }
}

#[test]
fn state_in_any_format_is_had_as_json_without_its_type() {
    let event = Everything::Tuple(7, None);
    for writer in [Mapper::default(), message_pack().compressed(), cbor()] {
        let stored = store(&writer, &event);
        assert_eq!(writer.read_json(&stored).unwrap(), "[7,null]");
    }
    let stored = StoredEvent {
        state: Bytes::from_static(b"\x92\x07"),
        ..store(&message_pack(), &event)
    };
    let error = message_pack().read_json(&stored).unwrap_err();
    assert!(matches!(error, MapperError::Decode { .. }), "{error:?}");
}

#[test]
fn a_format_that_the_program_lacks_is_an_error_that_names_it_and_the_topic() {
    let stored = store(&cbor(), &Everything::Unit);
    let error = Mapper::default()
        .to_event::<Everything>(&stored)
        .unwrap_err();
    assert!(matches!(error, MapperError::UnknownEncoding { .. }));
    let text = error.to_string();
    assert!(
        text.contains("`cbor`") && text.contains("`t.e.unit`"),
        "{text}"
    );
}

#[test]
fn it_is_compressed_and_encrypted_after_it_was_written() {
    let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    let [_, long, ..] = everything();
    for mapper in [message_pack(), cbor()] {
        let mapper = mapper
            .compressed()
            .encrypted(Encryption::all(keys.clone()).required());
        let stored = store(&mapper, &long);
        let mark = stored.encoding.as_str();
        assert!(mark.ends_with("+zlib+aes-256-gcm-siv"), "{mark}");
        assert!(stored.state.len() < 150, "{}", stored.state.len());
        assert_eq!(mapper.to_own_event::<Everything>(&stored).unwrap(), long);

        // The format is bound in: another one's mark on the same bytes is not believed.
        let other = match mark.starts_with("cbor") {
            true => mark.replace("cbor", "messagepack"),
            false => mark.replace("messagepack", "json"),
        };
        let stored = StoredEvent {
            encoding: boxes_recorder::Encoding::new(other),
            ..stored
        };
        let error = mapper.to_event::<Everything>(&stored).unwrap_err();
        assert!(
            matches!(error, MapperError::NotAuthentic { .. }),
            "{error:?}"
        );
    }
}

#[derive(Event, Clone, Serialize, Deserialize)]
#[event(topic = "t.item", crate = "boxes_domain")]
enum OldItem {
    Priced { item: Uuid, price: u64, tags: Tags },
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.item", crate = "boxes_domain")]
enum Item {
    #[event(version = 3, upcast(add_currency, count_cents))]
    Priced {
        item: Uuid,
        cents: u64,
        currency: String,
        tags: Tags,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tags(BTreeMap<u8, Option<bool>>);

fn add_currency(mut state: Value) -> Value {
    state["currency"] = json!("EUR");
    state
}

fn count_cents(mut state: Value) -> Value {
    let cents = state["price"].as_u64().map(|price| price * 100);
    state["cents"] = json!(cents);
    state
}

#[test]
fn an_older_version_is_read_step_by_step_in_every_format() {
    let tags = Tags([(1, None), (200, Some(true))].into());
    let item = Uuid::from_u128(0x42);
    let old = OldItem::Priced {
        item,
        price: 7,
        tags: tags.clone(),
    };
    let new = Item::Priced {
        item,
        cents: 700,
        currency: "EUR".to_owned(),
        tags,
    };
    for mapper in [Mapper::default(), message_pack()] {
        let stored = store(&mapper, &old);
        assert_eq!(stored.schema_version, 1);
        assert_eq!(mapper.to_own_event::<Item>(&stored).unwrap(), new);
    }
    // Where the steps can't make sense of it, it is an error that names the version.
    let stored = store(&message_pack(), &old);
    let stored = StoredEvent {
        state: Bytes::from_static(b"\x81\xa5price\xff"),
        ..stored
    };
    let error = message_pack().to_event::<Item>(&stored).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("version 1 of topic `t.item.priced`"),
        "{error}"
    );
}

#[test]
fn a_step_sees_the_same_json_whatever_the_format_was() {
    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.seen", crate = "boxes_domain")]
    enum Seen {
        #[event(version = 2, upcast(as_text))]
        Seen { text: String },
    }
    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.seen", crate = "boxes_domain")]
    enum Written {
        Seen {
            id: Uuid,
            kind: Kind,
            at: (u8, f64),
            by_number: BTreeMap<u32, i8>,
        },
    }
    #[derive(Clone, Serialize, Deserialize)]
    enum Kind {
        Of { x: Option<u8> },
    }
    #[expect(clippy::needless_pass_by_value, reason = "a step is given the state")]
    fn as_text(state: Value) -> Value {
        json!({ "text": state.to_string() })
    }
    let written = Written::Seen {
        id: Uuid::from_u128(9),
        kind: Kind::Of { x: None },
        at: (3, 0.1),
        by_number: [(7, -7)].into(),
    };
    let seen = |mapper: &Mapper| {
        let Seen::Seen { text } = mapper.to_own_event(&store(mapper, &written)).unwrap();
        text
    };
    let json = seen(&Mapper::default());
    assert!(json.contains("0000-000000000009") && json.contains(r#"{"Of":{"x":null}}"#));
    assert_eq!(seen(&message_pack()), json);
}

#[test]
fn damaged_state_is_an_error_and_never_a_panic() {
    let mapper = message_pack();
    let [.., record] = everything();
    let stored = store(&mapper, &record);
    let read = |state: &[u8]| {
        let stored = StoredEvent {
            state: Bytes::copy_from_slice(state),
            ..stored.clone()
        };
        mapper.to_own_event::<Everything>(&stored)
    };
    for end in 0..stored.state.len() {
        assert!(read(&stored.state[..end]).is_err(), "cut at {end}");
    }
    let longer = [&stored.state[..], b"\xc0"].concat();
    let error = read(&longer).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "1 bytes are left after the value");
    for place in 0..stored.state.len() {
        for bit in 0..8 {
            let mut state = stored.state.to_vec();
            state[place] ^= 1 << bit;
            // Some are another event; what matters is that it comes back.
            drop(read(&state));
        }
    }
    let deep = [&[0x91; 100_000][..], &[0xc0]].concat();
    assert!(read(&deep).is_err());
}

#[test]
fn a_transcoder_that_gives_nothing_to_read_is_an_error() {
    #[derive(Debug)]
    struct Forgetful;
    impl Transcoder for Forgetful {
        fn mark(&self) -> &'static str {
            "forgetful"
        }
        fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
            MessagePack.encode(content)
        }
        fn decode(&self, _: &[u8], _: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
            Ok(())
        }
    }
    let mapper = Mapper::default().transcoded(Forgetful).unwrap();
    let refused = mapper.to_stored(&Everything::Unit, &Envelope::default());
    let cause = std::error::Error::source(&refused.unwrap_err())
        .unwrap()
        .to_string();
    assert_eq!(
        cause,
        "it could not be read back: the transcoder `forgetful` has read nothing"
    );
    let stored = StoredEvent {
        encoding: boxes_recorder::Encoding::new("forgetful"),
        ..store(&message_pack(), &Everything::Unit)
    };
    let error = mapper.to_event::<Everything>(&stored).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the transcoder `forgetful` has read nothing");
}

#[test]
fn a_mark_that_could_be_taken_for_something_else_is_refused() {
    #[derive(Debug)]
    struct Marked(&'static str);
    impl Transcoder for Marked {
        fn mark(&self) -> &'static str {
            self.0
        }
        fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
            MessagePack.encode(content)
        }
        fn decode(
            &self,
            state: &[u8],
            reader: &mut ContentReader<'_>,
        ) -> Result<(), TranscoderError> {
            MessagePack.decode(state, reader)
        }
    }
    let long = "x".repeat(41).leak();
    for mark in [
        "",
        "json",
        "zlib",
        "aes-256-gcm-siv",
        "a+b",
        "Cbor",
        "c b",
        long,
    ] {
        let error = Mapper::default().transcoded(Marked(mark)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("`{mark}` can't be the mark")),
            "{error}"
        );
        assert!(Mapper::default().reading(Marked(mark)).is_err());
    }
    // The last one that is given for a mark reads it.
    let mapper = Mapper::default().transcoded(Marked("messagepack")).unwrap();
    let stored = store(&mapper, &Everything::Unit);
    mapper.to_own_event::<Everything>(&stored).unwrap();
}
