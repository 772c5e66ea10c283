//! The log of a box is copied into another store, encrypted and compressed, by the program; and keys are rotated without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use boxes::Event;
use boxes::mapper::{Encryption, Envelope, KeyId, Keys, Mapper, MapperError, StateKey, SubjectKey};
use boxes_application::{
    App, AppOptions, DataKeys, Error, StoredSubjectKeys, SubjectKeyProvider, SystemEdge,
    ValueFolder,
};
use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, Notification, Position, Recorder, StoredEvent,
    StreamRange, Tracking,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.note")]
enum Note {
    Written { text: String },
}

const ONE: &str = "1:0101010101010101010101010101010101010101010101010101010101010101";
const TWO: &str = "2:0202020202020202020202020202020202020202020202020202020202020202";
const UPSTREAM: Uuid = Uuid::from_u128(0x17);

fn keys(text: &str) -> Keys {
    text.parse().unwrap()
}

fn mapper(text: &str) -> Mapper {
    Mapper::default().encrypted(Encryption::all(keys(text)))
}

fn text(n: u64) -> String {
    format!("order {n} is for a person whom nobody knows")
}

async fn open(file: &Path) -> SqliteRecorder {
    SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"))
        .await
        .unwrap()
}

/// A note for each of the numbers, as a box with these keys writes them; every third one in the clear, as from before.
async fn write(recorder: &dyn Recorder, numbers: std::ops::RangeInclusive<u64>) {
    let stored = numbers.map(|n| {
        let envelope = Envelope {
            event_id: Uuid::from_u128(n.into()),
            originator_id: Uuid::from_u128(1),
            originator_version: n,
            ..Envelope::default()
        };
        let mapper = match n % 3 {
            0 => Mapper::default(),
            1 => Mapper::default()
                .message_pack()
                .compressed()
                .encrypted(Encryption::all(keys(ONE))),
            _ => mapper(ONE),
        };
        mapper
            .to_stored(&Note::Written { text: text(n) }, &envelope)
            .unwrap()
    });
    record(recorder, stored.collect()).await;
}

async fn track(recorder: &dyn Recorder, from: Option<u64>, to: u64) {
    let position = |id| Position::new(UPSTREAM, id);
    let step = Tracking {
        follower: "payments".to_owned(),
        epoch: UPSTREAM,
        from: from.map(position),
        to,
        event_id: None,
    };
    let outcomes = recorder
        .record(&[Append::default().with_tracking(step)])
        .await
        .unwrap();
    for outcome in outcomes {
        outcome.unwrap();
    }
}

async fn record(recorder: &dyn Recorder, events: Vec<StoredEvent>) {
    for outcome in recorder.record(&[Append::new(events)]).await.unwrap() {
        outcome.unwrap();
    }
}

async fn log(recorder: &dyn Recorder) -> Vec<Notification> {
    recorder.select_notifications(1, u64::MAX).await.unwrap()
}

struct Shop {
    data: TempDir,
}

impl Shop {
    fn new() -> Self {
        Self {
            data: TempDir::new().unwrap(),
        }
    }

    fn old(&self) -> std::path::PathBuf {
        self.data.path().join("orders.db")
    }

    fn new_log(&self) -> std::path::PathBuf {
        self.data.path().join("orders-2.db")
    }

