//! The tables, made or refused.

use boxes_recorder::{LogIdentity, RecorderError};
use sqlx::{MySql, MySqlConnection, Row};

use crate::OpenLog;
use crate::found_log::{Found, steps_from};
use crate::mysql_error::{is_missing_table, is_there_already};
use crate::mysql_server::statement_timeout;
use crate::mysql_statements::Statements;
use crate::mysql_tables::Tables;
use crate::schema_progress::{OtherProcess, take_step};
use crate::server::Server;
use crate::server_place::Place;
use crate::server_recorder::within_time;
use crate::sql::Sql;

/// How long another process's lock is waited for at a time.
const LOCK_SECS: i64 = 1;

/// Finds the log in the database, or makes it if there is none, and says which it is.
///
/// One that an older program made is brought to the tables of this one, one step after the other, however long each takes.
/// Safe when several processes do so at once: a lock of the server lets one do it, and the others wait until they find it
/// done. MySQL has no transactions for tables, so the log's row, or the version in it, is written last: until then what was cut
/// short is gone on with. Tables that are as they should be are only read, so a user who may make nothing can open them. The lock
/// goes with the connection.
pub(crate) async fn open(
    connection: &mut MySqlConnection,
    place: &Place<MySql>,
    statements: &Statements,
    expected: &OpenLog,
) -> Result<Result<LogIdentity, RecorderError>, sqlx::Error> {
    let mut other_process = OtherProcess::default();
    loop {
        if let Some(found) = within_time(find(connection, &place.tables, statements)).await?
            && !found.is_older(expected)
        {
            return Ok(found.check(expected));
        }
        if within_time(lock(connection, &place.tables)).await? {
            break;
        }
        other_process.wait(&expected.name).await;
    }
    // A step may take as long as it takes; to wait for those who use the tables may not.
    let session = format!(
        "SET SESSION lock_wait_timeout = {0}, SESSION innodb_lock_wait_timeout = {0}{1}",
        place.limits.lock_secs,
        statement_timeout(0)
    );
    MySql::fetch_all_of(&Sql::new(session), connection).await?;
    let found = match find(connection, &place.tables, statements).await? {
        Some(found) => {
            if found.is_older(expected) {
                migrate(connection, statements, &found).await?;
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

async fn lock(connection: &mut MySqlConnection, tables: &Tables) -> Result<bool, sqlx::Error> {
    let locked: Option<i64> = sqlx::query("SELECT GET_LOCK(?, ?)")
        .bind(tables.lock_name())
        .bind(LOCK_SECS)
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    Ok(locked == Some(1))
}

async fn find(
    connection: &mut MySqlConnection,
    tables: &Tables,
    statements: &Statements,
) -> Result<Option<Found>, sqlx::Error> {
    const TABLES: &str = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()";
    let described = statements
        .describe
        .query()
        .fetch_optional(&mut *connection)
        .await;
    let row = match described {
        Err(error) if is_missing_table(&error) => None,
        described => described?,
    };
    let Some(row) = row else {
        return Ok(None);
    };
    // After the version: another process may be adding some right now, and none goes.
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(connection).await?;
    let names: Vec<String> = names
        .iter()
        .filter_map(|name| tables.without_prefix(name))
        .collect();
    Ok(Some(Found::decode::<MySql>(&row)?.with_tables(&names)))
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
    found: &Found,
) -> Result<(), sqlx::Error> {
    for (to, step) in steps_from(&statements.schema_steps, found.schema_version) {
        take_step(&found.name, to, take(connection, step)).await?;
        let set_version = statements.set_schema_version.query::<MySql>();
        set_version
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
