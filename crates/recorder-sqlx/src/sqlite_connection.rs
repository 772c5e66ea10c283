//! Opening a connection that writes.

use boxes_recorder::RecorderError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

/// `PRAGMA synchronous` from which each commit is flushed to the disk before it is answered: FULL.
const FULL: i64 = 2;

/// What the connection was asked for may not be what it has: some file systems can't hold a write-ahead log, and SQLite says
/// nothing then.
const IN_FORCE: &str = "SELECT (SELECT synchronous FROM pragma_synchronous), (SELECT journal_mode FROM pragma_journal_mode)";

/// Opens a connection that writes, if its commits are on the disk when they are answered.
///
/// # Errors
///
/// [`RecorderError::Mismatch`], inside, if they are not: the file belongs on another disk.
pub(crate) async fn connect_to_write(
    options: &SqliteConnectOptions,
) -> Result<Result<SqliteConnection, RecorderError>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let row = sqlx::query(IN_FORCE).fetch_one(&mut connection).await?;
    let (synchronous, journal_mode): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    if synchronous < FULL || journal_mode != "wal" {
        return Ok(Err(RecorderError::Mismatch {
            reason: format!(
                "SQLite would not keep what is acknowledged here: `synchronous` is {synchronous} instead of {FULL} (FULL), and \
                 `journal_mode` is `{journal_mode}` instead of `wal`: put the file on a local disk"
            ),
        }));
    }
    Ok(Ok(connection))
}
