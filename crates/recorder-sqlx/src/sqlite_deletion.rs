//! Deleting a stream in one SQLite file.

use boxes_recorder::Deletion;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use crate::numbers::{signed, unsigned};

/// Under the write lock, which the caller has taken, and without the commit, which is the caller's.
pub(crate) async fn delete(
    connection: &mut SqliteConnection,
    originator_id: Uuid,
) -> Result<Deletion, sqlx::Error> {
    let redacted = sqlx::query(
        "UPDATE stored_event SET encoding = 'redacted', state = x'', metadata = x'7b7d'
         WHERE originator_id = ? AND encoding <> 'redacted'",
    )
    .bind(originator_id)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if redacted > 0 {
        sqlx::query("UPDATE notification_log SET n_redacted = n_redacted + ?")
            .bind(signed(redacted)?)
            .execute(&mut *connection)
            .await?;
    }
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM stored_event WHERE originator_id = ?), n_redacted FROM notification_log",
    )
    .bind(originator_id)
    .fetch_one(connection)
    .await?;
    Ok(Deletion {
        n_events: unsigned(row.try_get(0)?)?,
        n_redacted: unsigned(row.try_get(1)?)?,
    })
}

pub(crate) async fn n_redacted(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT n_redacted FROM notification_log")
        .fetch_one(connection)
        .await?;
    unsigned(row.try_get(0)?)
}
