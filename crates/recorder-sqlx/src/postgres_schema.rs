//! The schema and its tables, made or refused.

use boxes_recorder::{LogIdentity, RecorderError};
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use crate::OpenLog;
use crate::columns::Columns;
use crate::found_log::{Found, steps_from};
use crate::postgres_schema_name::{SchemaName, synchronous_commit};
use crate::postgres_statements::Statements;
use crate::schema_progress::{OtherProcess, take_step};
use crate::server::Server;
use crate::server_place::Place;
use crate::server_recorder::within_time;
use crate::sql::Sql;

/// Begins a transaction in which a step may take as long as it takes, and waiting for others may not.
///
/// The level is named, because the server's default may be one that can't see what others made meanwhile.
fn begin(place: &Place<Postgres>) -> Sql {
    Sql::new(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '{}s'; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0; SELECT {}; {}",
        place.limits.lock_secs,
        synchronous_commit(&place.limits, true),
        place.tables.try_to_lock_schema()
    ))
}

/// Finds the log in the schema, or makes it if there is none, and says which it is.
///
/// One that an older program made is brought to the tables of this one, one step after the other, each in a transaction of
/// its own: so what is done stays done, and others read meanwhile. Safe when several processes do so at once: one has the
/// schema's lock, and the others wait until they find it done. A schema that has its log in these tables is only read, so a
/// user who may make nothing can open it.
pub(crate) async fn open(
    connection: &mut PgConnection,
    place: &Place<Postgres>,
    statements: &Statements,
    expected: &OpenLog,
) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
    let schema = &place.tables;
    let mut other_process = OtherProcess::default();
    loop {
        if let Some(found) = within_time(look(connection, schema, statements)).await?
            && !found.is_older(expected)
        {
            return Ok(found.check(expected));
        }
        let rows = within_time(Postgres::fetch_all_of(&begin(place), connection)).await?;
        let is_locked = rows.last().map_or(Ok(0), |row| Postgres::number(row, 0))? != 0;
        if !is_locked {
            Postgres::fetch_all_of(&Sql::fixed("ROLLBACK"), connection).await?;
            other_process.wait(&expected.name).await;
            continue;
        }
        // And that of the log, whose writers are through in a moment.
        Postgres::fetch_all_of(&statements.lock, connection).await?;
        match find(connection, schema, statements).await? {
            Some(found) if found.is_older(expected) => {
                let from = found.schema_version;
                let Some((to, step)) = steps_from(&statements.schema_steps, from).next() else {
                    return Ok(found.check(expected));
                };
                take_step(&expected.name, to, take(connection, statements, to, step)).await?;
            }
            Some(_) => {}
            None => match Found::made(expected) {
                Ok(made) => make(connection, schema, statements, made).await?,
                Err(refused) => return Ok(Err(refused)),
            },
        }
        Postgres::fetch_all_of(&Sql::fixed("COMMIT"), connection).await?;
    }
}

/// The log, in a transaction, as the others, so that a pooler may be in between.
async fn look(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
) -> Result<Option<Found>, sqlx::Error> {
    Postgres::fetch_all_of(&Sql::fixed("BEGIN READ ONLY"), connection).await?;
    let found = find(connection, schema, statements).await?;
    Postgres::fetch_all_of(&Sql::fixed("COMMIT"), connection).await?;
    Ok(found)
}

async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
) -> Result<Option<Found>, sqlx::Error> {
    const TABLES: &str = "SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1";
    let has_table = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'notification_log'";
    let table = sqlx::query(has_table)
        .persistent(false)
        .bind(schema.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if table.is_none() {
        return Ok(None);
    }
    let row = statements
        .describe
        .query()
        .fetch_optional(&mut *connection)
        .await?;
    // After the version: another process may be adding some right now, and none goes.
    let tables: Vec<String> = sqlx::query_scalar(TABLES)
        .persistent(false)
        .bind(schema.as_str())
        .fetch_all(connection)
        .await?;
    let found = row.as_ref().map(Found::decode::<Postgres>).transpose()?;
    Ok(found.map(|found| found.with_tables(&tables)))
}

async fn make(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
    made: Found,
) -> Result<(), sqlx::Error> {
    // Looked for first: `IF NOT EXISTS` asks for the right to make it also where an administrator already did.
    let is_there = sqlx::query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1")
        .persistent(false)
        .bind(schema.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if is_there.is_none() {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted());
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut *connection)
            .await?;
    }
    for (_, step) in steps_from(&statements.schema_steps, 0) {
        sqlx::raw_sql(step.text()).execute(&mut *connection).await?;
    }
    let insert = statements.insert_log.query();
    made.bind::<Postgres>(insert).execute(connection).await?;
    Ok(())
}

/// One step, and the version to which it leads.
async fn take(
    connection: &mut PgConnection,
    statements: &Statements,
    to: u32,
    step: &Sql,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(step.text()).execute(&mut *connection).await?;
    let set_version = statements.set_schema_version.query::<Postgres>();
    set_version.bind(i64::from(to)).execute(connection).await?;
    Ok(())
}
