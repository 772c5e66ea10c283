//! What is kept beside the log in a SQLite file.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_recorder::{
    Admission, Append, Changes, Entry, KeyValueBounds, KeyValueStore, RecorderError,
};
use bytes::Bytes;
use sqlx::{Row, SqliteConnection};

use crate::numbers::at_most;
use crate::sqlite_erasure::Erasure;
use crate::sqlite_readers::Readers;
use crate::sqlite_scrub::scrub;
use crate::sqlite_writer::Writer;

const GET: &str = "SELECT value FROM key_value WHERE kind = ? AND entry_key = ?";
const INSERT: &str = "INSERT OR IGNORE INTO key_value (kind, entry_key, value) VALUES (?, ?, ?)";
const PUT: &str = "INSERT INTO key_value (kind, entry_key, value) VALUES (?, ?, ?)
                   ON CONFLICT (kind, entry_key) DO UPDATE SET value = excluded.value";
const REPLACE: &str =
    "UPDATE key_value SET value = ? WHERE kind = ? AND entry_key = ? AND value = ?";
const DELETE: &str = "DELETE FROM key_value WHERE kind = ? AND entry_key = ?";
const LIST: &str = "SELECT entry_key, value FROM key_value WHERE kind = ? AND entry_key > ? ORDER BY entry_key LIMIT ?";
const LIST_KEYS: &str =
    "SELECT entry_key FROM key_value WHERE kind = ? AND entry_key > ? ORDER BY entry_key LIMIT ?";

/// The key-value store of one SQLite file, by the connections of its recorder.
#[derive(Debug)]
pub(crate) struct SqliteKeyValues {
    pub(crate) writer: Arc<Writer>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) erasure: Arc<Erasure>,
}

#[async_trait]
impl KeyValueStore for SqliteKeyValues {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        KeyValueBounds::check(kind, key)?;
        let get = async |connection: &mut SqliteConnection| {
            let row = sqlx::query(GET)
                .bind(kind)
                .bind(key)
                .fetch_optional(connection)
                .await?;
            row.map(|row| bytes(&row, 0)).transpose()
        };
        self.readers.read("reading a value", get).await
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || sqlx::query(INSERT).bind(kind).bind(key).bind(value);
        Ok(self.writer.execute("keeping a value", query).await? > 0)
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || sqlx::query(PUT).bind(kind).bind(key).bind(value);
        self.writer.execute("keeping a value", query).await?;
        Ok(())
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, from)?;
        KeyValueBounds::check_entry(kind, key, to)?;
        let query = || {
            sqlx::query(REPLACE)
                .bind(to)
                .bind(kind)
                .bind(key)
                .bind(from)
        };
        Ok(self.writer.execute("replacing a value", query).await? > 0)
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check(kind, key)?;
        let query = || sqlx::query(DELETE).bind(kind).bind(key);
        self.writer.execute("deleting a value", query).await?;
        Ok(())
    }

    async fn erase(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.delete(kind, key).await?;
        self.erasure.request();
        self.erasure.wait().await
    }

    async fn scrub(&self, values: &[&[u8]]) -> Result<(), RecorderError> {
        scrub(&self.writer, &self.erasure, values).await
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        KeyValueBounds::check_kind(kind)?;
        let list = async |connection: &mut SqliteConnection| {
            let rows = sqlx::query(LIST)
                .bind(kind)
                .bind(after)
                .bind(at_most(limit))
                .fetch_all(connection)
                .await?;
            let entry = |row| {
                Ok(Entry {
                    key: bytes(row, 0)?,
                    value: bytes(row, 1)?,
                })
            };
            rows.iter().map(entry).collect()
        };
        self.readers.read("reading values", list).await
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        KeyValueBounds::check_kind(kind)?;
        let list = async |connection: &mut SqliteConnection| {
            let rows = sqlx::query(LIST_KEYS)
                .bind(kind)
                .bind(after)
                .bind(at_most(limit))
                .fetch_all(connection)
                .await?;
            rows.iter().map(|row| bytes(row, 0)).collect()
        };
        self.readers.read("reading the keys of values", list).await
    }
}

/// Tells which values the entries have that the batch names. Under the write lock, so nobody changes them until the
/// transaction ends.
pub(crate) async fn set_values(
    admission: &mut Admission,
    connection: &mut SqliteConnection,
    batch: &[Append],
) -> Result<(), sqlx::Error> {
    for write in batch.iter().flat_map(|append| &append.key_values) {
        let row = sqlx::query(GET)
            .bind(&*write.space)
            .bind(&*write.key)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = row {
            admission.set_value(&*write.space, write.key.clone(), bytes(&row, 0)?);
        }
    }
    Ok(())
}

/// Writes the values of a transaction.
pub(crate) async fn save_values(
    connection: &mut SqliteConnection,
    changes: &Changes<'_>,
) -> Result<(), sqlx::Error> {
    for ((kind, key), value) in &changes.key_values {
        let query = match value {
            Some(value) => sqlx::query(PUT).bind(*kind).bind(*key).bind(&***value),
            None => sqlx::query(DELETE).bind(*kind).bind(*key),
        };
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

fn bytes(row: &sqlx::sqlite::SqliteRow, column: usize) -> Result<Bytes, sqlx::Error> {
    Ok(row.try_get::<Vec<u8>, _>(column)?.into())
}
