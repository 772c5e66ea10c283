//! What SQLite says, in words of the port.

use boxes_recorder::RecorderError;

/// The primary result codes that are told apart. Source: <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
}

/// The part of an extended result code that is the primary one.
const PRIMARY: i32 = 0xff;

/// Turns what went wrong while `doing` into an error of the port.
///
/// The text names what was done and the kind of failure; SQL, paths and driver texts are left to the source, which
/// is for the log and not for those who asked.
pub(crate) fn unavailable(doing: &'static str) -> impl Fn(sqlx::Error) -> RecorderError {
    move |error| {
        let reason = format!("{doing}: {}", kind(&error));
        if is_damage(&error) || is_unreadable(&error) {
            tracing::error!(%error, "{reason}");
            return RecorderError::Broken { reason };
        }
        RecorderError::unavailable(reason, error)
    }
}

/// Whether SQLite refused to do it, so that nothing is done. What it says of the disk is told apart, and what only its driver
/// says: then it may have been done.
pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
    primary_code(error).is_some_and(|code| code != code::IOERR)
}

/// Whether SQLite says that the file is damaged: trying again changes nothing.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::CORRUPT | code::NOTADB))
}

/// Whether a row is not what this program writes.
const fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
    )
}

/// Whether another connection is in the way, so that the same may succeed a moment later.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::BUSY | code::LOCKED))
}

/// Whether the file is not there.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(code::CANTOPEN)
}

/// Whether the file is something else than a database.
pub(crate) fn is_no_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(code::NOTADB)
}

fn kind(error: &sqlx::Error) -> &'static str {
    match primary_code(error) {
        Some(code::BUSY | code::LOCKED) => "another process holds the database",
        Some(code::FULL) => "the disk is full, or the file at its limit",
        Some(code::CANTOPEN) => {
            "the database file can't be opened (does its folder exist, and may it be read and written?)"
        }
        Some(code::READONLY) => "the database file may not be written",
        Some(code::PERM) => "access to the database file is not allowed",
        Some(code::IOERR) => "the disk failed to read or write",
        Some(code::CORRUPT | code::NOTADB) => {
            "the database file is damaged: restore it from a backup, or repair it with `sqlite3 FILE .recover`"
        }
        Some(code::NOMEM) => "there is not enough memory",
        Some(code::TOOBIG) => "an event is larger than SQLite can hold",
        Some(code::CONSTRAINT) => "the tables hold what this program can't have written",
        Some(_) => "SQLite failed",
        None if is_unreadable(error) => "a row is not what this program writes",
        None if matches!(error, sqlx::Error::Io(_)) => "the disk failed to read or write",
        None => "the database driver failed",
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & PRIMARY)
}
