//! How PostgreSQL is spoken to.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use boxes_recorder::{Append, LogIdentity, Position, RecorderError, StoredEvent};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Connection, PgConnection, Postgres, Row};
use uuid::Uuid;

use crate::columns::{Columns, Filled};
use crate::numbers::signed;
use crate::postgres_event::MAX_EVENT_BYTES;
use crate::postgres_schema_name::{SchemaName, local_limits, synchronous_commit};
use crate::postgres_statements::Statements;
use crate::server::Server;
use crate::server_hosts::Hosts;
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::sql::Sql;
use crate::{OpenLog, postgres_error, postgres_event, postgres_schema, server_statements};

/// How often each of two connections is asked which session it is.
const N_SESSION_PROBES: usize = 8;

impl Server for Postgres {
    type Tables = SchemaName;
    type Statements = Statements;

    const TABLES_PARAMETER: &'static str = "schema";

    const AUTHORITY_PARAMETER: &'static str = "sslrootcert";

    const PLACES: [&'static str; 7] = ["$1", "$2", "$3", "$4", "$5", "$6", "$7"];

    const LOCK_SECS: u32 = 15;

    /// What lies between may forget a connection that is idle for longer.
    const MAX_IDLE: Duration = Duration::from_secs(60);

    /// Beyond that nothing is won, and a message has an end.
    const MAX_ROWS: usize = 8_192;

    const NOW_SECS: &'static str = "EXTRACT(EPOCH FROM clock_timestamp())::bigint";

    const UPDATE_RETURNS: bool = true;

    fn uuid_literal(uuid: Uuid) -> String {
        format!("'{uuid}'::uuid")
    }

    fn reading(limits: &Limits) -> String {
        format!(
            "SELECT set_config('default_transaction_read_only', 'on', false),
                    set_config('statement_timeout', '{}s', false)",
            limits.read_secs
        )
    }

    /// How long the log's lock is waited for, and how long it may be held by a process that stands still; and that a
    /// commit is on the disk when it is answered, also where the server is configured otherwise.
    fn writing(limits: &Limits) -> String {
        format!(
            "SELECT set_config('lock_timeout', '{}s', false), set_config('statement_timeout', '{}s', false),
                    set_config('idle_in_transaction_session_timeout', '10s', false), {}",
            limits.lock_secs,
            limits.write_secs,
            synchronous_commit(limits, false)
        )
    }

    const IS_WRITABLE: &'static str = "SELECT CASE current_setting('transaction_read_only') WHEN 'off' THEN 1::bigint ELSE 0::bigint END";

    const MAY_SHARE_SESSIONS: bool = true;

    fn with_limits(schema: &SchemaName, limits: &Limits) -> SchemaName {
        schema.with_limits(*limits)
    }

    fn keeps_statements(schema: &SchemaName) -> bool {
        !schema.is_pooled()
    }

    fn begin_to_read(limits: &Limits) -> String {
        format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = '{}s'",
            limits.read_secs
        )
    }

    fn begin_to_write(limits: &Limits) -> String {
        format!(
            "BEGIN READ WRITE; {} SELECT {}",
            local_limits(limits),
            synchronous_commit(limits, true)
        )
    }

    /// A connection to the server is one session, and another connection is another. Behind a pooler that shares them a session is
    /// seen by both, or one sees several: at once if the pooler is idle, because it lends the session that came back last, and
    /// soon if it is not.
    async fn shares_sessions(hosts: &Hosts<Self>) -> Result<bool, sqlx::Error> {
        const SESSION: &str = "SELECT pg_backend_pid()::bigint";
        let (mut one, mut other) = (hosts.connect().await?, hosts.connect().await?);
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..N_SESSION_PROBES {
            for (seen, connection) in seen.iter_mut().zip([&mut one, &mut other]) {
                let rows = Self::fetch_all_of(&Sql::fixed(SESSION), connection).await?;
                let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
                seen.insert(Self::number(row, 0)?);
            }
        }
        one.close().await?;
        other.close().await?;
        let [of_one, of_other] = seen;
        Ok(of_one.len() > 1 || of_other.len() > 1 || of_one == of_other)
    }

