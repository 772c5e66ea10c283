//! How values beside the log are kept in `MySQL` and `MariaDB`.

use sqlx::{MySql, MySqlConnection};

use crate::columns::{Columns, Filled};
use crate::mysql_error;
use crate::mysql_tables::Tables;
use crate::server_key_values::{KeyValueServer, KeyValueStatements};
use crate::sql::Sql;

impl KeyValueServer for MySql {
    fn key_value_statements(tables: &Tables) -> KeyValueStatements {
        let t = tables.quoted("key_value");
        let sql = Sql::new;
        KeyValueStatements {
            get: sql(format!(
                "SELECT value FROM {t} WHERE kind = ? AND entry_key = ?"
            )),
            get_locked: sql(format!(
                "SELECT value FROM {t} WHERE kind = ? AND entry_key = ? FOR UPDATE"
            )),
            // Not `INSERT IGNORE`, which would cut a value that does not fit.
            put_if_absent: sql(format!(
                "INSERT INTO {t} (kind, entry_key, value) VALUES (?, ?, ?)"
            )),
            put: sql(format!(
                "INSERT INTO {t} (kind, entry_key, value) VALUES (?, ?, ?)
                     ON DUPLICATE KEY UPDATE value = VALUES(value)"
            )),
            // The driver asks for the rows that were found, so one that is given the value that it has counts.
            replace: sql(format!(
                "UPDATE {t} SET value = ? WHERE kind = ? AND entry_key = ? AND value = ?"
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

    fn bind_kind(query: Filled<Self>, kind: &str) -> Filled<Self> {
        Self::bind_bytes(query, kind.as_bytes())
    }

    async fn execute(
        query: Filled<Self>,
        connection: &mut MySqlConnection,
    ) -> Result<u64, sqlx::Error> {
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn is_duplicate(error: &sqlx::Error) -> bool {
        mysql_error::is_duplicate(error)
    }
}
