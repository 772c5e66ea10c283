//! How `MySQL` and `MariaDB` are spoken to.

use std::borrow::Cow;
use std::time::Duration;

use boxes_recorder::{Append, LogIdentity, Position, RecorderError, StoredEvent};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{MySql, MySqlConnection, Row};
use uuid::Uuid;

use crate::columns::{Columns, Filled};
use crate::mysql_statements::Statements;
use crate::mysql_tables::Tables;
use crate::numbers::signed;
use crate::server::Server;
use crate::server_hosts::Hosts;
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::sql::Sql;
use crate::{OpenLog, mysql_error, mysql_event, mysql_schema, server_statements};

/// What a message to the server has beside the rows, in bytes, at most.
const STATEMENT_BYTES: u64 = 64 * 1024;

/// More variables of a session, by the comments that only one of the servers reads: MariaDB's name for it counts seconds and
/// means all statements, MySQL's counts milliseconds and means those that only read.
pub(crate) fn statement_timeout(secs: u32) -> String {
    format!(
        " /*M!100101 , SESSION max_statement_time = {secs} */ /*!50708 , SESSION max_execution_time = {secs}000 */"
    )
}

impl Server for MySql {
    type Tables = Tables;
    type Statements = Statements;

    const TABLES_PARAMETER: &'static str = "prefix";

    const AUTHORITY_PARAMETER: &'static str = "ssl-ca";

    const PLACES: [&'static str; 7] = ["?"; 7];

    const LOCK_SECS: u32 = 10;

    /// Below the `wait_timeout` of the session.
    const MAX_IDLE: Duration = Duration::from_secs(20);

    /// A statement has up to 65,535 parameters, and an event has ten.
    const MAX_ROWS: usize = 1_000;

    const NOW_SECS: &'static str = "UNIX_TIMESTAMP()";

    const UPDATE_RETURNS: bool = false;

    const IS_WRITABLE: &'static str = "SELECT CAST(@@GLOBAL.read_only = 0 AS SIGNED)";

    const MAY_SHARE_SESSIONS: bool = false;

    fn with_limits(tables: &Tables, _: &Limits) -> Tables {
        tables.clone()
    }

    fn keeps_statements(_: &Tables) -> bool {
        true
    }

    fn begin_to_read(_: &Limits) -> String {
        "START TRANSACTION READ ONLY".to_owned()
    }

    fn begin_to_write(_: &Limits) -> String {
        "START TRANSACTION".to_owned()
    }

    async fn shares_sessions(_: &Hosts<Self>) -> Result<bool, sqlx::Error> {
        Ok(false)
    }

    /// A session can't ask for it. (3 is MariaDB's, and flushes more than 1.)
    async fn lack_of_durability(
        connection: &mut MySqlConnection,
        limits: &Limits,
    ) -> Result<Option<String>, sqlx::Error> {
        const FLUSH: &str = "SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED)";
        if limits.takes_any_durability {
            return Ok(None);
        }
        let rows = Self::fetch_all_of(&Sql::fixed(FLUSH), connection).await?;
        let flush = rows.first().map_or(Ok(0), |row| Self::number(row, 0))?;
        Ok((!matches!(flush, 1 | 3)).then(|| {
            format!(
                "the MySQL server has `innodb_flush_log_at_trx_commit = {flush}`, so it acknowledges what is not on its disk yet: set it \
                 to 1, or say `durability=server` in the URL if that is wanted, as where other machines have a copy by then"
            )
        }))
    }

    fn uuid_literal(uuid: Uuid) -> String {
        format!("x'{}'", uuid.simple())
    }

    /// Under REPEATABLE READ, MySQL's default, a transaction sees what was there when it began.
    fn reading(limits: &Limits) -> String {
        format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY;
             SET SESSION wait_timeout = @@wait_timeout{}",
            statement_timeout(limits.read_secs)
        )
    }

