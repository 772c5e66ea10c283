//! How values beside the log are kept in PostgreSQL.

use sqlx::{PgConnection, Postgres};

use crate::columns::{Columns, Filled};
use crate::postgres_schema_name::SchemaName;
use crate::server_key_values::{KeyValueServer, KeyValueStatements};
use crate::sql::Sql;

impl KeyValueServer for Postgres {
    fn key_value_statements(schema: &SchemaName) -> KeyValueStatements {
        let s = schema.quoted();
        let sql = |text| Sql::new(text).kept(!schema.is_pooled());
        KeyValueStatements {
            get: sql(format!(
                "SELECT value FROM {s}.key_value WHERE kind = $1 AND entry_key = $2"
            )),
            get_locked: sql(format!(
                "SELECT value FROM {s}.key_value WHERE kind = $1 AND entry_key = $2 FOR UPDATE"
            )),
            put_if_absent: sql(format!(
                "INSERT INTO {s}.key_value (kind, entry_key, value) VALUES ($1, $2, $3)
                     ON CONFLICT (kind, entry_key) DO NOTHING"
            )),
            put: sql(format!(
                "INSERT INTO {s}.key_value (kind, entry_key, value) VALUES ($1, $2, $3)
                     ON CONFLICT (kind, entry_key) DO UPDATE SET value = excluded.value"
            )),
            replace: sql(format!(
                "UPDATE {s}.key_value SET value = $1
                     WHERE kind = $2 AND entry_key = $3 AND value = $4"
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

    fn bind_kind(query: Filled<Self>, kind: &str) -> Filled<Self> {
        Self::bind_text(query, kind)
    }

    async fn execute(
        query: Filled<Self>,
        connection: &mut PgConnection,
    ) -> Result<u64, sqlx::Error> {
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn is_duplicate(_: &sqlx::Error) -> bool {
        // Its statement says nothing of one that is there.
        false
    }
}
