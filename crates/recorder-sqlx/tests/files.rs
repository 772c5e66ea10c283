//! The files of a SQLite database: who may read them, and what happens when they go away while a recorder is at work.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use boxes_recorder::{Append, Encoding, Recorder, RecorderError, StoredEvent, StreamRange};
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

    fn companion(&self, end: &str) -> PathBuf {
        self.0.path().join(format!("orders.sqlite{end}"))
    }

    async fn open(&self) -> SqliteRecorder {
        open(&self.file()).await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        let url = format!("sqlite:{}", self.file().display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

async fn open(file: &Path) -> Result<SqliteRecorder, RecorderError> {
    SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders")).await
}

fn append(version: u64) -> [Append; 1] {
    [Append::new(vec![StoredEvent {
        event_id: Uuid::from_u128(version.into()),
        originator_id: A,
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }])]
}

/// The sentence of a store that is lost for good; neither writes nor reads get anything else from then on.
async fn broken(recorder: &SqliteRecorder) -> String {
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(recorder.record(&append(2)).await.map(drop));
        said.push(recorder.head().await.map(drop));
        said.push(recorder.check_writable().await);
        said.push(recorder.delete_stream(A).await.map(drop));
        let values = recorder.key_value_store().unwrap();
        said.push(values.put("kind", b"key", b"value").await);
        said.push(values.get("kind", b"key").await.map(drop));
    }
    let reasons: Vec<_> = said
        .into_iter()
        .map(|said| match said {
            Err(RecorderError::Broken { reason }) => reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        reasons.windows(2).all(|two| two[0] == two[1]),
        "{reasons:?}"
    );
    reasons.into_iter().next().unwrap()
}

#[tokio::test]
async fn nothing_is_recorded_into_a_file_that_was_removed() {
    let folder = Folder::new();
    let recorder = folder.open().await;
    recorder.record(&append(1)).await.unwrap();
    fs::remove_file(folder.file()).unwrap();
    let reason = broken(&recorder).await;
    assert!(reason.contains("was removed"), "{reason}");
    // A connection that is made again makes no new file.
    assert!(!folder.file().exists());
}

#[tokio::test]
async fn nothing_is_recorded_into_a_file_whose_folder_was_moved_away() {
    let folder = Folder::new();
    let (inner, moved) = (folder.0.path().join("a"), folder.0.path().join("b"));
    fs::create_dir(&inner).unwrap();
    let recorder = open(&inner.join("orders.sqlite")).await.unwrap();
    recorder.record(&append(1)).await.unwrap();
    fs::rename(&inner, &moved).unwrap();
    let reason = broken(&recorder).await;
    assert!(reason.contains("was removed"), "{reason}");
    // Also when it is back: which of the two histories counts is for people to say.
    fs::rename(&moved, &inner).unwrap();
    broken(&recorder).await;
    recorder.close().await.unwrap();
    let again = open(&inner.join("orders.sqlite")).await.unwrap();
    assert_eq!(again.record(&append(2)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_recorded_once_a_backup_was_put_in_place_of_the_file() {
    let folder = Folder::new();
    let recorder = folder.open().await;
    recorder.record(&append(1)).await.unwrap();
    let backup = folder.0.path().join("backup.sqlite");
    folder
        .execute(&format!("VACUUM INTO '{}'", backup.display()))
        .await;
    fs::rename(&backup, folder.file()).unwrap();
    let reason = broken(&recorder).await;
    assert!(reason.contains("was replaced"), "{reason}");
}

#[tokio::test]
async fn nothing_is_recorded_without_the_write_ahead_log() {
    for end in ["-wal", "-shm"] {
        let folder = Folder::new();
        let recorder = folder.open().await;
        recorder.record(&append(1)).await.unwrap();
        fs::remove_file(folder.companion(end)).unwrap();
        let recorded = recorder.record(&append(2)).await;
        let Err(RecorderError::Broken { reason }) = recorded else {
            panic!("{recorded:?}")
        };
        assert!(reason.contains(end), "{reason}");
        broken(&recorder).await;
    }
}

#[tokio::test]
async fn a_damaged_file_is_broken_and_not_unavailable() {
    let folder = Folder::new();
    let recorder = folder.open().await;
    for version in 1..=200 {
        recorder.record(&append(version)).await.unwrap();
    }
    recorder.close().await.unwrap();
    let mut bytes = fs::read(folder.file()).unwrap();
    // The pages behind the schema: those of the tables and their indices.
    bytes[3 * 4096..].fill(0x5a);
    fs::write(folder.file(), bytes).unwrap();
    let opened = open(&folder.file()).await;
    let said = match opened {
        Ok(recorder) => recorder.record(&append(201)).await.map(drop),
        Err(error) => Err(error),
    };
    let Err(RecorderError::Broken { reason }) = said else {
        panic!("{said:?}")
    };
    assert!(reason.contains("damaged"), "{reason}");
    assert!(!reason.contains(folder.file().to_str().unwrap()));
}

#[tokio::test]
async fn the_files_of_a_new_database_are_for_their_owner_alone() {
    let folder = Folder::new();
    let recorder = folder.open().await;
    recorder.record(&append(1)).await.unwrap();
    recorder.select_events(A, StreamRange::ALL).await.unwrap();
    for end in ["", "-wal", "-shm"] {
        let mode = fs::metadata(folder.companion(end))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{end}: {mode:o}");
    }
}

#[tokio::test]
async fn a_file_that_is_there_keeps_its_mode() {
    let folder = Folder::new();
    folder.open().await.close().await.unwrap();
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o640)).unwrap();
    let recorder = folder.open().await;
    recorder.record(&append(1)).await.unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[tokio::test]
async fn a_start_that_expects_a_certain_history_makes_no_file() {
    let folder = Folder::new();
    let log = OpenLog::named("orders").with_epoch(Uuid::from_u128(7));
    let refused = SqliteRecorder::open(folder.file().to_str().unwrap(), log).await;
    assert!(matches!(refused, Err(RecorderError::Mismatch { .. })));
    assert!(!folder.file().exists());
}
