//! What is encrypted is opened as it was written, where it was written, and not otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::Write;

use boxes_domain::Event;
use boxes_mapper::{Cipher, Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError};
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use flate2::{Compression, write::ZlibEncoder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed { customer: String },
    Renamed { customer: String },
}

type Change = fn(&mut StoredEvent);

const CIPHERS: [Cipher; 2] = [Cipher::Aes256GcmSiv, Cipher::Aes256CbcHmacSha256];

/// A key of which every byte is another.
fn key(first: u8) -> Key {
    Key::new(&std::array::from_fn(|i| first + u8::try_from(i).unwrap()))
}

fn keys() -> Keys {
    Keys::new(KeyId(7), key(0))
}

fn mapper(cipher: Cipher) -> Mapper {
    Mapper::default().encrypted(Encryption::all(keys()).with_cipher(cipher))
}

fn placed(customer: &str) -> OrderEvent {
    OrderEvent::Placed {
        customer: customer.into(),
    }
}

fn envelope() -> Envelope {
    Envelope {
        event_id: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        originator_id: Uuid::from_u128(0x42),
        originator_version: 3,
        ..Envelope::default()
    }
}

fn read(mapper: &Mapper, stored: &StoredEvent) -> Result<OrderEvent, MapperError> {
    mapper.to_own_event(stored)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn deflated(text: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

/// The records of one event, made from the description of the format by Python's `cryptography` and `hmac`.
#[test]
fn records_are_what_the_description_of_the_format_says() {
    for (cipher, mark, record) in [
        (
            Cipher::Aes256GcmSiv,
            "json+aes-256-gcm-siv@orders",
            "0000000705060708090a0b0c0d0e0f10064730ac30778a7f101d22cdaa55ce00aa36ae10ce4dfca60cafc078e2550c8b4c6dcba0",
        ),
        (
            Cipher::Aes256CbcHmacSha256,
            "json+aes-256-cbc-hmac-sha-256@orders",
            "00000007873e8d3169c35d2d133d433fa3e635ee09a9f43576e9b16c097ef2de60afd5bae9ae28073a9ed509b884af5f834a66bec8cbfc92c112fcf6c200e2735182783de7bbe6e8e9ceaceefb97ad52ee041d8e",
        ),
    ] {
        let mapper = mapper(cipher).of_box("orders");
        let stored = mapper.to_stored(&placed("ALFKI"), &envelope()).unwrap();
        assert_eq!(stored.encoding.as_str(), mark);
        assert_eq!(hex(&stored.state), record);
        assert_eq!(read(&mapper, &stored).unwrap(), placed("ALFKI"));
    }
}

/// As they were before the name of the box was a part of them; made in the same way.
#[test]
fn records_from_before_names_were_bound_in_are_still_read_and_written_anew_with_the_name() {
    for (cipher, mark, record) in [
        (
            Cipher::Aes256GcmSiv,
            "json+aes-256-gcm-siv",
            "0000000705060708090a0b0c0d0e0f1026749b76b3e877718bdeda66a20aa2941f83bf857c2bb3fd44b9ecf8d9dd13a2c5b90c28",
        ),
        (
            Cipher::Aes256CbcHmacSha256,
            "json+aes-256-cbc-hmac-sha-256",
            "00000007873e8d3169c35d2d133d433fa3e635ee09a9f43576e9b16c097ef2de60afd5bae9ae28073a9ed509b884af5f834a66be116a5329f34737f62748aae3296044e948b0e7a9e6d1542264e1aae73ffc4a8e",
        ),
    ] {
        let stored = mapper(cipher)
            .to_stored(&placed("ALFKI"), &envelope())
            .unwrap();
        assert_eq!(stored.encoding.as_str(), mark);
        assert_eq!(hex(&stored.state), record);

        let bound = mapper(cipher).of_box("orders");
        assert_eq!(read(&bound, &stored).unwrap(), placed("ALFKI"));
        let anew = bound.rewrite(&stored).unwrap();
        assert_eq!(anew.encoding.as_str(), format!("{mark}@orders"));
        assert_eq!(read(&bound, &anew).unwrap(), placed("ALFKI"));
        assert_eq!(bound.rewrite(&anew).unwrap(), anew);
    }
}

#[test]
fn an_event_of_another_box_with_the_same_keys_is_refused_whatever_its_mark_is_made() {
    for cipher in CIPHERS {
        let of_box = |name| mapper(cipher).compressed().of_box(name);
        let stored = of_box("orders")
            .to_stored(&placed("ALFKI"), &envelope())
            .unwrap();
        let error = read(&of_box("payments"), &stored).unwrap_err();
        assert!(
            matches!(&error, MapperError::OtherBox { written, read, version: 3, .. } if written == "orders" && read == "payments"),
            "{error:?}"
        );
        // One that was not told a box reads those of all, and what is not encrypted is bound to nothing.
        assert_eq!(read(&mapper(cipher), &stored).unwrap(), placed("ALFKI"));
        let clear = Mapper::default().of_box("orders");
        let clear = clear.to_stored(&placed("ALFKI"), &envelope()).unwrap();
        assert_eq!(read(&of_box("payments"), &clear).unwrap(), placed("ALFKI"));

        for forged in ["payments", "", "orders@payments", "Orders"] {
            let mut moved = stored.clone();
            let steps = stored.encoding.as_str().strip_suffix("orders").unwrap();
            moved.encoding = Encoding::new(format!("{steps}{forged}"));
            for reader in [of_box("payments"), of_box(forged), mapper(cipher)] {
                assert!(
                    matches!(
                        read(&reader, &moved),
                        Err(MapperError::NotAuthentic { .. } | MapperError::OtherBox { .. })
                    ),
                    "{forged}"
                );
            }
        }
        // Nor as one from before there were names in marks.
        let mut moved = stored.clone();
        let steps = stored.encoding.as_str().strip_suffix("@orders").unwrap();
        moved.encoding = Encoding::new(steps.to_owned());
        for reader in [of_box("payments"), of_box("orders"), mapper(cipher)] {
            assert!(matches!(
                read(&reader, &moved),
                Err(MapperError::NotAuthentic { .. })
            ));
        }
    }
}

#[test]
fn what_is_compressed_and_encrypted_is_read_back_and_shows_nothing() {
    let event = placed(&"a very secret customer ".repeat(20));
    for cipher in CIPHERS {
        let mapper = mapper(cipher).compressed();
        let stored = mapper.to_stored(&event, &envelope()).unwrap();
        assert_eq!(
            stored.encoding.as_str(),
            format!("json+zlib+{}", cipher.mark())
        );
        assert!(stored.state.len() < 150, "{}", stored.state.len());
        assert!(!stored.state.windows(6).any(|w| w == b"secret"));
        assert_eq!(read(&mapper, &stored).unwrap(), event);
        // Whatever a mapper writes itself, it reads what is marked.
        let other = Mapper::default().encrypted(Encryption::none(keys()));
        assert_eq!(read(&other, &stored).unwrap(), event);
        assert!(
            other
                .to_stored(&event, &envelope())
                .unwrap()
                .encoding
                .is_plain_json()
        );
    }
}

#[test]
fn state_that_compression_makes_longer_stays_as_it_is() {
    let mapper = Mapper::default().compressed();
    let stored = mapper.to_stored(&placed("x"), &envelope()).unwrap();
    assert!(stored.encoding.is_plain_json());
    let stored = mapper
        .to_stored(&placed(&"x".repeat(100)), &envelope())
        .unwrap();
    assert_eq!(stored.encoding.as_str(), "json+zlib");
    assert_eq!(
        read(&Mapper::default(), &stored).unwrap(),
        placed(&"x".repeat(100))
    );
}

#[test]
fn every_flipped_bit_of_every_byte_is_refused() {
    for cipher in CIPHERS {
        for mapper in [mapper(cipher), mapper(cipher).compressed()] {
            let stored = mapper
                .to_stored(&placed(&"customer ".repeat(9)), &envelope())
                .unwrap();
            for index in 0..stored.state.len() {
                for bit in 0..8 {
                    let mut altered = stored.clone();
                    let mut state = stored.state.to_vec();
                    state[index] ^= 1 << bit;
                    altered.state = state.into();
                    let error = read(&mapper, &altered).unwrap_err();
                    match error {
                        // The number of the key stands in front.
                        MapperError::UnknownKey { key, .. } if index < 4 => {
                            assert_ne!(key, KeyId(7));
                        }
                        MapperError::NotAuthentic { .. } if index >= 4 => {}
                        error => panic!("{cipher:?}, bit {bit} of byte {index}: {error:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_record_that_is_cut_anywhere_or_continued_is_refused() {
    for (cipher, shortest) in CIPHERS.into_iter().zip([32, 68]) {
        let mapper = mapper(cipher);
        let stored = mapper.to_stored(&placed("ALFKI"), &envelope()).unwrap();
        for length in 0..stored.state.len() {
            let mut cut = stored.clone();
            cut.state.truncate(length);
            match read(&mapper, &cut).unwrap_err() {
                MapperError::Cut { length: told, .. } if length < shortest => {
                    assert_eq!(told, length);
                }
                MapperError::NotAuthentic { .. } if length >= shortest => {}
                error => panic!("{cipher:?}, cut to {length}: {error:?}"),
            }
        }
        for more in [1, 16, 32] {
            let mut continued = stored.clone();
            continued.state = [&stored.state[..], &vec![0; more]].concat().into();
            assert!(matches!(
                read(&mapper, &continued),
                Err(MapperError::NotAuthentic { .. })
            ));
        }
    }
}

#[test]
fn a_record_in_the_place_of_another_is_refused() {
    for cipher in CIPHERS {
        let mapper = mapper(cipher);
        let stored = mapper.to_stored(&placed("ALFKI"), &envelope()).unwrap();
        let moves: [(&str, Change); 3] = [
            ("topic", |s| s.topic = "t.order.renamed".into()),
            ("aggregate", |s| s.originator_id = Uuid::from_u128(0x43)),
            ("version", |s| s.originator_version = 4),
        ];
        for (what, change) in moves {
            let mut moved = stored.clone();
            change(&mut moved);
            assert!(
                matches!(read(&mapper, &moved), Err(MapperError::NotAuthentic { .. })),
                "{cipher:?}, another {what}"
            );
        }
        for mark in CIPHERS
            .into_iter()
            .flat_map(|c| {
                [
                    format!("json+{}", c.mark()),
                    format!("json+zlib+{}", c.mark()),
                ]
            })
            .filter(|mark| *mark != stored.encoding.as_str())
        {
            let mut marked = stored.clone();
            marked.encoding = Encoding::new(mark.clone());
            assert!(
                matches!(
                    read(&mapper, &marked),
                    Err(MapperError::NotAuthentic { .. } | MapperError::Cut { .. })
                ),
                "{cipher:?} as {mark}"
            );
        }
        // Two events of one kind, both genuine.
        let later = Envelope {
            event_id: Uuid::from_u128(9),
            originator_version: 4,
            ..envelope()
        };
        let mut swapped = mapper.to_stored(&placed("BONAP"), &later).unwrap();
        swapped.state = stored.state.clone();
        let error = read(&mapper, &swapped).unwrap_err().to_string();
        assert!(
            error.contains("version 4") && error.contains("altered or moved"),
            "{error}"
        );
    }
}

#[test]
fn another_key_of_the_same_number_is_refused_and_so_is_no_key() {
    for cipher in CIPHERS {
        let stored = mapper(cipher)
            .to_stored(&placed("ALFKI"), &envelope())
            .unwrap();
        let with = |keys: Keys| Mapper::default().encrypted(Encryption::all(keys));
        assert!(matches!(
            read(&with(Keys::new(KeyId(7), key(1))), &stored),
            Err(MapperError::NotAuthentic { key: KeyId(7), .. })
        ));
        assert!(matches!(
            read(&with(Keys::new(KeyId(8), key(0))), &stored),
            Err(MapperError::UnknownKey { key: KeyId(7), .. })
        ));
        assert!(matches!(
            read(&Mapper::default(), &stored),
            Err(MapperError::NoKeys { key: KeyId(7), .. })
        ));
    }
}

#[test]
fn after_a_rotation_new_events_have_the_new_key_and_old_ones_are_still_read() {
    let old = mapper(Cipher::default())
        .to_stored(&placed("ALFKI"), &envelope())
        .unwrap();
    let rotated = Keys::new(KeyId(8), key(100)).and(KeyId(7), key(0)).unwrap();
    let rotated = Mapper::default().encrypted(Encryption::all(rotated));
    assert_eq!(read(&rotated, &old).unwrap(), placed("ALFKI"));
    let new = rotated.to_stored(&placed("ALFKI"), &envelope()).unwrap();
    assert_eq!(new.state[..4], [0, 0, 0, 8]);
    assert!(matches!(
        read(&mapper(Cipher::default()), &new),
        Err(MapperError::UnknownKey { key: KeyId(8), .. })
    ));
}

#[test]
fn topics_are_encrypted_one_by_one_and_what_is_required_is_not_read_in_the_clear() {
    let some = Encryption::only(keys(), ["t.order.placed"]);
    let lenient = Mapper::default().encrypted(some.clone());
    let strict = Mapper::default().encrypted(some.required());
    let renamed = OrderEvent::Renamed {
        customer: "BONAP".into(),
    };
    for (event, is_plain) in [(placed("ALFKI"), false), (renamed, true)] {
        let stored = strict.to_stored(&event, &envelope()).unwrap();
        assert_eq!(stored.encoding.is_plain_json(), is_plain);
        assert_eq!(read(&strict, &stored).unwrap(), event);
        let in_the_clear = Mapper::default().to_stored(&event, &envelope()).unwrap();
        assert_eq!(read(&lenient, &in_the_clear).unwrap(), event);
        match read(&strict, &in_the_clear) {
            Ok(read) => assert!(is_plain && read == event),
            Err(MapperError::NotEncrypted { version: 3, .. }) => assert!(!is_plain),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_inflated_whole() {
    let event = placed(&"x".repeat(10_000));
    for mapper in [Mapper::default(), mapper(Cipher::default())] {
        let stored = mapper
            .clone()
            .compressed()
            .to_stored(&event, &envelope())
            .unwrap();
        let bytes = 10_000 + r#"{"customer":""}"#.len();
        let bounded = |max| read(&mapper.clone().with_max_inflated(max), &stored);
        assert_eq!(bounded(bytes).unwrap(), event);
        assert!(matches!(
            bounded(bytes - 1),
            Err(MapperError::TooLarge { max, .. }) if max == bytes - 1
        ));
        // What it would not read, it does not compress.
        let short = mapper.with_max_inflated(bytes - 1).compressed();
        let stored = short.to_stored(&event, &envelope()).unwrap();
        assert_eq!(read(&short, &stored).unwrap(), event);
    }
    let mut bomb = Mapper::default().to_stored(&event, &envelope()).unwrap();
    bomb.encoding = Encoding::new("json+zlib");
    bomb.state = deflated(&vec![b' '; boxes_mapper::DEFAULT_MAX_INFLATED + 1]);
    assert!(bomb.state.len() < 20_000);
    assert!(matches!(
        read(&Mapper::default(), &bomb),
        Err(MapperError::TooLarge { .. })
    ));
}

#[test]
fn compressed_state_that_is_cut_continued_or_none_is_refused() {
    let whole = deflated(br#"{"customer":"ALFKI"}"#);
    let mut stored = Mapper::default()
        .to_stored(&placed("ALFKI"), &envelope())
        .unwrap();
    stored.encoding = Encoding::new("json+zlib");
    stored.state = whole.clone();
    assert_eq!(read(&Mapper::default(), &stored).unwrap(), placed("ALFKI"));
    let cuts = (0..whole.len()).map(|length| whole.slice(..length));
    let continued = Bytes::from([&whole[..], b"x"].concat());
    let other = Bytes::from_static(br#"{"customer":"ALFKI"}"#);
    for state in cuts.chain([continued, other]) {
        stored.state = state;
        assert!(
            matches!(
                read(&Mapper::default(), &stored),
                Err(MapperError::Inflate { .. })
            ),
            "{:?}",
            stored.state
        );
    }
}

#[test]
fn a_mark_that_names_steps_in_another_order_or_twice_is_unknown() {
    let mapper = mapper(Cipher::default());
    let mut stored = mapper.to_stored(&placed("ALFKI"), &envelope()).unwrap();
    for mark in [
        "",
        "aes-256-gcm-siv",
        "json+",
        "json+aes-256-gcm-siv+zlib",
        "json+zlib+zlib",
        "json+aes-256-gcm-siv+aes-256-gcm-siv",
        "cbor+aes-256-gcm-siv",
        "json@orders",
        "json+zlib@orders",
        "@orders",
    ] {
        stored.encoding = Encoding::new(mark);
        assert!(
            matches!(
                read(&mapper, &stored),
                Err(MapperError::UnknownEncoding { .. })
            ),
            "{mark}"
        );
    }
}
