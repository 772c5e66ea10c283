//! Recorders on SQL databases.
//!
//! Reading order: [`OpenLog`] says which log is expected in a database; `SqliteRecorder` (feature `sqlite`) keeps it in
//! one SQLite file, `PostgresRecorder` (feature `postgres`) in a schema of a PostgreSQL database, `MysqlRecorder` (feature
//! `mysql`) in tables of a MySQL or MariaDB database.
//!
//! Behind all: `found_log` holds the log that is there against the one that is expected; `version_cache` spares
//! looking up what this process wrote itself.
//!
//! Behind SQLite: `sqlite_schema` makes the tables, or refuses those that are there; `sqlite_writer` is the one
//! connection that writes, `sqlite_readers` are those that read; `sqlite_event` is an event as a row; `sqlite_key_values`
//! is what is kept beside the log; `busy` waits for
//! other processes; `sqlite_error` says what went wrong in words of the port.
//!
//! Beside them `PythonTable` (feature `sqlite` or `postgres`) reads what the Python library `eventsourcing` keeps, to be
//! imported; `python_sqlite_table` and `python_postgres_table` are its two kinds.
//!
//! Behind PostgreSQL: `postgres_place` reads the URL; `postgres_statements` is all the SQL of a schema; `postgres_schema`
//! makes the tables, or refuses those that are there; `postgres_writer` is the one connection that writes, and finds out
//! what became of a commit that nobody answered; `postgres_readers` are those that read; `postgres_event` is an event as
//! a row; `postgres_hints` tells other processes of commits; `postgres_error` says what went wrong in words of the port.
//!
//! The files of MySQL are named and divided likewise, without hints. Behind both servers: `sql` is a statement, `numbers`
//! those of the port as SQL has them, `backoff` the pauses between attempts; `server_key_values` is what is kept beside the log.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod backoff;
#[cfg(feature = "sqlite")]
mod busy;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod found_log;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "mysql")]
mod mysql_error;
#[cfg(feature = "mysql")]
mod mysql_event;
#[cfg(feature = "mysql")]
mod mysql_key_values;
#[cfg(feature = "mysql")]
mod mysql_place;
#[cfg(feature = "mysql")]
mod mysql_readers;
#[cfg(feature = "mysql")]
mod mysql_schema;
#[cfg(feature = "mysql")]
mod mysql_statements;
#[cfg(feature = "mysql")]
mod mysql_writer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod numbers;
mod open_log;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_error;
#[cfg(feature = "postgres")]
mod postgres_event;
#[cfg(feature = "postgres")]
mod postgres_hints;
#[cfg(feature = "postgres")]
mod postgres_key_values;
#[cfg(feature = "postgres")]
mod postgres_place;
#[cfg(feature = "postgres")]
mod postgres_readers;
#[cfg(feature = "postgres")]
mod postgres_schema;
#[cfg(feature = "postgres")]
mod postgres_statements;
#[cfg(feature = "postgres")]
mod postgres_writer;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod python_event;
#[cfg(feature = "postgres")]
mod python_postgres_table;
#[cfg(feature = "sqlite")]
mod python_sqlite_table;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod python_table;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_error;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_key_values;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_readers;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_error;
#[cfg(feature = "sqlite")]
mod sqlite_event;
#[cfg(feature = "sqlite")]
mod sqlite_key_values;
#[cfg(feature = "sqlite")]
mod sqlite_readers;
#[cfg(feature = "sqlite")]
mod sqlite_schema;
#[cfg(feature = "sqlite")]
mod sqlite_writer;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod version_cache;

#[cfg(feature = "mysql")]
pub use mysql::MysqlRecorder;
pub use open_log::OpenLog;
#[cfg(feature = "postgres")]
pub use postgres::PostgresRecorder;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use python_event::PythonEvent;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use python_table::PythonTable;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRecorder;
