//! How values beside the log are kept in PostgreSQL.

use bytes::Bytes;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, PgConnection, Postgres, Row};

use crate::postgres_error::is_transient;
use crate::postgres_place::Place;
use crate::server_key_values::{self, KeyValueServer, KeyValueStatements};
use crate::sql::Sql;

pub(crate) type KeyValues = server_key_values::ServerKeyValues<Postgres>;

/// What is said to the server at the beginning of the session: as for events, what is answered is on the disk.
const SESSION: &str = "
    SELECT set_config('lock_timeout', '10s', false), set_config('statement_timeout', '15s', false),
           set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)";

impl KeyValueServer for Postgres {
    async fn connect_to_write(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let mut connection = options.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    fn query<'q>(statement: &Sql, kind: &'q str) -> Query<'q, Self, PgArguments> {
        sqlx::query(statement.text()).bind(kind)
    }

    fn bind<'q>(
        query: Query<'q, Self, PgArguments>,
        bytes: &'q [u8],
    ) -> Query<'q, Self, PgArguments> {
        query.bind(bytes)
    }

    fn bind_number(
        query: Query<'_, Self, PgArguments>,
        number: i64,
    ) -> Query<'_, Self, PgArguments> {
        query.bind(number)
    }

    async fn execute<'q>(
        query: Query<'q, Self, PgArguments>,
        connection: &mut PgConnection,
    ) -> Result<u64, sqlx::Error> {
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn bytes(row: &PgRow, column: usize) -> Result<Bytes, sqlx::Error> {
        Ok(row.try_get::<Vec<u8>, _>(column)?.into())
    }

    fn is_duplicate(_: &sqlx::Error) -> bool {
        // Its statement says nothing of one that is there.
        false
    }

    fn is_transient(error: &sqlx::Error) -> bool {
        is_transient(error)
    }
}

/// The statements on the table of one box.
pub(crate) fn statements(place: &Place) -> KeyValueStatements {
    let s = place.quoted_schema();
    let sql = Sql::new;
    KeyValueStatements {
        get: sql(format!(
            "SELECT value FROM {s}.key_value WHERE kind = $1 AND entry_key = $2"
        )),
        put_if_absent: sql(format!(
            "INSERT INTO {s}.key_value (kind, entry_key, value) VALUES ($1, $2, $3)
                 ON CONFLICT (kind, entry_key) DO NOTHING"
        )),
        put: sql(format!(
            "INSERT INTO {s}.key_value (kind, entry_key, value) VALUES ($1, $2, $3)
                 ON CONFLICT (kind, entry_key) DO UPDATE SET value = excluded.value"
        )),
        delete: sql(format!(
            "DELETE FROM {s}.key_value WHERE kind = $1 AND entry_key = $2"
        )),
        list: sql(format!(
            "SELECT entry_key, value FROM {s}.key_value
                 WHERE kind = $1 AND entry_key > $2 ORDER BY entry_key LIMIT $3"
        )),
        list_keys: sql(format!(
            "SELECT entry_key FROM {s}.key_value
                 WHERE kind = $1 AND entry_key > $2 ORDER BY entry_key LIMIT $3"
        )),
    }
}
