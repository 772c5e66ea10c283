//! What is left of a deleted stream in the files of SQLite: nothing of what it said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::fs;
use std::path::Path;

use boxes_recorder::{Append, Encoding, Recorder, StoredEvent};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
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
