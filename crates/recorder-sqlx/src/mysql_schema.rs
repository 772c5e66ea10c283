//! The tables, made or refused.

use boxes_recorder::{LogIdentity, RecorderError};
use sqlx::{MySql, MySqlConnection, Row};

use crate::OpenLog;
use crate::found_log::{Found, steps_from};
use crate::mysql_error::{is_missing_table, is_there_already};
use crate::mysql_statements::Statements;
use crate::mysql_tables::Tables;
use crate::server_error::timed_out;
use crate::sql::Sql;

/// Finds the log in the database, or makes it if there is none, and says which it is.
///
/// One that an older program made is brought to the tables of this one. Safe when several processes do so at once: a lock
/// of the server lets one do it, and the others find it done. MySQL has no transactions for tables, so the log's row, or
/// the version in it, is written last: until then what was cut short is gone on with. Tables that are as they should be are
/// only read, so a user who may make nothing can open them. The lock goes with the connection.
pub(crate) async fn open(
    connection: &mut MySqlConnection,
    tables: &Tables,
    statements: &Statements,
    expected: &OpenLog,
) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
    if let Some(found) = find(connection, statements).await?
        && !found.is_older(expected)
    {
        return Ok(found.check(expected));
    }
    let locked: Option<i64> = sqlx::query("SELECT GET_LOCK(?, 20)")
        .bind(tables.lock_name())
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if locked != Some(1) {
        return Err(timed_out());
    }
    let found = match find(connection, statements).await? {
        Some(found) => {
            if found.is_older(expected) {
                migrate(connection, statements, found.schema_version).await?;
            }
            found
        }
        None => match Found::made(expected) {
            Ok(made) => make(connection, statements, made).await?,
            Err(refused) => return Ok(Err(refused)),
        },
    };
    Ok(found.check(expected))
}

async fn find(
    connection: &mut MySqlConnection,
    statements: &Statements,
) -> Result<Option<Found>, sqlx::Error> {
    let described = statements.describe.query().fetch_optional(connection).await;
    let row = match described {
        Err(error) if is_missing_table(&error) => None,
        described => described?,
    };
    row.as_ref().map(Found::decode::<MySql>).transpose()
}

async fn make(
    connection: &mut MySqlConnection,
    statements: &Statements,
    made: Found,
) -> Result<Found, sqlx::Error> {
    for (_, step) in steps_from(&statements.schema_steps, 0) {
        take(connection, step).await?;
    }
    let insert = statements.insert_log.query();
    made.bind::<MySql>(insert).execute(connection).await?;
    Ok(made)
}

async fn migrate(
    connection: &mut MySqlConnection,
    statements: &Statements,
    from: u32,
) -> Result<(), sqlx::Error> {
    for (to, step) in steps_from(&statements.schema_steps, from) {
        take(connection, step).await?;
        statements
            .set_schema_version
            .query()
            .bind(i64::from(to))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes a step, of which a part or all may be done already: statement by statement, so that one that is done does not keep
/// the next ones from being done.
async fn take(connection: &mut MySqlConnection, step: &Sql) -> Result<(), sqlx::Error> {
    for statement in step.statements() {
        match sqlx::raw_sql(statement.text())
            .execute(&mut *connection)
            .await
        {
            Err(error) if !is_there_already(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