    fn reencrypt(&self, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let into = format!("sqlite:{}", self.new_log().display());
        self.run(&["reencrypt", "orders", "--into", &into], variables)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        let output = command
            .args(arguments)
            .arg("--data")
            .arg(self.data.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn copy(&self) -> String {
        let (code, said, error) = self.reencrypt(&[("BOXES_KEYS", &format!("{TWO},{ONE}"))]);
        assert_eq!(code, Some(0), "{error}");
        said
    }
}

/// Reads what a log has that has data keys, with these keys configured.
async fn reading(recorder: &SqliteRecorder, by: &str) -> Mapper {
    let data_keys = DataKeys::open(recorder, Arc::new(keys(by)), &SystemEdge).await;
    let data_keys = data_keys.unwrap().unwrap();
    Mapper::default()
        .encrypted(Encryption::all(keys(by)).required())
        .of_box("orders")
        .with_data_keys(data_keys.ring())
}

fn subject_keys(recorder: &SqliteRecorder, by: &str) -> StoredSubjectKeys {
    let keys_of = StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    keys_of.wrapped_by(Arc::new(keys(by)))
}

#[tokio::test]
async fn the_copy_has_the_same_events_under_a_data_key_and_the_log_is_used_no_more() {
    let shop = Shop::new();
    let old = open(&shop.old()).await;
    write(&old, 1..=250).await;
    track(&old, None, 7).await;
    let subject = "customer-7".into();
    let (id, _) = subject_keys(&old, ONE).key_of(&subject).await.unwrap();
    let before = log(&old).await;
    old.close().await.unwrap();

    let said = shop.copy();
    assert!(said.starts_with("250 events are in sqlite:"), "{said}");
    assert!(
        said.contains("with 1 keys of subjects: 250 encrypted with data key 2."),
        "{said}"
    );
    let old = open(&shop.old()).await;
    assert_eq!(log(&old).await, before);

    let new = open(&shop.new_log()).await;
    assert_ne!(new.log().epoch, old.log().epoch, "another history");
    assert_eq!(new.log().page_size, old.log().page_size);
    let after = log(&new).await;
    let two = reading(&new, TWO).await;
    for ((one, other), n) in before.iter().zip(&after).zip(1..) {
        assert_eq!(
            (one.id, one.event.event_id),
            (other.id, other.event.event_id)
        );
        assert_eq!(one.event.occurred_on, other.event.occurred_on);
        assert_eq!(one.event.metadata, other.event.metadata);
        // Also what was encrypted before names were bound in, as all of the old log.
        let mark = other.event.encoding.as_str();
        assert!(mark.ends_with("+aes-256-gcm-siv-data-key@orders"), "{mark}");
        let event: Note = two.to_own_event(&other.event).unwrap();
        assert_eq!(event, Note::Written { text: text(n) });
        let refused = mapper(ONE).to_own_event::<Note>(&other.event);
        assert!(
            matches!(refused, Err(MapperError::UnknownDataKey { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(after.len(), 250);
    let stream = new
        .select_events(Uuid::from_u128(1), StreamRange::ALL)
        .await
        .unwrap();
    assert_eq!(stream.len(), 250);
    let position = new.tracking("payments").await.unwrap().unwrap();
    assert_eq!((position.epoch, position.id), (UPSTREAM, 7));
    // The key of the subject needs the old key no more.
    let key = subject_keys(&new, TWO).key(id).await.unwrap();
    assert!(matches!(key, Some(SubjectKey::Key(_))), "{key:?}");
    let found = subject_keys(&new, TWO).key_of(&subject).await.unwrap();
    assert_eq!(found.0, id);
}

/// What brought people back: a deletion or a forgetting between two runs, in either log.
#[tokio::test]
async fn whoever_is_deleted_or_forgotten_before_is_so_in_the_copy_and_nobody_is_afterwards_in_the_log()
 {
    let shop = Shop::new();
    let old = open(&shop.old()).await;
    write(&old, 1..=120).await;
    let deleted = Uuid::from_u128(2);
    let envelope = Envelope {
        event_id: Uuid::from_u128(1_000),
        originator_id: deleted,
        originator_version: 1,
        ..Envelope::default()
    };
    let stored = mapper(ONE).to_stored(&Note::Written { text: text(0) }, &envelope);
    record(&old, vec![stored.unwrap()]).await;
    old.delete_stream(deleted).await.unwrap();
    write(&old, 121..=130).await;
    let (ann, _) = subject_keys(&old, ONE).key_of(&"ann".into()).await.unwrap();
    let (bob, _) = subject_keys(&old, ONE).key_of(&"bob".into()).await.unwrap();
    subject_keys(&old, ONE).forget(&"ann".into()).await.unwrap();
    let before = log(&old).await;
    old.close().await.unwrap();

    let said = shop.copy();
    assert!(
        said.contains("130 encrypted with data key 2, 1 redacted"),
        "{said}"
    );
    let new = open(&shop.new_log()).await;
    let after = log(&new).await;
    assert_eq!(after[120], before[120], "what is left of the deleted one");
    assert_eq!(new.n_redacted().await.unwrap(), 1);
    let kept = subject_keys(&new, TWO);
    assert!(matches!(
        kept.key(ann).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    assert!(matches!(
        kept.key(bob).await.unwrap(),
        Some(SubjectKey::Key(_))
    ));
    assert!(
        !kept.forget(&"ann".into()).await.unwrap(),
        "her name is still there"
    );
    new.close().await.unwrap();

    // Nothing can be done to the log that would be missing in the copy.
    let both = format!("{TWO},{ONE}");
    let variables = [("BOXES_KEYS", both.as_str())];
    let nowhere = "http://127.0.0.1:9/notifications";
    let follow =
        ["inventory", "payments", "shipping"].map(|name| format!("--follow={name}={nowhere}"));
    let follow = follow.each_ref().map(String::as_str);
    let serve = [&["serve", "orders"][..], &follow].concat();
    let id = deleted.to_string();
    let again = format!("sqlite:{}", shop.new_log().display());
    let another = format!("sqlite:{}", shop.data.path().join("3.db").display());
    for refused in [
        serve.as_slice(),
        &["forget", "bob", "orders"],
        &["delete", "orders", &id, "--yes", "--redactable", "orders"],
        &["reencrypt", "orders", "--into", &again],
        &["reencrypt", "orders", "--into", &another],
    ] {
        let (code, _, said) = shop.run(refused, &variables);
        assert!(
            code != Some(0) && said.contains("was copied"),
            "{refused:?}: {said}"
        );
    }
    // But one may return, and then a copy is another one.
    let (code, said, _) = shop.run(&["reencrypt", "orders", "--return"], &[]);
    assert!(
        code == Some(0) && said.contains("may be used again"),
        "{said}"
    );
    let (code, said, error) = shop.run(&["forget", "bob", "orders"], &variables);
    assert!(code == Some(0), "{said}{error}");
    let (code, _, said) = shop.run(&["reencrypt", "orders", "--into", &again], &variables);
    assert!(
        code == Some(1) && said.contains("holds a finished one"),
        "{said}"
    );
    let (code, _, said) = shop.run(&["reencrypt", "orders", "--into", &another], &variables);
    assert_eq!(code, Some(0), "{said}");
    let third = open(&shop.data.path().join("3.db")).await;
    let bob = subject_keys(&third, TWO).key(bob).await.unwrap();
    assert!(matches!(bob, Some(SubjectKey::Forgotten)));
}

#[tokio::test]
async fn what_can_not_be_is_refused_in_a_sentence() {
    let shop = Shop::new();
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", TWO)]);
    assert!(
        code == Some(2) && said.contains("the box `orders` has no events at"),
        "{said}"
    );
    assert!(!shop.old().exists() && !shop.new_log().exists());

    let old = open(&shop.old()).await;
    write(&old, 1..=3).await;
    old.close().await.unwrap();
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", TWO)]);
    assert!(
        code == Some(1) && said.contains("event 1 can't be read") && said.contains("key 1"),
        "{said}"
    );
    assert!(!shop.new_log().exists());

    // One file, named in two ways.
    let both = format!("{TWO},{ONE}");
    let folder = shop.data.path();
    let other_name = folder
        .join("..")
        .join(folder.file_name().unwrap())
        .join("orders.db");
    let other_name = format!("sqlite:{}", other_name.display());
    let (code, _, said) = shop.run(
        &["reencrypt", "orders", "--into", &other_name],
        &[("BOXES_KEYS", &both)],
    );
    assert!(
        code == Some(1) && said.contains("that of the log itself"),
        "{said}"
    );
    let old = open(&shop.old()).await;
    assert_eq!(old.head().await.unwrap(), 3);
    old.close().await.unwrap();

    // Another log, and what an interrupted run has left.
    let new = open(&shop.new_log()).await;
    write(&new, 1..=3).await;
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", &both)]);
    assert!(
        code == Some(1) && said.contains("holds events already"),
        "{said}"
    );
    let begun = format!(
        r#"{{"state":"begun","epoch":"{}","head":3,"n_redacted":0}}"#,
        Uuid::from_u128(7)
    );
    let store = new.key_value_store().unwrap();
    store
        .put("log-copy", b"state", begun.as_bytes())
        .await
        .unwrap();
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", &both)]);
    assert!(
        code == Some(1) && said.contains("an unfinished one"),
        "{said}"
    );
    let store = format!("orders=sqlite:{}", shop.new_log().display());
    let (code, _, said) = shop.run(&["forget", "ann", "orders", "--store", &store], &[]);
    assert!(
        code == Some(2) && said.contains("an unfinished copy"),
        "{said}"
    );
}

/// A rotation: another configured key, and not a byte of the log is another one.
#[tokio::test]
async fn to_rotate_a_key_changes_one_row_and_the_old_key_is_needed_no_more() {
    let shop = Shop::new();
    let old = open(&shop.old()).await;
    let by_one = reading(&old, ONE).await;
    let stored = (1..=30).map(|n| {
        let envelope = Envelope {
            event_id: Uuid::from_u128(n),
            originator_id: Uuid::from_u128(1),
            originator_version: u64::try_from(n).unwrap(),
            ..Envelope::default()
        };
        by_one
            .to_stored(&Note::Written { text: "x".into() }, &envelope)
            .unwrap()
    });
    record(&old, stored.collect()).await;
    let before = log(&old).await;
    let row = DataKeys::stored(&old).await.unwrap().unwrap();
    let both = format!("{TWO},{ONE}");
    let variables = [("BOXES_KEYS", both.as_str())];
    let (code, said, error) = shop.run(&["rewrap-keys"], &variables);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        said.contains("The log `orders` has 1 data key(s), encrypted with key 2."),
        "{said}"
    );
    assert_eq!(log(&old).await, before);
    let rewrapped = DataKeys::stored(&old).await.unwrap().unwrap();
    assert_ne!(rewrapped, row);
    let by_two = reading(&old, TWO).await;
    for item in &before {
        by_two.to_own_event::<Note>(&item.event).unwrap();
    }
    let refused = DataKeys::open(&old, Arc::new(keys(ONE)), &SystemEdge).await;
    assert!(matches!(
        refused,
        Err(Error::Mapper(MapperError::DataKey(_)))
    ));
    let (_, said, _) = shop.run(&["rewrap-keys"], &variables);
    assert!(said.contains("encrypted with key 2 already."), "{said}");

    // A data key that was disclosed gets a successor, for new events.
    let (code, said, error) = shop.run(&["rewrap-keys", "--new-data-keys"], &variables);
    assert!(
        code == Some(0) && said.contains("has 2 data key(s)"),
        "{said}{error}"
    );
    let by_two = reading(&old, TWO).await;
    by_two.to_own_event::<Note>(&before[0].event).unwrap();
    let envelope = Envelope::default();
    let stored = by_two
        .to_stored(&Note::Written { text: "x".into() }, &envelope)
        .unwrap();
    assert_eq!(Mapper::key_of(&stored), Some(StateKey::Data(KeyId(2))));
}

/// Keys in a store that services share, and beside the log of a box.
#[tokio::test]
async fn keys_of_subjects_are_encrypted_anew_where_they_are_and_no_file_has_them_in_the_clear() {
    let shop = Shop::new();
    let folder = shop.data.path();
    let shared = folder.join("keys.db");
    let rewrap = |keys: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        if !keys.is_empty() {
            command.env("BOXES_KEYS", keys);
        }
        let output = command
            .args(["rewrap-keys", "--data"])
            .arg(folder)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), said, error)
    };
    let place = format!("sqlite:{}", shared.display());
    let shared = SqliteRecorder::open(shared.to_str().unwrap(), OpenLog::named("subject-keys"));
    let shared = shared.await.unwrap().key_value_store().unwrap();
    let own = open(&shop.old()).await.key_value_store().unwrap();
    let plain = StoredSubjectKeys::new(Arc::clone(&shared));
    let (ann, key) = plain.key_of(&"ann".into()).await.unwrap();
    let key = SubjectKey::Key(key).to_bytes(ann, None, None).unwrap();
    let wrapped = |store: &Arc<dyn boxes_recorder::KeyValueStore>, by| {
        StoredSubjectKeys::new(Arc::clone(store)).wrapped_by(Arc::new(keys(by)))
    };
    let (bob, _) = wrapped(&own, ONE).key_of(&"bob".into()).await.unwrap();
    let files_with_it = || {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        // The memory that processes share of a file is not its content.
        let files = files.map(|file| std::fs::read(file.path()).unwrap());
        files
            .filter(|bytes| bytes.windows(key.len() - 1).any(|at| at == &key[1..]))
            .count()
    };
    assert!(files_with_it() > 0);

    let arguments = ["--subject-keys", place.as_str()];
    let (code, _, error) = rewrap("", &arguments);
    assert!(
        code == Some(2) && error.contains("set BOXES_KEYS or --keys-file"),
        "{error}"
    );
    let both = format!("{TWO},{ONE}");
    let (code, _, error) = rewrap(&both, &arguments);
    assert!(
        code == Some(1) && error.contains("stored in plaintext") && error.contains("--plain"),
        "{error}"
    );
    let arguments = [arguments[0], arguments[1], "--plain"];
    let (code, _, error) = rewrap(TWO, &arguments);
    assert!(
        code == Some(1) && error.contains(&format!("the key {bob} of a subject is encrypted with")),
        "{error}"
    );
    let (code, said, error) = rewrap(&both, &arguments);
    assert_eq!(code, Some(0), "{error}");
    // Ann's was done by the run that ended early.
    assert!(
        said.starts_with("2 keys of subjects are encrypted with key 2 in sqlite:")
            && said.contains("orders.db, sqlite:")
            && said.contains("this run did 1 of them"),
        "{said}"
    );
    assert_eq!(files_with_it(), 0);
    let read = wrapped(&shared, TWO).key(ann).await.unwrap().unwrap();
    assert_eq!(read.to_bytes(ann, None, None).unwrap(), key);
    let read = wrapped(&own, TWO).key(bob).await.unwrap();
    assert!(matches!(read, Some(SubjectKey::Key(_))), "{read:?}");
    let (_, said, _) = rewrap(&both, &arguments);
    assert!(said.contains("this run did 0 of them"), "{said}");
    let (_, help, _) = rewrap("", &["--help"]);
    assert!(
        help.contains("--keys-file") && help.contains("--subject-keys") && !help.contains("--bind"),
        "{help}"
    );
}

/// What a box has that is on this recorder and has these keys, with its values in a folder if one is named.
async fn app(recorder: SqliteRecorder, by: &str, values: Option<&Path>) -> App {
    let writer = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default());
    let writer = writer.await.unwrap();
    let data_keys = DataKeys::open(&**writer.recorder(), Arc::new(keys(by)), &SystemEdge).await;
    let options = AppOptions {
        mapper: mapper(by),
        data_keys: data_keys.unwrap(),
        value_folder: values.map(|folder| ValueFolder::open(folder.join("orders")).unwrap()),
        ..AppOptions::default()
    };
    App::new(writer, options)
}

#[tokio::test]
async fn values_that_are_stored_apart_come_along_and_both_logs_read_those_in_a_folder() {
    for in_folder in [false, true] {
        let shop = Shop::new();
        let folder = shop.data.path().join("values");
        let (values, variable) = match in_folder {
            true => (Some(&*folder), folder.to_str().unwrap()),
            false => (None, ""),
        };
        let pictures = ["a", "b"].map(|name| name.repeat(20_000));
        let mut kept = Vec::new();
        // One as it was written before there were data keys.
        let writer = GroupCommit::start(
            Arc::new(open(&shop.old()).await),
            GroupCommitBounds::default(),
        );
        let options = AppOptions {
            mapper: mapper(ONE),
            value_folder: values.map(|folder| ValueFolder::open(folder.join("orders")).unwrap()),
            ..AppOptions::default()
        };
        let first = App::new(writer.await.unwrap(), options);
        kept.push(first.keep(pictures[0].clone()).await.unwrap());
        let old = app(open(&shop.old()).await, ONE, values).await;
        kept.push(old.keep(pictures[1].clone()).await.unwrap());
        let both = format!("{TWO},{ONE}");
        let variables = [("BOXES_KEYS", both.as_str()), ("BOXES_ENCRYPT", "all")];
        let folder_of_values = [("BOXES_VALUES_FOLDER", variable)];
        let variables = [&variables[..], &folder_of_values[..usize::from(in_folder)]].concat();
        let (code, said, error) = shop.run(&["rewrap-keys"], &variables);
        assert_eq!(code, Some(0), "{said}{error}");
        let (code, said, error) = shop.reencrypt(&variables);
        assert_eq!(code, Some(0), "{error}");
        assert!(said.contains("with 2 large values"), "{said}");
        let new = app(open(&shop.new_log()).await, TWO, values).await;
        let old = app(open(&shop.old()).await, TWO, values).await;
        for (large, picture) in kept.iter().zip(&pictures) {
            assert_eq!(new.value(large).await.unwrap(), *picture);
            assert_eq!(old.value(large).await.unwrap(), *picture);
        }
    }
}
