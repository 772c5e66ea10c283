//! Recorders on SQL databases.
//!
//! Reading order: [`OpenLog`] says which log is expected in a database; [`SqliteRecorder`] keeps it in one SQLite
//! file. Behind that: `sqlite_schema` makes the tables, or refuses those that are there; `sqlite_writer` is the one
//! connection that writes, `sqlite_readers` are those that read; `sqlite_event` is an event as a row;
//! `version_cache` spares looking up what this process wrote itself; `busy` waits for other processes;
//! `sqlite_error` says what went wrong in words of the port.

mod busy;
mod open_log;
mod sqlite;
mod sqlite_error;
mod sqlite_event;
mod sqlite_readers;
mod sqlite_schema;
mod sqlite_writer;
mod version_cache;

pub use open_log::OpenLog;
pub use sqlite::SqliteRecorder;
