//! How PostgreSQL is spoken to.

use std::borrow::Cow;
use std::time::Duration;

use boxes_recorder::{Append, LogIdentity, Position, RecorderError, StoredEvent};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{PgConnection, Postgres, Row};
use uuid::Uuid;

use crate::columns::Filled;
use crate::numbers::signed;
use crate::postgres_event::MAX_EVENT_BYTES;
use crate::postgres_schema_name::SchemaName;
use crate::postgres_statements::Statements;
use crate::server::Server;
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::sql::Sql;
use crate::{OpenLog, postgres_error, postgres_event, postgres_schema, server_statements};

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
                    set_config('idle_in_transaction_session_timeout', '10s', false),
                    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)",
            limits.lock_secs, limits.write_secs
        )
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
        Ok((SchemaName::new(name)?, options))
    }

    fn quoted_table(schema: &SchemaName, table: &str) -> String {
        format!("{}.{table}", schema.quoted())
    }

    fn begin_locked(schema: &SchemaName) -> String {
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {};",
            schema.lock()
        )
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
        postgres_schema::open(connection, &place.tables, &statements.own, expected).await
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
