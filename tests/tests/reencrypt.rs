//! The log of a box is stored anew under a new key, by the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path;
use std::process::Command;

use boxes::Event;
use boxes::mapper::{Encryption, Envelope, Keys, Mapper, MapperError, SubjectKey};
use boxes_application::{
    App, AppOptions, Error, StoredSubjectKeys, SubjectKeyProvider, ValueFolder,
};
use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, Notification, Position, Recorder, StreamRange, Tracking,
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
    let append = Append::new(stored.collect());
    for outcome in recorder.record(&[append]).await.unwrap() {
        outcome.unwrap();
    }
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

    /// Exit code, standard output, standard error.
    fn reencrypt(&self, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        let into = format!("sqlite:{}", self.new_log().display());
        let output = command
            .args(["reencrypt", "orders", "--into", &into, "--data"])
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

    fn to_two(&self) -> String {
        let (code, said, error) = self.reencrypt(&[("BOXES_KEYS", &format!("{TWO},{ONE}"))]);
        assert_eq!(code, Some(0), "{error}");
        said
    }
}

#[tokio::test]
async fn the_new_log_has_the_same_events_under_the_new_key_and_the_old_one_is_as_it_was() {
    let shop = Shop::new();
    let old = open(&shop.old()).await;
    write(&old, 1..=250).await;
    track(&old, None, 7).await;
    let subject = "customer-7".into();
    let of_one = |recorder: &SqliteRecorder, by| {
        StoredSubjectKeys::new(recorder.key_value_store().unwrap())
            .wrapped_by(std::sync::Arc::new(keys(by)))
    };
    let (id, _) = of_one(&old, ONE).key_of(&subject).await.unwrap();
    let before = log(&old).await;

    // While the old one is open, as by a box that runs.
    let said = shop.to_two();
    assert!(said.starts_with("250 events are in sqlite:"), "{said}");
    assert!(
        said.contains("with 1 keys of subjects; this run stored 250 of them"),
        "{said}"
    );
    assert_eq!(log(&old).await, before);

    let new = open(&shop.new_log()).await;
    assert_ne!(new.log().epoch, old.log().epoch, "another history");
    assert_eq!(new.log().page_size, old.log().page_size);
    let after = log(&new).await;
    let two = mapper(TWO).encrypted(Encryption::all(keys(TWO)).required());
    for ((one, other), n) in before.iter().zip(&after).zip(1..) {
        assert_eq!(
            (one.id, one.event.event_id),
            (other.id, other.event.event_id)
        );
        assert_eq!(one.event.occurred_on, other.event.occurred_on);
        assert_eq!(one.event.metadata, other.event.metadata);
        // Also what was encrypted before names were bound in, as all of the old log.
        let mark = other.event.encoding.as_str();
        assert!(mark.ends_with("+aes-256-gcm-siv@orders"), "{mark}");
        let event: Note = two.to_own_event(&other.event).unwrap();
        assert_eq!(event, Note::Written { text: text(n) });
        let refused = mapper(ONE).to_own_event::<Note>(&other.event);
        assert!(
            matches!(refused, Err(MapperError::UnknownKey { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(after.len(), 250);
    let stream = new
        .select_events(Uuid::from_u128(1), StreamRange::ALL)
        .await
        .unwrap();
    assert_eq!(stream.len(), 250);
    assert_eq!(
        new.tracking("payments").await.unwrap(),
        Some(Position::new(UPSTREAM, 7))
    );
    // The key of the subject needs the old key no more.
    let key = of_one(&new, TWO).key(id).await.unwrap();
    assert!(matches!(key, Some(SubjectKey::Key(_))), "{key:?}");
    assert_eq!(of_one(&new, TWO).key_of(&subject).await.unwrap().0, id);
}

#[tokio::test]
async fn it_goes_on_where_it_was_with_what_was_recorded_and_forgotten_since() {
    let shop = Shop::new();
    let old = open(&shop.old()).await;
    write(&old, 1..=120).await;
    track(&old, None, 7).await;
    let keys_of =
        |recorder: &SqliteRecorder| StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    let (ann, _) = keys_of(&old).key_of(&"ann".into()).await.unwrap();
    let (bob, _) = keys_of(&old).key_of(&"bob".into()).await.unwrap();
    shop.to_two();
    let first = log(&open(&shop.new_log()).await).await;

    write(&old, 121..=130).await;
    track(&old, Some(7), 9).await;
    keys_of(&old).forget(&"ann".into()).await.unwrap();
    let said = shop.to_two();
    assert!(
        said.starts_with("130 events are in") && said.contains("this run stored 10 of them"),
        "{said}"
    );
    let new = open(&shop.new_log()).await;
    let second = log(&new).await;
    assert_eq!(second[..120], first);
    assert_eq!(second.len(), 130);
    assert_eq!(new.tracking("payments").await.unwrap().unwrap().id, 9);
    let wrapped = keys_of(&new).wrapped_by(std::sync::Arc::new(keys(TWO)));
    assert!(matches!(
        wrapped.key(ann).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));
    assert!(matches!(
        wrapped.key(bob).await.unwrap(),
        Some(SubjectKey::Key(_))
    ));
    assert!(
        !wrapped.forget(&"ann".into()).await.unwrap(),
        "her name is still there"
    );

    // Nothing is left to do, and it says so.
    let said = shop.to_two();
    assert!(said.contains("this run stored 0 of them"), "{said}");
    assert_eq!(log(&new).await, second);
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
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", TWO)]);
    assert!(
        code == Some(1) && said.contains("event 1 can't be read") && said.contains("key 1"),
        "{said}"
    );
    assert_eq!(open(&shop.new_log()).await.head().await.unwrap(), 0);

    // A box was served from the new log, and has gone on there.
    shop.to_two();
    let new = open(&shop.new_log()).await;
    write(&new, 4..=4).await;
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", &format!("{TWO},{ONE}"))]);
    assert!(
        code == Some(1) && said.contains("events that are none of this one"),
        "{said}"
    );
    // And the old one as well, so that the two have parted.
    let mut other = log(&new).await.remove(3).event;
    other.event_id = Uuid::from_u128(999);
    old.record(&[Append::new(vec![other])])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    let (code, _, said) = shop.reencrypt(&[("BOXES_KEYS", &format!("{TWO},{ONE}"))]);
    assert!(
        code == Some(1) && said.contains("events that are none of this one"),
        "{said}"
    );
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
    let plain = StoredSubjectKeys::new(std::sync::Arc::clone(&shared));
    let (ann, key) = plain.key_of(&"ann".into()).await.unwrap();
    let key = SubjectKey::Key(key).to_bytes(ann, None).unwrap();
    let wrapped = |store: &std::sync::Arc<dyn boxes_recorder::KeyValueStore>, by| {
        StoredSubjectKeys::new(std::sync::Arc::clone(store))
            .wrapped_by(std::sync::Arc::new(keys(by)))
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
    let (code, _, error) = rewrap(TWO, &arguments);
    assert!(
        code == Some(1) && error.contains(&format!("the key {bob} of a subject is encrypted with")),
        "{error}"
    );
    let both = format!("{TWO},{ONE}");
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
    assert_eq!(read.to_bytes(ann, None).unwrap(), key);
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
async fn app(recorder: SqliteRecorder, keys: &str, values: Option<&Path>) -> App {
    let writer = GroupCommit::start(std::sync::Arc::new(recorder), GroupCommitBounds::default());
    let options = AppOptions {
        mapper: mapper(keys),
        value_folder: values.map(|folder| ValueFolder::open(folder.join("orders")).unwrap()),
        ..AppOptions::default()
    };
    App::new(writer.await.unwrap(), options)
}

#[tokio::test]
async fn values_that_are_stored_apart_come_along_and_are_encrypted_anew() {
    for in_folder in [false, true] {
        let shop = Shop::new();
        let folder = shop.data.path().join("values");
        let (values, variable) = match in_folder {
            true => (Some(&*folder), folder.to_str().unwrap()),
            false => (None, ""),
        };
        let old = app(open(&shop.old()).await, ONE, values).await;
        let pictures = ["a", "b"].map(|name| name.repeat(20_000));
        let mut kept = Vec::new();
        for picture in &pictures {
            kept.push(old.keep(picture.clone()).await.unwrap());
        }
        let variables = [
            ("BOXES_KEYS", &*format!("{TWO},{ONE}")),
            ("BOXES_ENCRYPT", "all"),
        ];
        let folder_of_values = [("BOXES_VALUES_FOLDER", variable)];
        let variables = [&variables[..], &folder_of_values[..usize::from(in_folder)]].concat();
        for _ in 0..2 {
            let (code, said, error) = shop.reencrypt(&variables);
            assert_eq!(code, Some(0), "{error}");
            assert!(said.contains("with 2 large values"), "{said}");
        }
        let new = app(open(&shop.new_log()).await, TWO, values).await;
        for (large, picture) in kept.iter().zip(&pictures) {
            assert_eq!(new.value(large).await.unwrap(), *picture);
        }
        // With the old key alone they are not read, but where nothing was to change.
        let old_key = app(open(&shop.new_log()).await, ONE, values).await;
        let read = old_key.value(&kept[0]).await;
        assert!(matches!(read, Err(Error::Mapper(_))), "{read:?}");
        assert_eq!(old.value(&kept[0]).await.is_ok(), !in_folder);
    }
}
