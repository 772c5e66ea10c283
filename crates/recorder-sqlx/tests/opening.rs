//! One log in one file: what is made, what is found, what is refused, what fails, and what is said then.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::fmt::Debug;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boxes_recorder::{
    Append, DEFAULT_PAGE_SIZE, Encoding, Recorder, RecorderError, StoredEvent, StreamRange,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(1);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("orders.sqlite")
    }

    async fn open(&self, log: OpenLog) -> Result<SqliteRecorder, RecorderError> {
        SqliteRecorder::open(text(&self.file()), log).await
    }

    /// A connection of another program.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite:{}", text(&self.file())))
            .await
            .unwrap()
    }

    /// Changes the file behind the recorder's back.
    async fn tamper(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn orders() -> OpenLog {
    OpenLog::named("orders")
}

fn size(page_size: u32) -> NonZeroU32 {
    NonZeroU32::new(page_size).unwrap()
}

fn event(version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128(version.into()),
        originator_id: A,
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn one(version: u64) -> [Append; 1] {
    [Append::new(vec![event(version)])]
}

/// The sentence of a refusal by configuration.
fn mismatch(opened: Result<SqliteRecorder, RecorderError>) -> String {
    match opened {
        Err(RecorderError::Mismatch { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// The sentence of a failure that may pass; nothing of the driver is in it.
fn unavailable<T: Debug>(answer: Result<T, RecorderError>) -> String {
    let Err(error @ RecorderError::Unavailable { .. }) = answer else {
        panic!("{answer:?}")
    };
    let text = error.to_string();
    assert!(
        !text.contains("code") && !text.contains("SELECT") && !text.contains('/'),
        "{text}"
    );
    text
}

#[tokio::test]
async fn a_new_log_gets_the_epoch_and_the_page_size_that_it_was_given_and_keeps_them() {
    let folder = Folder::new();
    let epoch = Uuid::from_u128(42);
    let made = folder
        .open(orders().with_new_epoch(epoch).with_page_size(size(5)))
        .await
        .unwrap();
    assert_eq!(
        (
            made.log().name.as_str(),
            made.log().epoch,
            made.log().page_size
        ),
        ("orders", epoch, size(5))
    );
    let found = folder
        .open(orders().with_new_epoch(Uuid::from_u128(43)))
        .await
        .unwrap();
    assert_eq!(found.log(), made.log());
}

#[tokio::test]
async fn two_new_logs_have_different_epochs_and_the_default_page_size() {
    let (one, other) = (Folder::new(), Folder::new());
    let (one, other) = (
        one.open(orders()).await.unwrap(),
        other.open(orders()).await.unwrap(),
    );
    assert_ne!(one.log().epoch, other.log().epoch);
    assert_eq!(one.log().page_size, DEFAULT_PAGE_SIZE);
}

#[tokio::test]
async fn another_page_size_is_refused_and_both_are_named() {
    let folder = Folder::new();
    folder.open(orders().with_page_size(size(5))).await.unwrap();
    let reason = mismatch(folder.open(orders().with_page_size(size(20))).await);
    assert!(
        reason.contains("page size 5") && reason.contains("20"),
        "{reason}"
    );
}

#[tokio::test]
async fn another_epoch_is_refused_and_a_new_log_too_where_one_is_expected() {
    let folder = Folder::new();
    let (epoch, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let reason = mismatch(folder.open(orders().with_epoch(epoch)).await);
    assert!(
        reason.contains("has no log") && reason.contains(&epoch.to_string()),
        "{reason}"
    );
    // Nothing was made there.
    let made = folder.open(orders().with_new_epoch(epoch)).await.unwrap();
    assert_eq!(made.log().epoch, epoch);
    folder.open(orders().with_epoch(epoch)).await.unwrap();
    let reason = mismatch(folder.open(orders().with_epoch(other)).await);
    assert!(
        reason.contains(&epoch.to_string()) && reason.contains(&other.to_string()),
        "{reason}"
    );
}

#[tokio::test]
async fn the_log_of_another_box_is_refused_and_both_are_named() {
    let folder = Folder::new();
    folder.open(orders()).await.unwrap();
    let reason = mismatch(folder.open(OpenLog::named("payments")).await);
    assert!(
        reason.contains("`orders`") && reason.contains("`payments`"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_refused() {
    let folder = Folder::new();
    folder.open(orders()).await.unwrap().close().await.unwrap();
    folder
        .tamper("UPDATE notification_log SET schema_version = 99")
        .await;
    let reason = mismatch(folder.open(orders()).await);
    assert!(
        reason.contains("schema version 99") && reason.contains("newer"),
        "{reason}"
    );
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let letter = "Dear Sir or Madam, this is not a database. ".repeat(200);
    fs::write(folder.file(), &letter).unwrap();
    let reason = mismatch(folder.open(orders()).await);
    assert!(reason.contains("not a SQLite database"), "{reason}");
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), letter);
}

#[tokio::test]
async fn a_place_that_is_no_file_is_refused() {
    for location in ["", ":memory:", "sqlite::memory:", "sqlite:x?mode=memory"] {
        let reason = mismatch(SqliteRecorder::open(location, orders()).await);
        assert!(reason.contains("names no file"), "{reason}");
    }
    mismatch(SqliteRecorder::open("sqlite:orders.sqlite?colour=red", orders()).await);
}

#[tokio::test]
async fn a_path_and_its_url_are_the_same_file() {
    let folder = Folder::new();
    let by_path = folder.open(orders()).await.unwrap();
    let url = format!("sqlite:{}", text(&folder.file()));
    let by_url = SqliteRecorder::open(&url, orders()).await.unwrap();
    assert_eq!(by_path.log(), by_url.log());
}

#[tokio::test]
async fn a_missing_folder_is_told_without_the_words_of_the_driver() {
    let folder = Folder::new();
    let path = folder.0.path().join("missing").join("orders.sqlite");
    let text = unavailable(SqliteRecorder::open(text(&path), orders()).await);
    assert!(text.contains("does its folder exist"), "{text}");
}

#[tokio::test]
async fn a_batch_that_the_database_refuses_is_refused_whole_and_the_next_one_is_recorded() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    recorder.record(&one(1)).await.unwrap().remove(0).unwrap();
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON stored_event WHEN new.id = 3 BEGIN SELECT RAISE(ABORT, 'no'); END";
    folder.tamper(stop).await;
    // As three statements: 1 + 2 events do not fit into one.
    let three = [Append::new((2..5).map(event).collect())];
    let text = unavailable(recorder.record(&three).await);
    assert!(text.contains("recording: "), "{text}");
    assert_eq!(recorder.head().await.unwrap(), 1);
    folder.tamper("DROP TRIGGER stop").await;
    assert_eq!(
        recorder
            .record(&three)
            .await
            .unwrap()
            .remove(0)
            .unwrap()
            .ids,
        2..5
    );
}

#[tokio::test]
async fn a_damaged_row_is_told_and_not_guessed() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    recorder.record(&one(1)).await.unwrap().remove(0).unwrap();
    folder
        .tamper("UPDATE stored_event SET event_id = x'00'")
        .await;
    let read = recorder.select_notifications(1, 1).await;
    let Err(RecorderError::Broken { reason }) = read else {
        panic!("{read:?}")
    };
    assert!(
        reason.contains("a row is not what this program writes"),
        "{reason}"
    );
}

#[tokio::test]
async fn while_another_program_holds_the_write_lock_writing_waits_and_reading_does_not() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    let mut other = folder.connect().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let batch = one(1);
    let mut writing = recorder.record(&batch);
    let reading = async {
        for _ in 0..20 {
            assert_eq!(recorder.head().await.unwrap(), 0);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        outcome = &mut writing => panic!("{outcome:?}"),
        () = reading => {}
    }
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(writing.await.unwrap().remove(0).unwrap().ids, 1..2);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_all_or_nothing_and_no_lock() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    let mut abandoned = 0;
    for round in 0..200 {
        let head = recorder.head().await.unwrap();
        assert!(head.is_multiple_of(2), "half a request is recorded");
        let batch = [Append::new(vec![event(head + 1), event(head + 2)])];
        let mut writing = recorder.record(&batch);
        // It is dropped at another of its steps each round.
        let mut done = false;
        for _ in 0..round % 20 {
            done = done || futures::poll!(&mut writing).is_ready();
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        abandoned += usize::from(!done);
    }
    assert!(
        abandoned > 0,
        "every request was at its end before it was dropped"
    );
    // What was given up a moment ago may still be on its way to the disk; then this one is late.
    let version = recorder.head().await.unwrap() + 1;
    let outcome = recorder.record(&one(version)).await.unwrap().remove(0);
    assert!(
        outcome.is_ok() || matches!(outcome, Err(RecorderError::VersionConflict { .. })),
        "{outcome:?}"
    );
    let versions = recorder.select_events(A, StreamRange::ALL).await.unwrap();
    assert!(
        versions
            .iter()
            .map(|event| event.originator_version)
            .eq(1..=recorder.head().await.unwrap())
    );
}

#[tokio::test]
async fn a_closed_recorder_leaves_one_file_and_answers_that_it_is_closed() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    recorder.record(&one(1)).await.unwrap().remove(0).unwrap();
    recorder.head().await.unwrap();
    recorder.close().await.unwrap();
    let names: Vec<_> = fs::read_dir(folder.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["orders.sqlite"]);
    assert!(matches!(
        recorder.record(&[]).await,
        Err(RecorderError::Closed)
    ));
    assert!(matches!(recorder.head().await, Err(RecorderError::Closed)));
    let again = folder.open(orders()).await.unwrap();
    assert_eq!(
        again.select_events(A, StreamRange::ALL).await.unwrap(),
        [event(1)]
    );
}

#[tokio::test]
async fn an_erased_value_is_in_no_file_any_more() {
    let folder = Folder::new();
    let recorder = folder.open(orders()).await.unwrap();
    let values = recorder.key_value_store().unwrap();
    let secret = b"a secret that must be gone";
    let holds_it = || {
        let files = fs::read_dir(folder.0.path()).unwrap();
        files
            .filter(|file| {
                let bytes = fs::read(file.as_ref().unwrap().path()).unwrap();
                bytes.windows(secret.len()).any(|window| window == secret)
            })
            .count()
    };
    values.put("key", b"kept", b"another").await.unwrap();
    values.put("key", b"a", secret).await.unwrap();
    // Once in what was written ahead, and again in the database itself.
    folder.tamper("PRAGMA wal_checkpoint(PASSIVE)").await;
    recorder.record(&one(1)).await.unwrap().remove(0).unwrap();
    assert_eq!(holds_it(), 2);
    values.erase("key", b"a").await.unwrap();
    assert_eq!(holds_it(), 0);
    assert_eq!(values.get("key", b"a").await.unwrap(), None);
    assert_eq!(
        values.get("key", b"kept").await.unwrap().unwrap(),
        "another"
    );
    assert_eq!(recorder.head().await.unwrap(), 1);
}
