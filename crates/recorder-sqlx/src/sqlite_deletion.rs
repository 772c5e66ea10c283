//! Deleting streams in one SQLite file.

use boxes_recorder::Changes;
use sqlx::{Row, SqliteConnection};

use crate::numbers::{signed, unsigned};

/// Redacts what is in the store of the streams that are deleted. Under the write lock, which the caller has taken, and
/// without the commit, which is the caller's; before there are `n_redacted` such notifications.
pub(crate) async fn redact(
    connection: &mut SqliteConnection,
    changes: &Changes<'_>,
    n_redacted: u64,
) -> Result<(), sqlx::Error> {
    const REDACT: &str =
        "UPDATE stored_event SET encoding = 'redacted', state = x'', metadata = x'7b7d'
                          WHERE originator_id = ? AND encoding <> 'redacted'";
    for originator_id in &changes.redacted {
        sqlx::query(REDACT)
            .bind(*originator_id)
            .execute(&mut *connection)
            .await?;
    }
    if changes.n_redacted != n_redacted {
        sqlx::query("UPDATE notification_log SET n_redacted = ?")
            .bind(signed(changes.n_redacted)?)
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn n_redacted(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT n_redacted FROM notification_log")
        .fetch_one(connection)
        .await?;
    unsigned(row.try_get(0)?)
}
