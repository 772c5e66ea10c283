//! How values beside the log are kept in `MySQL` and `MariaDB`.

use bytes::Bytes;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, MySql, MySqlConnection, Row};

use crate::mysql_error::{is_duplicate, is_transient};
use crate::mysql_place::Place;
use crate::server_key_values::{self, KeyValueServer, KeyValueStatements};
use crate::sql::Sql;

pub(crate) type KeyValues = server_key_values::ServerKeyValues<MySql>;

impl KeyValueServer for MySql {
    async fn connect_to_write(
        options: &MySqlConnectOptions,
    ) -> Result<MySqlConnection, sqlx::Error> {
        options.connect().await
    }

    fn query<'q>(statement: &Sql, kind: &'q str) -> Query<'q, Self, MySqlArguments> {
        sqlx::query(statement.text()).bind(kind.as_bytes())
    }

    fn bind<'q>(
        query: Query<'q, Self, MySqlArguments>,
        bytes: &'q [u8],
    ) -> Query<'q, Self, MySqlArguments> {
        query.bind(bytes)
    }

    fn bind_number(
        query: Query<'_, Self, MySqlArguments>,
        number: i64,
    ) -> Query<'_, Self, MySqlArguments> {
        query.bind(number)
    }

    async fn execute<'q>(
        query: Query<'q, Self, MySqlArguments>,
        connection: &mut MySqlConnection,
    ) -> Result<u64, sqlx::Error> {
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn bytes(row: &MySqlRow, column: usize) -> Result<Bytes, sqlx::Error> {
        Ok(row.try_get::<Vec<u8>, _>(column)?.into())
    }

    fn is_duplicate(error: &sqlx::Error) -> bool {
        is_duplicate(error)
    }

    fn is_transient(error: &sqlx::Error) -> bool {
        is_transient(error)
    }
}

/// The statements on the table of one box.
pub(crate) fn statements(place: &Place) -> KeyValueStatements {
    let t = place.quoted_table("key_value");
    let sql = Sql::new;
    KeyValueStatements {
        get: sql(format!(
            "SELECT value FROM {t} WHERE kind = ? AND entry_key = ?"
        )),
        // Not `INSERT IGNORE`, which would cut a value that does not fit.
        put_if_absent: sql(format!(
            "INSERT INTO {t} (kind, entry_key, value) VALUES (?, ?, ?)"
        )),
        put: sql(format!(
            "INSERT INTO {t} (kind, entry_key, value) VALUES (?, ?, ?)
                 ON DUPLICATE KEY UPDATE value = VALUES(value)"
        )),
        delete: sql(format!("DELETE FROM {t} WHERE kind = ? AND entry_key = ?")),
        list: sql(format!(
            "SELECT entry_key, value FROM {t}
                 WHERE kind = ? AND entry_key > ? ORDER BY entry_key LIMIT ?"
        )),
        list_keys: sql(format!(
            "SELECT entry_key FROM {t}
                 WHERE kind = ? AND entry_key > ? ORDER BY entry_key LIMIT ?"
        )),
    }
}
