//! The table of events that the Python library `eventsourcing` keeps in an SQLite file.

use std::path::Path;
use std::time::Duration;

use boxes_recorder::RecorderError;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};

use crate::PythonEvent;
use crate::numbers::{at_most, unsigned};
use crate::python_table::{check_columns, mismatch, no_ids, no_table};
use crate::sqlite_error::{is_no_database, unavailable};

/// How long to wait for another program that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The columns of a table of events, as version 9 of the library makes it.
const COLUMNS: [&str; 4] = ["originator_id", "originator_version", "topic", "state"];

/// The connection, and what is asked over it.
#[derive(Debug)]
pub(crate) struct PythonSqliteTable {
    connection: SqliteConnection,
    page: String,
    count: String,
}

impl PythonSqliteTable {
    pub(crate) async fn open(file: &Path, table: &str) -> Result<Self, RecorderError> {
        if !file.is_file() {
            return Err(mismatch(format!("there is no file {}", file.display())));
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let failed = |error| {
            if is_no_database(&error) {
                mismatch(format!("{} is not an SQLite database", file.display()))
            } else {
                unavailable("reading the tables of the Python library")(error)
            }
        };
        let mut connection = options.connect().await.map_err(failed)?;
        let tables = tables(&mut connection).await.map_err(failed)?;
        let Some((_, has_no_ids)) = tables.iter().find(|(name, _)| name == table) else {
            let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
            return Err(no_table(&file.display().to_string(), table, &names));
        };
        let columns = columns(&mut connection, table).await.map_err(failed)?;
        check_columns(table, &columns, &COLUMNS)?;
        if *has_no_ids {
            return Err(no_ids(table));
        }
        let table = format!("\"{}\"", table.replace('"', "\"\""));
        Ok(Self {
            connection,
            page: format!(
                "SELECT rowid, originator_id, originator_version, topic, state FROM {table}
                  WHERE rowid > ? ORDER BY rowid LIMIT ?"
            ),
            count: format!("SELECT count(*) FROM {table}"),
        })
    }

    pub(crate) async fn count(&mut self) -> Result<u64, RecorderError> {
        let doing = unavailable("counting the events of the Python library");
        let row = sqlx::query(AssertSqlSafe(self.count.as_str()))
            .fetch_one(&mut self.connection)
            .await
            .map_err(&doing)?;
        unsigned(row.try_get(0).map_err(&doing)?).map_err(doing)
    }

    pub(crate) async fn page(
        &mut self,
        after: u64,
        limit: u64,
    ) -> Result<Vec<PythonEvent>, RecorderError> {
        let rows = sqlx::query(AssertSqlSafe(self.page.as_str()))
            .bind(at_most(after))
            .bind(at_most(limit))
            .fetch_all(&mut self.connection)
            .await;
        rows.and_then(|rows| rows.iter().map(PythonEvent::of_row::<Sqlite>).collect())
            .map_err(unavailable("reading the events of the Python library"))
    }
}

/// The names of the tables, and whether they are without row ids.
async fn tables(connection: &mut SqliteConnection) -> Result<Vec<(String, bool)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, wr FROM pragma_table_list
          WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)? != 0)))
        .collect()
}

async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query("SELECT name FROM pragma_table_info(?)")
        .bind(table)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
