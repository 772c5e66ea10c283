//! The schema and its tables, made or refused.

use boxes_recorder::{LogIdentity, RecorderError};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres};

use crate::OpenLog;
use crate::found_log::{Found, SCHEMA_VERSION, steps_from};
use crate::postgres_schema_name::SchemaName;
use crate::postgres_statements::Statements;

/// Finds the log in the schema, or makes it if there is none, and says which it is.
///
/// One that an older program made is brought to the tables of this one. Safe when several processes do so at once: the
/// log's lock lets one do it, and the others find it done. A schema that has its log in these tables is only read, so a
/// user who may make nothing can open it.
pub(crate) async fn open(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
    expected: &OpenLog,
) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
    if let Some(found) = find(connection, schema, statements).await?
        && !found.is_older(expected)
    {
        return Ok(found.check(expected));
    }
    // The level is named, because the server's default may be one that can't see what others made meanwhile.
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await?;
    sqlx::raw_sql(statements.lock.text())
        .execute(&mut *transaction)
        .await?;
    let found = match find(&mut transaction, schema, statements).await? {
        Some(found) => {
            if found.is_older(expected) {
                migrate(&mut transaction, statements, found.schema_version).await?;
            }
            found
        }
        None => match Found::made(expected) {
            Ok(made) => make(&mut transaction, schema, statements, made).await?,
            Err(refused) => return Ok(Err(refused)),
        },
    };
    transaction.commit().await?;
    Ok(found.check(expected))
}

async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
) -> Result<Option<Found>, sqlx::Error> {
    let has_table = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'notification_log'";
    let table = sqlx::query(has_table)
        .bind(schema.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if table.is_none() {
        return Ok(None);
    }
    let row = statements
        .describe
        .query()
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Found::decode::<Postgres>).transpose()
}

async fn make(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statements: &Statements,
    made: Found,
) -> Result<Found, sqlx::Error> {
    // Looked for first: `IF NOT EXISTS` asks for the right to make it also where an administrator already did.
    let is_there = sqlx::query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1")
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
    Ok(made)
}

async fn migrate(
    connection: &mut PgConnection,
    statements: &Statements,
    from: u32,
) -> Result<(), sqlx::Error> {
    for (_, step) in steps_from(&statements.schema_steps, from) {
        sqlx::raw_sql(step.text()).execute(&mut *connection).await?;
    }
    statements
        .set_schema_version
        .query()
        .bind(i64::from(SCHEMA_VERSION))
        .execute(connection)
        .await?;
    Ok(())
}