    /// How long the log's lock is waited for, and how long it may be held by a process that stands still (by
    /// `wait_timeout`, which both servers have); that each statement sees what was committed before it, so that nothing
    /// depends on which one of a transaction takes the snapshot; and that what does not fit is an error, also where the
    /// server would cut it.
    fn writing(limits: &Limits) -> String {
        format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
             SET SESSION innodb_lock_wait_timeout = {}, SESSION wait_timeout = 30,
                 SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'){}",
            limits.lock_secs,
            statement_timeout(limits.write_secs)
        )
    }

    fn tables(
        name: String,
        _: &str,
        options: MySqlConnectOptions,
    ) -> Result<(Tables, MySqlConnectOptions), RecorderError> {
        Ok((Tables::new(options.get_database(), name)?, options))
    }

    fn quoted_table(tables: &Tables, table: &str) -> String {
        tables.quoted(table)
    }

    fn begin_locked(tables: &Tables) -> String {
        format!(
            "START TRANSACTION; SELECT epoch FROM {} FOR UPDATE;",
            tables.quoted("notification_log")
        )
    }

    fn mark_log(tables: &Tables) -> String {
        let log = tables.quoted("notification_log");
        format!("UPDATE {log} SET revision = revision + 1;")
    }

    fn statements(tables: &Tables) -> Statements {
        Statements::of(tables)
    }

    async fn open_log(
        connection: &mut MySqlConnection,
        place: &Place<Self>,
        statements: &server_statements::Statements<Self>,
        expected: &OpenLog,
    ) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
        mysql_schema::open(connection, place, &statements.own, expected).await
    }

    /// The server ends the connection at a longer message.
    async fn max_bytes(connection: &mut MySqlConnection) -> Result<usize, sqlx::Error> {
        let most: u64 = sqlx::query("SELECT @@max_allowed_packet")
            .fetch_one(connection)
            .await?
            .try_get(0)?;
        let most = most.saturating_sub(STATEMENT_BYTES);
        Ok(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn storable(append: &Append, max_bytes: usize) -> Result<(), RecorderError> {
        mysql_event::storable(append, max_bytes)
    }

    fn versions(statements: &Statements, originator_ids: &[Uuid]) -> Filled<Self> {
        let query = statements.versions.of_rows(originator_ids.len());
        originator_ids
            .iter()
            .fold(query, |query, id| query.bind(*id))
    }

    fn positions(statements: &Statements, followers: &[&str]) -> Filled<Self> {
        let query = statements.positions.of_rows(followers.len());
        followers
            .iter()
            .fold(query, |query, follower| query.bind(follower.as_bytes()))
    }

    fn follower(row: &MySqlRow) -> Result<String, sqlx::Error> {
        String::from_utf8(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    fn save_positions(
        statements: &Statements,
        positions: &[(&str, Position)],
    ) -> Result<Filled<Self>, sqlx::Error> {
        let mut query = statements.save_positions.of_rows(positions.len());
        for (follower, position) in positions {
            query = query
                .bind(follower.as_bytes())
                .bind(position.epoch)
                .bind(signed(position.id)?)
                .bind(position.event_id)
                .bind(signed(position.id)?);
        }
        Ok(query)
    }

    fn insert(
        statements: &Statements,
        first: u64,
        events: &[Cow<'_, StoredEvent>],
    ) -> Result<Filled<Self>, sqlx::Error> {
        mysql_event::insert(statements, first, events)
    }

    async fn fetch_all(
        query: Filled<Self>,
        connection: &mut MySqlConnection,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        query.fetch_all(connection).await
    }

    async fn fetch_all_of(
        statements: &Sql,
        connection: &mut MySqlConnection,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        sqlx::raw_sql(statements.text()).fetch_all(connection).await
    }

    fn is_missing(error: &sqlx::Error) -> bool {
        mysql_error::is_missing_table(error)
    }

    fn is_connection_lost(error: &sqlx::Error) -> bool {
        mysql_error::is_connection_lost(error)
    }

    fn is_taken(error: &sqlx::Error) -> bool {
        mysql_error::is_duplicate(error)
    }

    fn is_race(error: &sqlx::Error) -> bool {
        mysql_error::is_race(error)
    }

    fn is_transient(error: &sqlx::Error) -> bool {
        mysql_error::is_transient(error)
    }

    fn to_mend(error: &sqlx::Error) -> Option<&'static str> {
        mysql_error::to_mend(error)
    }

    fn kind(error: &sqlx::Error) -> &'static str {
        mysql_error::kind(error)
    }
}
