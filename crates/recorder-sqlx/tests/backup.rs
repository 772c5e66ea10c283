//! Copies that are made while a box records.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, RecorderError, StoredEvent,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use uuid::Uuid;

const N_WRITERS: u64 = 8;

fn append(writer: u64, version: u64) -> Append {
    Append::new(vec![StoredEvent {
        event_id: Uuid::from_u128(u128::from(writer) << 64 | u128::from(version)),
        originator_id: Uuid::from_u128(writer.into()),
        originator_version: version,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: format!(r#"{{"fill":"{}"}}"#, "x".repeat(500)).into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }])
}

async fn open(file: &Path) -> Arc<SqliteRecorder> {
    let log = OpenLog::named("orders");
    Arc::new(
        SqliteRecorder::open(file.to_str().unwrap(), log)
            .await
            .unwrap(),
    )
}

async fn back_up(file: &Path, to: &Path) -> Result<u64, RecorderError> {
    let made = SqliteRecorder::backup(file.to_str().unwrap(), "orders", to).await?;
    assert_eq!(fs::metadata(to).unwrap().len(), made.n_bytes);
    Ok(made.head)
}

fn mismatch<T: std::fmt::Debug>(answer: Result<T, RecorderError>) -> String {
    match answer {
        Err(RecorderError::Mismatch { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_copy_that_is_made_under_load_is_a_beginning_of_the_log_and_opens_as_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.db");
    let recorder = open(&file).await;
    let values = recorder.key_value_store().unwrap();
    values.put("subject", b"key", b"value").await.unwrap();
    let commit = GroupCommit::start(recorder.clone(), GroupCommitBounds::default())
        .await
        .unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=N_WRITERS)
        .map(|writer| {
            let (commit, enough) = (commit.clone(), Arc::clone(&enough));
            tokio::spawn(async move {
                let mut version = 0;
                while !enough.load(Ordering::Relaxed) {
                    version += 1;
                    commit.append(append(writer, version)).await.unwrap();
                }
            })
        })
        .collect();
    let mut head = commit.watch_head();
    let mut copies = Vec::new();
    for n in 0..5 {
        let acknowledged = *head.wait_for(|head| *head >= 100 * (n + 1)).await.unwrap();
        let to = folder.path().join(format!("backup-{n}.db"));
        let copied = back_up(&file, &to).await.unwrap();
        // What was acknowledged before it began is in it.
        assert!(copied >= acknowledged, "{copied} < {acknowledged}");
        copies.push((to, copied));
    }
    enough.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let log = recorder.select_notifications(1, u64::MAX).await.unwrap();
    for (file, head) in copies {
        let copy = open(&file).await;
        assert_eq!(copy.log(), recorder.log());
        let copied = copy.select_notifications(1, u64::MAX).await.unwrap();
        assert_eq!(copied, log[..usize::try_from(head).unwrap()]);
        let values = copy.key_value_store().unwrap();
        assert_eq!(
            values.get("subject", b"key").await.unwrap().unwrap(),
            "value"
        );
        // It goes on as a box of its own.
        let next = copy.record(&[append(99, 1)]).await.unwrap().remove(0);
        assert_eq!(next.unwrap().ids.start, head + 1);
    }
    let left = fs::read_dir(folder.path()).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.contains("partial")));
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (
        folder.path().join("orders.db"),
        folder.path().join("backup.db"),
    );
    open(&file).await;
    back_up(&file, &to).await.unwrap();
    let mode = fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_can_not_be_copied_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (
        folder.path().join("orders.db"),
        folder.path().join("backup.db"),
    );
    let missing = mismatch(back_up(&file, &to).await);
    assert!(
        missing.contains("there is no log of box `orders`"),
        "{missing}"
    );
    assert!(!file.exists());

    let recorder = open(&file).await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    fs::write(&to, "something of value").unwrap();
    let exists = mismatch(back_up(&file, &to).await);
    assert!(exists.contains("exists already"), "{exists}");
    assert_eq!(fs::read(&to).unwrap(), b"something of value");
    fs::remove_file(&to).unwrap();

    let other = SqliteRecorder::backup(file.to_str().unwrap(), "payments", &to).await;
    let other = mismatch(other);
    assert!(other.contains("`orders`, not of `payments`"), "{other}");

    let nowhere = folder.path().join("missing").join("backup.db");
    let failed = back_up(&file, &nowhere).await;
    assert!(
        matches!(failed, Err(RecorderError::Unavailable { .. })),
        "{failed:?}"
    );

    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    assert_eq!(names, ["orders.db"]);
}

/// A backup of some of the tables is none: keys of subjects and large values would be lost without a word.
#[tokio::test]
async fn a_start_without_one_of_the_tables_is_refused() {
    for table in ["stored_event", "tracking", "key_value"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.db");
        open(&file).await.close().await.unwrap();
        let url = format!("sqlite:{}", file.display());
        let mut admin = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {table}")))
            .execute(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        let log = OpenLog::named("orders");
        let refused = mismatch(SqliteRecorder::open(file.to_str().unwrap(), log).await);
        assert!(refused.contains(&format!("`{table}`")), "{refused}");
        assert!(refused.contains("the same backup"), "{refused}");
    }
}
