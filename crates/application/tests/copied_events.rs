//! Encrypted events that somebody copies from one box into another, which has the same keys.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::error::Error as _;
use std::num::NonZeroU32;
use std::sync::Arc;

use boxes_application::{
    App, AppOptions, Error, Follower, FollowerError, FollowerOptions, Notification, Policies,
    PublicLog,
};
use boxes_domain::{Aggregate, Event, Id};
use boxes_mapper::{Encryption, Envelope, Key, KeyId, Keys, Mapper, MapperError, Topics};
use boxes_notification_log::NotificationLog;
use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, StoredEvent,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Both boxes have such notes.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "shared.note", crate = "boxes_domain")]
enum Note {
    Written { text: String },
}

#[derive(Default, Clone)]
struct Notes {
    texts: Vec<String>,
}

impl Aggregate for Notes {
    type Event = Note;

    fn apply(&mut self, Note::Written { text }: &Note) {
        self.texts.push(text.clone());
    }
}

fn notes() -> Id<Notes> {
    Id::named("notes")
}

/// What both are configured with.
fn mapper() -> Mapper {
    let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
    Mapper::default().encrypted(Encryption::all(keys).required())
}

/// The first note, as it is stored where `mapper` is used.
fn stored(mapper: &Mapper) -> StoredEvent {
    let envelope = Envelope {
        event_id: Uuid::from_u128(7),
        originator_id: notes().uuid(),
        originator_version: 1,
        ..Envelope::default()
    };
    let text = "for your eyes only".to_owned();
    mapper
        .to_stored(&Note::Written { text }, &envelope)
        .unwrap()
}

/// The box of this name, whose store holds `event`.
async fn app_with(name: &str, event: StoredEvent) -> App {
    let recorder: Arc<dyn Recorder> = Arc::new(MemoryRecorder::new(LogIdentity {
        name: name.into(),
        epoch: Uuid::from_u128(1),
        page_size: NonZeroU32::new(5).unwrap(),
    }));
    for outcome in recorder.record(&[Append::new(vec![event])]).await.unwrap() {
        outcome.unwrap();
    }
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default())
        .await
        .unwrap();
    let mut topics = Topics::default();
    topics.register::<Note>().unwrap();
    App::new(
        writer,
        AppOptions {
            topics,
            mapper: mapper(),
            ..AppOptions::default()
        },
    )
}

async fn copy(notification: Notification<Note>, app: App) -> Result<(), Error> {
    app.upsert(notes(), move |_: &Notes| notification.event.clone())
        .await?;
    Ok(())
}

/// What a box that follows `log` under the name `upstream` says when it comes to the first event.
async fn followed(log: Arc<dyn NotificationLog>, upstream: &str) -> Result<(), FollowerError> {
    let nothing = StoredEvent {
        originator_id: Uuid::from_u128(99),
        ..stored(&mapper().of_box("reader"))
    };
    // Not of the same aggregate, so that it is not read.
    let app = app_with("reader", nothing).await;
    let mut policies = Policies::default();
    policies.follow(upstream, copy);
    let options = FollowerOptions::default();
    let mut follower = Follower::new(app, upstream, &policies, log, options);
    follower.catch_up().await.map(|_| ())
}

#[tokio::test]
async fn a_box_reads_its_own_encrypted_events_and_those_from_before_names_were_bound_in() {
    for event in [stored(&mapper().of_box("orders")), stored(&mapper())] {
        let app = app_with("orders", event).await;
        assert_eq!(app.get(notes()).await.unwrap().texts.len(), 1);
    }
}

#[tokio::test]
async fn an_event_that_was_copied_from_another_box_is_refused_by_the_box_and_by_its_followers() {
    let copied = stored(&mapper().of_box("payments"));
    let app = app_with("orders", copied).await;
    let error = app.get(notes()).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::Mapper(MapperError::OtherBox { written, read, .. }) if written == "payments" && read == "orders"),
        "{error:?}"
    );

    let error = followed(Arc::new(app.notification_log()), "orders")
        .await
        .unwrap_err();
    let source = error.source().unwrap().to_string();
    assert!(
        source.contains("encrypted by the box `payments`") && source.contains("of `orders`"),
        "{source}"
    );
}

#[tokio::test]
async fn the_logs_of_a_box_are_followed_as_those_of_the_box() {
    let own = stored(&mapper().of_box("orders"));
    let app = app_with("orders", own).await;
    let log: Arc<dyn NotificationLog> = Arc::new(app.notification_log());
    followed(log, "orders").await.unwrap();
    for public in [
        PublicLog::revision(1).pass::<Note>(),
        PublicLog::revision(1).translate(|note: Notification<Note>| Some(note.event)),
    ] {
        let log = app.public_log("orders/notes", &public);
        followed(Arc::new(log), "orders/notes").await.unwrap();
    }
}

#[tokio::test]
async fn what_was_published_before_names_were_bound_in_stays_as_it_was() {
    let before = stored(&mapper());
    let app = app_with("orders", before.clone()).await;
    let public = PublicLog::revision(1).translate(|note: Notification<Note>| Some(note.event));
    let log = app.public_log("orders/notes", &public);
    let section = log.current().await.unwrap();
    let published = section.items.first().unwrap();
    assert_eq!(published.event.encoding, before.encoding);
    assert_eq!(published.event.state, before.state);
}
