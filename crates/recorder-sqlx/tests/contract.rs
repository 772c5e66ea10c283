//! The contract of every recorder, on SQLite.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::sync::Arc;

use boxes_recorder::Recorder;
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_testing::recorder_contract::Store;
use tempfile::TempDir;

struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Store for Sqlite {
    async fn open(&self) -> Arc<dyn Recorder> {
        let path = self.0.path().join("test.sqlite");
        Arc::new(
            SqliteRecorder::open(path.to_str().unwrap(), OpenLog::named("test"))
                .await
                .unwrap(),
        )
    }

    /// The database and what was written ahead. (The third file, `-shm`, is memory that processes share, not store.)
    fn contents(&self) -> Option<Vec<u8>> {
        let files = ["test.sqlite", "test.sqlite-wal"]
            .map(|name| fs::read(self.0.path().join(name)).unwrap());
        Some(files.concat())
    }
}

boxes_testing::recorder_contract!(Sqlite::new());

mod key_values {
    use super::Sqlite;

    boxes_testing::key_value_contract!(Sqlite::new());
}
