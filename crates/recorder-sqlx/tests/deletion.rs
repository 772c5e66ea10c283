//! What is left of a deleted stream in the files of SQLite: nothing of what it said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, RecorderError, StoredEvent,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

const SECRET: &str = "Erika Mustermann, Heidestrasse 17";

/// Of the aggregate and the version, with so many bytes of state beside the secret, if it has one.
fn event(originator: u128, version: u64, secret: &str, n_bytes: usize) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128((originator << 64) | u128::from(version)),
        originator_id: Uuid::from_u128(originator),
        originator_version: version,
        topic: "customers.customer.registered".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: format!(r#"{{"name":"{secret}","fill":"{}"}}"#, "x".repeat(n_bytes)).into(),
        metadata: format!(r#"{{"by":"{secret}"}}"#).into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// How often the secret stands in the database and beside it.
fn n_secrets(folder: &Path) -> usize {
    let files = fs::read_dir(folder).unwrap();
    let bytes = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    let in_file = |bytes: Vec<u8>| {
        let places = bytes.windows(SECRET.len());
        places.filter(|place| *place == SECRET.as_bytes()).count()
    };
    bytes.map(in_file).sum()
}

#[tokio::test]
async fn nothing_of_what_a_deleted_stream_said_is_left_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.db");
    let open = async || {
        let log = OpenLog::named("customers");
        SqliteRecorder::open(path.to_str().unwrap(), log).await
    };
    let recorder = open().await.unwrap();
    // Small ones, which lie on a page with others, and large ones, which have pages of their own.
    for version in 1..=40 {
        let n_bytes = if version % 4 == 0 { 20_000 } else { 10 };
        let of_both = vec![
            event(1, version, SECRET, n_bytes),
            event(2, version, "", n_bytes),
        ];
        let outcomes = recorder.record(&[Append::new(of_both)]).await.unwrap();
        outcomes[0].as_ref().unwrap();
    }
    assert!(n_secrets(folder.path()) >= 80);
    let before = recorder.select_notifications(1, 100).await.unwrap();

    let deletion = recorder.delete_stream(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(deletion.n_events, 40);
    recorder.erase_deleted().await.unwrap();
    assert_eq!(n_secrets(folder.path()), 0);
    recorder.close().await.unwrap();
    assert_eq!(n_secrets(folder.path()), 0);

    let after = open().await.unwrap();
    let after = after.select_notifications(1, 100).await.unwrap();
    assert_eq!(after.len(), 80);
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.event.topic, before.event.topic);
        if after.event.originator_id == Uuid::from_u128(2) {
            assert_eq!(after, before);
        }
    }
}

/// A backup reads for minutes: those who record do not wait for it, only who wants to know that it is erased.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_elsewhere_holds_up_the_erasure_and_no_append() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.db");
    let log = OpenLog::named("customers");
    let recorder = SqliteRecorder::open(path.to_str().unwrap(), log)
        .await
        .unwrap();
    let recorder = Arc::new(recorder);
    let commit = GroupCommit::start(recorder.clone(), GroupCommitBounds::default())
        .await
        .unwrap();
    let appended = Append::new(vec![event(1, 1, SECRET, 10), event(2, 1, "", 10)]);
    commit.append(appended).await.unwrap();

    let mut reader = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT id FROM stored_event")
        .fetch_all(&mut *reading)
        .await
        .unwrap();

    let deleting = tokio::spawn({
        let commit = commit.clone();
        async move { commit.delete_stream(Uuid::from_u128(1)).await }
    });
    let mut redacted = commit.watch_redacted();
    redacted.wait_for(|n| *n == 1).await.unwrap();
    // Each in its turn behind the deletion, while the reader reads.
    for version in 2..=20 {
        let append = Append::new(vec![event(2, version, "", 10)]);
        commit.append(append).await.unwrap();
    }
    assert!(!deleting.is_finished());
    assert!(n_secrets(folder.path()) > 0);

    reading.rollback().await.unwrap();
    assert_eq!(deleting.await.unwrap().unwrap().n_events, 1);
    assert_eq!(n_secrets(folder.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_can_not_be_erased_in_time_says_so_and_is_erased_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.db");
    let log = OpenLog::named("customers");
    let recorder = SqliteRecorder::open(path.to_str().unwrap(), log)
        .await
        .unwrap();
    let appended = Append::new(vec![event(1, 1, SECRET, 10)]);
    recorder.record(&[appended]).await.unwrap();
    let mut reader = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT id FROM stored_event")
        .fetch_all(&mut *reading)
        .await
        .unwrap();

    recorder.delete_stream(Uuid::from_u128(1)).await.unwrap();
    let waited = recorder.erase_deleted().await;
    let Err(RecorderError::Unavailable { reason, .. }) = waited else {
        panic!("{waited:?}")
    };
    assert!(
        reason.contains("it is deleted, but not yet erased"),
        "{reason}"
    );
    assert!(n_secrets(folder.path()) > 0);
    reading.rollback().await.unwrap();
    // Nobody asks for it again.
    let deadline = Instant::now() + Duration::from_secs(60);
    while n_secrets(folder.path()) > 0 {
        assert!(Instant::now() < deadline, "it is never erased");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_before_a_crash_is_erased_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.db");
    let open = async |path: &Path| {
        SqliteRecorder::open(path.to_str().unwrap(), OpenLog::named("customers"))
            .await
            .unwrap()
    };
    let recorder = open(&path).await;
    let appended = Append::new(vec![event(1, 1, SECRET, 10)]);
    recorder.record(&[appended]).await.unwrap();
    let mut reader = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("SELECT id FROM stored_event")
        .fetch_all(&mut *reading)
        .await
        .unwrap();
    recorder.delete_stream(Uuid::from_u128(1)).await.unwrap();
    // As a killed process leaves them.
    let left = tempfile::tempdir().unwrap();
    for name in ["customers.db", "customers.db-wal"] {
        fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    assert!(n_secrets(left.path()) > 0);

    let next = open(&left.path().join("customers.db")).await;
    next.erase_deleted().await.unwrap();
    assert_eq!(n_secrets(left.path()), 0);
}
