//! The tables, made or refused.

use boxes_recorder::{LogIdentity, RecorderError};
use sqlx::{Connection, Sqlite, SqliteConnection};

use crate::OpenLog;
use crate::found_log::{Found, SCHEMA_VERSION, SchemaSteps, steps_from};

// Ids are given by the writer under the write lock (no AUTOINCREMENT), so they are dense. Versions are checked
// under the same lock; the unique index is the backstop, and the way by which an aggregate is read.
const STEPS: SchemaSteps<&str> = [
    "
CREATE TABLE notification_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    name TEXT NOT NULL,
    epoch BLOB NOT NULL,
    page_size INTEGER NOT NULL,
    schema_version INTEGER NOT NULL
) STRICT;
CREATE TABLE stored_event (
    id INTEGER PRIMARY KEY,
    originator_id BLOB NOT NULL,
    originator_version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    topic TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    encoding TEXT NOT NULL,
    state BLOB NOT NULL,
    metadata BLOB NOT NULL,
    occurred_on INTEGER NOT NULL -- microseconds since 1970-01-01T00:00:00Z
) STRICT;
CREATE UNIQUE INDEX stored_event_by_originator ON stored_event (originator_id, originator_version);
CREATE TABLE tracking (
    follower TEXT PRIMARY KEY,
    epoch BLOB NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    // With a rowid, because values may be large; the keys alone are read from the index.
    "
CREATE TABLE key_value (
    kind TEXT NOT NULL,
    entry_key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, entry_key)
) STRICT;
",
    "ALTER TABLE notification_log ADD COLUMN n_redacted INTEGER NOT NULL DEFAULT 0;",
    // Event ids ascend with time where the kit makes them, so the index is written at its end.
    "CREATE INDEX stored_event_by_event_id ON stored_event (event_id);",
    // The event id is that of the position beside it: an older program that moves the position leaves it behind.
    "
ALTER TABLE tracking ADD COLUMN event_id BLOB;
ALTER TABLE tracking ADD COLUMN event_position INTEGER;
",
];

/// Finds the log in the database, or makes it if there is none, and says which it is.
///
/// One that an older program made is brought to the schema of this one. Safe when several processes do so at once: one
/// does it, the others find it done. A database that has its log in this schema is only read.
pub(crate) async fn open(
    connection: &mut SqliteConnection,
    expected: &OpenLog,
) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
    if let Some(found) = find(connection).await?
        && !found.is_older(expected)
    {
        return Ok(found.check(expected));
    }
    // From here on under the write lock, so look again.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let found = match find(&mut transaction).await? {
        Some(found) => {
            if found.is_older(expected) {
                migrate(&mut transaction, found.schema_version).await?;
            }
            found
        }
        None => match Found::made(expected) {
            Ok(made) => make(&mut transaction, made).await?,
            Err(refused) => return Ok(Err(refused)),
        },
    };
    transaction.commit().await?;
    Ok(found.check(expected))
}

pub(crate) async fn find(connection: &mut SqliteConnection) -> Result<Option<Found>, sqlx::Error> {
    let has_table =
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'notification_log'";
    if sqlx::query(has_table)
        .fetch_optional(&mut *connection)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let row = sqlx::query("SELECT name, epoch, page_size, schema_version FROM notification_log")
        .fetch_one(&mut *connection)
        .await?;
    // After the version: another process may be adding some right now, and none goes.
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(connection)
            .await?;
    Ok(Some(Found::decode::<Sqlite>(&row)?.with_tables(&tables)))
}

async fn make(connection: &mut SqliteConnection, made: Found) -> Result<Found, sqlx::Error> {
    for (_, step) in steps_from(&STEPS, 0) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    let insert = sqlx::query(
        "INSERT INTO notification_log (only_row, name, epoch, page_size, schema_version) VALUES (1, ?, ?, ?, ?)",
    );
    made.bind::<Sqlite>(insert).execute(connection).await?;
    Ok(made)
}

async fn migrate(connection: &mut SqliteConnection, from: u32) -> Result<(), sqlx::Error> {
    for (_, step) in steps_from(&STEPS, from) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE notification_log SET schema_version = ?")
        .bind(SCHEMA_VERSION)
        .execute(connection)
        .await?;
    Ok(())
}
