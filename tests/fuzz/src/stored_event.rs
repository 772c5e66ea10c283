//! What lies in a store, perhaps damaged, perhaps written by somebody else.

use std::borrow::Cow;

use boxes_domain::Event;
use boxes_mapper::{Encryption, Envelope, Key, KeyId, Keys, Mapper};
use boxes_recorder::{Encoding, StoredEvent};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) const WORDS: &[&str] = &[
    "json",
    "+zlib",
    "+aes-256-gcm-siv",
    "+aes-256-cbc-hmac-sha-256",
    "@n",
    " n.written",
    " n.numbered",
    " n.done",
    " 1\n",
    " 2\n",
    "{\"text\":\"",
    "{\"n\":",
    "null",
    "}",
    "\\u0000",
];

/// More than a small input should be able to become.
const MAX_INFLATED: usize = 64 * 1_024;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "n", crate = "boxes_domain")]
enum Noted {
    Written { text: String },
    Numbered { n: Vec<u64> },
    Done,
}

fn mapper() -> Mapper {
    let key = Key::new(&std::array::from_fn(|place| u8::try_from(place).unwrap()));
    Mapper::default()
        .compressed()
        .with_max_inflated(MAX_INFLATED)
        .encrypted(Encryption::all(Keys::new(KeyId(7), key)))
}

/// `mark topic version`, and the state. It is an event or refused; what is an event comes back as it was.
pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let Some(end) = end else { return };
    let Ok(head) = str::from_utf8(&data[..end]) else {
        return;
    };
    let [mark, topic, version] = head.split(' ').collect::<Vec<_>>()[..] else {
        return;
    };
    let Ok(schema_version) = version.parse() else {
        return;
    };
    let mapper = mapper();
    let empty = mapper
        .to_stored(&Noted::Done, &Envelope::default())
        .unwrap();
    let stored = StoredEvent {
        topic: Cow::Owned(topic.to_owned()),
        schema_version,
        encoding: Encoding::new(mark.to_owned()),
        state: Bytes::copy_from_slice(&data[end + 1..]),
        ..empty
    };
    if let Ok(Some(event)) = mapper.to_event::<Noted>(&stored) {
        let again = mapper.to_stored(&event, &Envelope::default()).unwrap();
        assert_eq!(mapper.to_event::<Noted>(&again).unwrap(), Some(event));
    }
}
