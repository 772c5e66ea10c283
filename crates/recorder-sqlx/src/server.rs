//! What one server has other than another.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use boxes_recorder::{Append, LogIdentity, Position, RecorderError, StoredEvent};
use sqlx::{Connection, Database};
use uuid::Uuid;

use crate::OpenLog;
use crate::columns::{Columns, Filled};
use crate::server_hosts::Hosts;
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::server_statements::Statements;
use crate::sql::Sql;

/// Where a server is, and as whom it is asked.
pub(crate) type Options<S> = <<S as Database>::Connection as Connection>::Options;

/// A kind of server. Its name and the schemes of its URLs are the driver's.
pub(crate) trait Server: Columns {
    /// The tables of a box: which they are, and how they are named in SQL.
    type Tables: Clone + Send + Sync + 'static;

    /// The SQL that other servers have otherwise.
    type Statements: fmt::Debug + Send + Sync + 'static;

    /// The parameter of the URL that says which tables, where they are not named after the box.
    const TABLES_PARAMETER: &'static str;

    /// The parameter of the URL that says whose certificates are believed: the driver's.
    const AUTHORITY_PARAMETER: &'static str;

    /// The first places of a statement that wait for values.
    const PLACES: [&'static str; 7];

    /// How long the log's lock is waited for, at a time, unless the URL says otherwise.
    const LOCK_SECS: u32;

    /// How long a connection that writes may be idle: then it is replaced, before the server ends it.
    const MAX_IDLE: Duration;

    /// Rows and other values that stand in one statement, at most.
    const MAX_ROWS: usize;

    /// One row with a number that is not 0 if the server takes writes.
    const IS_WRITABLE: &'static str;

    /// Whether there are poolers that give each transaction another session.
    const MAY_SHARE_SESSIONS: bool;

    /// Seconds since 1970 by the server's clock, in SQL.
    const NOW_SECS: &'static str;

    /// Whether an UPDATE may join another table and give rows.
    const UPDATE_RETURNS: bool;

    /// A UUID in SQL.
    fn uuid_literal(uuid: Uuid) -> String;

    /// The tables as they are got at within these limits: where sessions are shared, each transaction says by itself what is
    /// otherwise said of the session.
    fn with_limits(tables: &Self::Tables, limits: &Limits) -> Self::Tables;

    /// Whether sessions keep statements prepared.
    fn keeps_statements(tables: &Self::Tables) -> bool;

    /// Begins a transaction that only reads, where sessions are shared.
    fn begin_to_read(limits: &Limits) -> String;

    /// Begins a transaction that writes beside the log, without its lock, where sessions are shared.
    fn begin_to_write(limits: &Limits) -> String;

    /// Whether a pooler gives each transaction another session.
    fn shares_sessions(
        hosts: &Hosts<Self>,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Why a commit may be answered before it is on the disk, and what to do, unless that is wanted. Settings of the server
    /// itself; what a session can ask for, it has asked for.
    fn lack_of_durability(
        connection: &mut Self::Connection,
        limits: &Limits,
    ) -> impl Future<Output = Result<Option<String>, sqlx::Error>> + Send;

    /// What is said at the beginning of a session that reads.
    fn reading(limits: &Limits) -> String;

    /// What is said at the beginning of a session that writes.
    fn writing(limits: &Limits) -> String;

    /// Which tables a box has, by the name that the box or the URL gave; and the options, with what is the box's own.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if there can't be tables of this name: mend the URL.
    fn tables(
        name: String,
        box_name: &str,
        options: Options<Self>,
    ) -> Result<(Self::Tables, Options<Self>), RecorderError>;

    /// A table of the box as it stands in SQL.
    fn quoted_table(tables: &Self::Tables, table: &str) -> String;

    /// Begins a transaction that writes and takes the log's lock, each statement with its `;`. Gives one row if the log
    /// is there.
    fn begin_locked(tables: &Self::Tables) -> String;

    /// Changes the log's row in a transaction that has the log's lock, where that lock does not keep everyone out, each
    /// statement with its `;` and without rows.
    fn mark_log(tables: &Self::Tables) -> String;

    /// The statements that are the server's own.
    fn statements(tables: &Self::Tables) -> Self::Statements;

    /// Finds the log in the database, or makes it if there is none. Safe when several processes do so at once. Steps of the schema
    /// take as long as they take; whatever else has to be waited for has a bound.
    fn open_log(
        connection: &mut Self::Connection,
        place: &Place<Self>,
        statements: &Statements<Self>,
        expected: &OpenLog,
    ) -> impl Future<Output = Result<Result<LogIdentity, RecorderError>, sqlx::Error>> + Send;

    /// Bytes of events in one statement, at most, unless it is a single one.
    fn max_bytes(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<usize, sqlx::Error>> + Send;

    /// Whether the server can keep it, whose statements have up to `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Invalid`] if it never will.
    fn storable(append: &Append, max_bytes: usize) -> Result<(), RecorderError>;

    /// Asks for the newest versions of up to [`MAX_ROWS`](Self::MAX_ROWS) aggregates, by id, version, and whether the stream
    /// was deleted, as a number that is 0 if not; those without events are left out.
    fn versions(statements: &Self::Statements, originator_ids: &[Uuid]) -> Filled<Self>;

    /// Asks for the positions of up to [`MAX_ROWS`](Self::MAX_ROWS) followers, by name, epoch, id, and the id of the event if it
    /// is known; those that have none are left out.
    fn positions(statements: &Self::Statements, followers: &[&str]) -> Filled<Self>;

    /// The name in a row of [`positions`](Self::positions).
    fn follower(row: &Self::Row) -> Result<String, sqlx::Error>;

    /// Sets the positions of up to [`MAX_ROWS`](Self::MAX_ROWS) followers.
    fn save_positions(
        statements: &Self::Statements,
        positions: &[(&str, Position)],
    ) -> Result<Filled<Self>, sqlx::Error>;

    /// Inserts up to [`MAX_ROWS`](Self::MAX_ROWS) events, with the ids `first`, `first` + 1, ….
    fn insert(
        statements: &Self::Statements,
        first: u64,
        events: &[Cow<'_, StoredEvent>],
    ) -> Result<Filled<Self>, sqlx::Error>;

    /// The rows of a statement. A driver has it only for its own connections.
    fn fetch_all(
        query: Filled<Self>,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// The rows of several statements, in one message and without values.
    fn fetch_all_of(
        statements: &Sql,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Whether the tables are not there.
    fn is_missing(error: &sqlx::Error) -> bool;

    /// Whether the connection is of no use any more, so that another one may do.
    fn is_connection_lost(error: &sqlx::Error) -> bool;

    /// Whether there is a row with this key already.
    fn is_taken(error: &sqlx::Error) -> bool;

    /// Whether another transaction was first, and this one is certainly rolled back.
    fn is_race(error: &sqlx::Error) -> bool;

    /// Whether the same may succeed a moment later, apart from a [race](Self::is_race).
    fn is_transient(error: &sqlx::Error) -> bool;

    /// What an administrator, or who writes the configuration, has to mend before the log can be opened; `None` for what
    /// may pass.
    fn to_mend(error: &sqlx::Error) -> Option<&'static str>;

    /// The kind of failure, in words that name no address and no text of the driver.
    fn kind(error: &sqlx::Error) -> &'static str;
}
