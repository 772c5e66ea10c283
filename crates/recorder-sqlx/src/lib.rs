//! Recorders on SQL databases.
//!
//! Reading order: [`OpenLog`] says which log is expected in a database; `SqliteRecorder` (feature `sqlite`) keeps it in
//! one SQLite file, `PostgresRecorder` (feature `postgres`) in a schema of a PostgreSQL database, `MysqlRecorder` (feature
//! `mysql`) in tables of a MySQL or MariaDB database.
//!
//! Behind all: `found_log` holds the log that is there against the one that is expected; `event_row` reads an event;
//! `stream_rows` tells a stream that was deleted; `columns` is what the columns hold, and `numbers` those of the port as SQL
//! has them; `version_cache` spares looking up what this process wrote itself.
//!
//! Behind SQLite: `sqlite_schema` makes the tables, or refuses those that are there; `sqlite_writer` is the one
//! connection that writes, `sqlite_readers` are those that read; `sqlite_event` writes events as rows, `sqlite_deletion`
//! makes them redacted ones, and `sqlite_erasure` takes what they held out of the files; `sqlite_location` is where the file is,
//! `sqlite_file` watches it, `sqlite_connection` opens it for writing, `sqlite_backup` copies it; `sqlite_key_values` is what is
//! kept beside the log, and `sqlite_scrub` takes what was deleted of it out of unused places of the file; `busy`
//! waits for other processes;
//! `sqlite_error` says what went wrong in words of the port.
//!
//! [`NewEpoch`] is what a log that was restored gets; `sqlite_repair` and `server_repair` give it, and set the
//! positions of followers.
//!
//! Beside them `PythonTable` (feature `sqlite` or `postgres`) reads what the Python library `eventsourcing` keeps, to be
//! imported; `python_sqlite_table` and `python_postgres_table` are its two kinds.
//!
//! Behind both servers: `server` is what one has other than another; `server_place` reads the URL, `server_limits` what it says of
//! time and connections; `server_hosts` connects to the host that takes writes; `schema_progress` is what is said of long steps of the schema; `server_recorder` is what
//! both recorders do; `server_statements` is the SQL that both understand; `server_transaction` is a transaction that records, up to
//! its commit; `server_writer` is the one connection that writes, tries again, and finds out what became of a commit that nobody
//! answered, by `server_writer_row`; `server_readers` are those that read; `server_key_values` is what is kept beside the log;
//! `server_error` says what went wrong in words of the port; `sql` is a statement, `backoff` the pauses between attempts.
//!
//! PostgreSQL's own: `postgres_server` is how it is spoken to; `postgres_schema_name` is where the tables are;
//! `postgres_statements` is its SQL; `postgres_schema` makes the tables, or refuses those that are there;
//! `postgres_event` writes events as rows; `postgres_hints` tells other processes of commits; `postgres_error` is what
//! its errors mean. Those of MySQL are named and divided likewise, without hints; `mysql_tables` is where they are.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod backoff;
#[cfg(feature = "sqlite")]
mod busy;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod columns;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod event_row;
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
mod mysql_schema;
#[cfg(feature = "mysql")]
mod mysql_server;
#[cfg(feature = "mysql")]
mod mysql_statements;
#[cfg(feature = "mysql")]
mod mysql_tables;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod new_epoch;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
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
mod postgres_schema;
#[cfg(feature = "postgres")]
mod postgres_schema_name;
#[cfg(feature = "postgres")]
mod postgres_server;
#[cfg(feature = "postgres")]
mod postgres_statements;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod python_event;
#[cfg(feature = "postgres")]
mod python_postgres_table;
#[cfg(feature = "sqlite")]
mod python_sqlite_table;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod python_table;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod schema_progress;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_error;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_hosts;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_key_values;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_limits;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_place;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_readers;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_recorder;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_repair;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_statements;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_transaction;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_writer;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_writer_row;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_backup;
#[cfg(feature = "sqlite")]
mod sqlite_connection;
#[cfg(feature = "sqlite")]
mod sqlite_deletion;
#[cfg(feature = "sqlite")]
mod sqlite_erasure;
#[cfg(feature = "sqlite")]
mod sqlite_error;
#[cfg(feature = "sqlite")]
mod sqlite_event;
#[cfg(feature = "sqlite")]
mod sqlite_file;
#[cfg(feature = "sqlite")]
mod sqlite_key_values;
#[cfg(feature = "sqlite")]
mod sqlite_location;
#[cfg(feature = "sqlite")]
mod sqlite_readers;
#[cfg(feature = "sqlite")]
mod sqlite_repair;
#[cfg(feature = "sqlite")]
mod sqlite_schema;
#[cfg(feature = "sqlite")]
mod sqlite_scrub;
#[cfg(feature = "sqlite")]
mod sqlite_writer;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod stream_rows;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod version_cache;

#[cfg(feature = "mysql")]
pub use mysql::MysqlRecorder;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use new_epoch::NewEpoch;
pub use open_log::OpenLog;
#[cfg(feature = "postgres")]
pub use postgres::PostgresRecorder;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use python_event::PythonEvent;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use python_table::PythonTable;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRecorder;
#[cfg(feature = "sqlite")]
pub use sqlite_backup::Backup;
