//! The table of events that the Python library `eventsourcing` keeps in a PostgreSQL database.

use std::time::Duration;

use boxes_recorder::RecorderError;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use tokio::time::timeout;

use crate::PythonEvent;
use crate::columns::Filled;
use crate::numbers::{at_most, unsigned};
use crate::python_table::{check_columns, no_ids, no_table};
use crate::server_error::{timed_out, unavailable, while_opening};
use crate::server_place::Place;

/// How long it may take until the table is found.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// So that nothing is changed, and no program of the application is kept from writing for long. Said in each transaction: a pooler
/// may give each of them another session.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL application_name = 'boxes import'";

/// The schema that the library uses if nothing else is said.
const DEFAULT_SCHEMA: &str = "public";

/// The columns of a table of events, as version 9 of the library makes it.
const COLUMNS: [&str; 5] = [
    "originator_id",
    "originator_version",
    "topic",
    "state",
    "notification_id",
];

/// The connection, and what is asked over it.
#[derive(Debug)]
pub(crate) struct PythonPostgresTable {
    connection: PgConnection,
    page: String,
    count: String,
}

impl PythonPostgresTable {
    pub(crate) async fn open(location: &str, table: &str) -> Result<Self, RecorderError> {
        let place = Place::<Postgres>::parse(location, DEFAULT_SCHEMA)?;
        let finding = async {
            let mut connection = place.hosts.connect().await?;
            let tables = tables(&mut connection, place.tables.as_str()).await?;
            let columns = columns(&mut connection, place.tables.as_str(), table).await?;
            Ok((connection, tables, columns))
        };
        let (connection, tables, columns) = timeout(OPEN_TIMEOUT, finding)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(while_opening::<Postgres>)?;
        if columns.is_empty() {
            let names: Vec<&str> = tables.iter().map(String::as_str).collect();
            let schema = format!("the schema `{}`", place.tables.as_str());
            return Err(no_table(&schema, table, &names));
        }
        let without_ids = COLUMNS.split_last().map_or(&[][..], |(_, columns)| columns);
        if check_columns(table, &columns, without_ids).is_ok() {
            return Err(no_ids(table));
        }
        check_columns(table, &columns, &COLUMNS)?;
        let table = format!(
            "{}.\"{}\"",
            place.tables.quoted(),
            table.replace('"', "\"\"")
        );
        Ok(Self {
            connection,
            page: format!(
                "SELECT notification_id, originator_id::text, originator_version, topic, state FROM {table}
                  WHERE notification_id > $1 ORDER BY notification_id LIMIT $2"
            ),
            count: format!("SELECT count(*) FROM {table}"),
        })
    }

    pub(crate) async fn count(&mut self) -> Result<u64, RecorderError> {
        let doing = unavailable::<Postgres>("counting the events of the Python library");
        let query = sqlx::query(AssertSqlSafe(self.count.clone()));
        let rows = read(&mut self.connection, query).await.map_err(&doing)?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound);
        row.and_then(|row| unsigned(row.try_get(0)?)).map_err(doing)
    }

    pub(crate) async fn page(
        &mut self,
        after: u64,
        limit: u64,
    ) -> Result<Vec<PythonEvent>, RecorderError> {
        let query = sqlx::query(AssertSqlSafe(self.page.clone()))
            .bind(at_most(after))
            .bind(at_most(limit));
        let rows = read(&mut self.connection, query).await;
        rows.and_then(|rows| rows.iter().map(PythonEvent::of_row::<Postgres>).collect())
            .map_err(unavailable::<Postgres>(
                "reading the events of the Python library",
            ))
    }
}

/// The rows of a query, in a transaction of its own.
async fn read(
    connection: &mut PgConnection,
    query: Filled<Postgres>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
    let rows = query.persistent(false).fetch_all(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(rows)
}

async fn tables(connection: &mut PgConnection, schema: &str) -> Result<Vec<String>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY tablename",
    );
    texts(&read(connection, query.bind(schema.to_owned())).await?)
}

/// The columns of the table, none if there is no such table that the user may see.
async fn columns(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT column_name::text FROM information_schema.columns
          WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
    );
    let query = query.bind(schema.to_owned()).bind(table.to_owned());
    texts(&read(connection, query).await?)
}

fn texts(rows: &[PgRow]) -> Result<Vec<String>, sqlx::Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}
