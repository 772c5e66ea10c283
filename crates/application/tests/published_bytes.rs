//! What a box publishes in other words is the same bytes whenever it is read, whatever the box writes by then.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::num::NonZeroU32;
use std::sync::Arc;

use boxes_application::{App, AppOptions, Notification, PublicLog};
use boxes_domain::{Aggregate, Event, Id};
use boxes_mapper::{Cipher, Encryption, Envelope, Key, KeyId, Keys, Mapper};
use boxes_notification_log::NotificationLog;
use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, StoredEvent,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Clone, Serialize, Deserialize)]
#[event(topic = "orders.note", crate = "boxes_domain")]
enum Note {
    Written { text: String },
}

#[derive(Default, Clone)]
struct Notes;

impl Aggregate for Notes {
    type Event = Note;

    fn apply(&mut self, _: &Note) {}
}

#[derive(Event, Clone, PartialEq, Debug, Serialize, Deserialize)]
#[event(topic = "public.note", crate = "boxes_domain")]
enum Public {
    Noted { words: String },
}

/// Keys of which the first is the current one.
fn keys(current: u32, other: u32) -> Keys {
    let key = |id: u32| Key::new(&[u8::try_from(id).unwrap(); 32]);
    let keys = Keys::new(KeyId(current), key(current));
    keys.and(KeyId(other), key(other)).unwrap()
}

/// What is published of one event that `then` wrote, by the box as `now` writes.
async fn published(then: &Mapper, now: &Mapper) -> StoredEvent {
    let recorder: Arc<dyn Recorder> = Arc::new(MemoryRecorder::new(LogIdentity {
        name: "orders".into(),
        epoch: Uuid::from_u128(1),
        page_size: NonZeroU32::new(5).unwrap(),
    }));
    let envelope = Envelope {
        event_id: Uuid::from_u128(7),
        originator_id: Id::<Notes>::named("notes").uuid(),
        originator_version: 1,
        ..Envelope::default()
    };
    let text = "the same words again and again and again and again and again".to_owned();
    let then = then.clone().of_box("orders");
    let event = then.to_stored(&Note::Written { text }, &envelope).unwrap();
    for outcome in recorder.record(&[Append::new(vec![event])]).await.unwrap() {
        outcome.unwrap();
    }
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default());
    let options = AppOptions {
        mapper: now.clone(),
        ..AppOptions::default()
    };
    let app = App::new(writer.await.unwrap(), options);
    let public = PublicLog::revision(1).translate(|note: Notification<Note>| {
        let Note::Written { text: words } = note.event;
        Some(Public::Noted { words })
    });
    let log = app.public_log("orders/notes", &public);
    log.current().await.unwrap().items.remove(0).event
}

#[tokio::test]
async fn another_format_compression_cipher_or_key_changes_nothing_of_what_was_published() {
    let one = || Encryption::all(keys(1, 2));
    let two = || Encryption::all(keys(2, 1)).with_cipher(Cipher::Aes256CbcHmacSha256);
    let in_the_clear = |of: Encryption| Mapper::default().encrypted(of);
    let reads = Encryption::none(keys(1, 2));
    let ways = [
        in_the_clear(reads.clone()),
        in_the_clear(reads.clone()).message_pack(),
        in_the_clear(reads.clone()).compressed(),
        in_the_clear(reads.clone()).message_pack().compressed(),
    ];
    for then in &ways {
        let first = published(then, then).await;
        for now in &ways {
            assert_eq!(published(then, now).await, first);
        }
    }
    for then in [
        Mapper::default().encrypted(one()),
        Mapper::default().encrypted(two()),
        Mapper::default()
            .message_pack()
            .compressed()
            .encrypted(one()),
    ] {
        let first = published(&then, &then).await;
        assert!(
            first.encoding.as_str().ends_with("@orders"),
            "{}",
            first.encoding
        );
        for now in [
            Mapper::default().encrypted(one()),
            Mapper::default().encrypted(two()),
            Mapper::default().message_pack().encrypted(two()),
            Mapper::default().compressed().encrypted(one()),
        ] {
            let published = published(&then, &now).await;
            assert_eq!(published, first);
            let words = "the same words again and again and again and again and again".to_owned();
            let read = now.of_box("orders").to_own_event::<Public>(&published);
            assert_eq!(read.unwrap(), Public::Noted { words });
        }
    }
}

#[tokio::test]
async fn whether_it_is_encrypted_is_for_its_own_topic_to_say() {
    let encrypted = Mapper::default().encrypted(Encryption::all(keys(1, 2)));
    let but_public = Encryption::all_except(keys(1, 2), ["public"]);
    let clear = published(&encrypted, &Mapper::default().encrypted(but_public)).await;
    assert_eq!(clear.encoding.as_str(), "json");
    // A box that encrypts nothing any more publishes no secret of the past.
    let none = Encryption::none(keys(1, 2));
    let hidden = published(&encrypted, &Mapper::default().encrypted(none)).await;
    assert_eq!(hidden, published(&encrypted, &encrypted).await);
    // Its source is in the clear, so there is no key but the current one, which is another one after a rotation.
    for keys in [keys(1, 2), keys(2, 1)] {
        let all = Mapper::default().encrypted(Encryption::all(keys));
        let published = published(&Mapper::default(), &all).await;
        assert_eq!(published.encoding.as_str(), "json");
    }
}

#[tokio::test]
async fn what_determines_the_bytes_besides_the_events_is_part_of_the_epoch() {
    let public = PublicLog::revision(1).translate(|note: Notification<Note>| {
        let Note::Written { text: words } = note.event;
        Some(Public::Noted { words })
    });
    let epoch = async |mapper: Mapper| {
        let recorder = Arc::new(MemoryRecorder::new(LogIdentity {
            name: "orders".into(),
            epoch: Uuid::from_u128(1),
            page_size: NonZeroU32::new(5).unwrap(),
        }));
        let writer = GroupCommit::start(recorder, GroupCommitBounds::default()).await;
        let options = AppOptions {
            mapper,
            ..AppOptions::default()
        };
        let app = App::new(writer.unwrap(), options);
        let log = app.public_log("orders/notes", &public);
        log.describe().await.unwrap().log.epoch
    };
    let plain = epoch(Mapper::default()).await;
    // In none of these is an encrypted event published in the clear, so the bytes are the same.
    let same = [
        Mapper::default().message_pack().compressed(),
        Mapper::default().encrypted(Encryption::all(keys(1, 2))),
        Mapper::default().encrypted(Encryption::all(keys(2, 1))),
        Mapper::default().encrypted(Encryption::none(keys(1, 2))),
    ];
    for mapper in same {
        assert_eq!(epoch(mapper).await, plain);
    }
    let but_public = || Encryption::all_except(keys(1, 2), ["public"]);
    let other = epoch(Mapper::default().encrypted(but_public())).await;
    assert_ne!(other, plain);
    assert_eq!(
        epoch(Mapper::default().encrypted(but_public())).await,
        other
    );

    let alone = Encryption::only(keys(1, 2), ["public"]);
    let alone = public.encrypted_alone(&Mapper::default().encrypted(alone));
    assert_eq!(alone.map(|(public, _)| public), Some("public.note.noted"));
    let all = Mapper::default().encrypted(Encryption::all(keys(1, 2)));
    assert_eq!(public.encrypted_alone(&all), None);
}