    /// A session can ask for all but that the server writes through to the disk.
    async fn lack_of_durability(
        connection: &mut PgConnection,
        limits: &Limits,
    ) -> Result<Option<String>, sqlx::Error> {
        const FSYNC: &str =
            "SELECT CASE current_setting('fsync') WHEN 'off' THEN 1::bigint ELSE 0::bigint END";
        let rows = Self::fetch_all_of(&Sql::fixed(FSYNC), connection).await?;
        let is_off = rows.first().map_or(Ok(0), |row| Self::number(row, 0))? != 0;
        Ok((is_off && !limits.takes_any_durability).then(|| {
            "the PostgreSQL server has `fsync = off`, so what it acknowledges is lost with its machine: switch it on, or say \
             `durability=server` in the URL if that is wanted"
                .to_owned()
        }))
    }

    fn tables(
        name: String,
        box_name: &str,
        options: PgConnectOptions,
    ) -> Result<(SchemaName, PgConnectOptions), RecorderError> {
        let options = if options.get_application_name().is_none() {
            options.application_name(&format!("box {box_name}"))
        } else {
            options
        };
        // No float is stored, and a pooler refuses parameters that it does not know.
        let options = options.extra_float_digits(None);
        Ok((SchemaName::new(name)?, options))
    }

    fn quoted_table(schema: &SchemaName, table: &str) -> String {
        format!("{}.{table}", schema.quoted())
    }

    fn begin_locked(schema: &SchemaName) -> String {
        schema.begin_locked()
    }

    fn mark_log(_: &SchemaName) -> String {
        // Nothing gets past the lock.
        String::new()
    }

    fn statements(schema: &SchemaName) -> Statements {
        Statements::of(schema)
    }

    async fn open_log(
        connection: &mut PgConnection,
        place: &Place<Self>,
        statements: &server_statements::Statements<Self>,
        expected: &OpenLog,
    ) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
        postgres_schema::open(connection, place, &statements.own, expected).await
    }

    async fn max_bytes(_: &mut PgConnection) -> Result<usize, sqlx::Error> {
        Ok(MAX_EVENT_BYTES)
    }

    fn storable(append: &Append, _: usize) -> Result<(), RecorderError> {
        postgres_event::storable(append)
    }

    fn versions(statements: &Statements, originator_ids: &[Uuid]) -> Filled<Self> {
        statements.versions.query().bind(originator_ids)
    }

    fn positions(statements: &Statements, followers: &[&str]) -> Filled<Self> {
        // One with a NUL is never recorded, and no text to PostgreSQL: in a query it would be an error of all.
        let followers: Vec<&str> = followers
            .iter()
            .copied()
            .filter(|follower| !follower.contains('\0'))
            .collect();
        statements.positions.query().bind(followers)
    }

    fn follower(row: &PgRow) -> Result<String, sqlx::Error> {
        row.try_get(0)
    }

    fn save_positions(
        statements: &Statements,
        positions: &[(&str, Position)],
    ) -> Result<Filled<Self>, sqlx::Error> {
        let followers: Vec<&str> = positions.iter().map(|(follower, _)| *follower).collect();
        let epochs: Vec<Uuid> = positions.iter().map(|(_, at)| at.epoch).collect();
        let ids = positions.iter().map(|(_, at)| signed(at.id));
        let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
        let event_ids: Vec<Option<Uuid>> = positions.iter().map(|(_, at)| at.event_id).collect();
        Ok(statements
            .save_positions
            .query()
            .bind(followers)
            .bind(epochs)
            .bind(ids)
            .bind(event_ids))
    }

    fn insert(
        statements: &Statements,
        first: u64,
        events: &[Cow<'_, StoredEvent>],
    ) -> Result<Filled<Self>, sqlx::Error> {
        postgres_event::insert(statements, first, events)
    }

    async fn fetch_all(
        query: Filled<Self>,
        connection: &mut PgConnection,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        query.fetch_all(connection).await
    }

    async fn fetch_all_of(
        statements: &Sql,
        connection: &mut PgConnection,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::raw_sql(statements.text()).fetch_all(connection).await
    }

    fn is_missing(error: &sqlx::Error) -> bool {
        postgres_error::is_missing(error)
    }

    fn is_connection_lost(error: &sqlx::Error) -> bool {
        postgres_error::is_connection_lost(error)
    }

    fn is_taken(error: &sqlx::Error) -> bool {
        postgres_error::is_taken(error)
    }

    fn is_race(error: &sqlx::Error) -> bool {
        postgres_error::is_race(error)
    }

    fn is_transient(error: &sqlx::Error) -> bool {
        postgres_error::is_transient(error)
    }

    fn to_mend(error: &sqlx::Error) -> Option<&'static str> {
        postgres_error::to_mend(error)
    }

    fn kind(error: &sqlx::Error) -> &'static str {
        postgres_error::kind(error)
    }
}
