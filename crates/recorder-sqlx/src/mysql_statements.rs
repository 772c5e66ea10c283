//! The SQL of the tables of one box.

use sqlx::{AssertSqlSafe, MySql};

use crate::columns::Filled;
use crate::event_row::event_columns;
use crate::found_log::SchemaSteps;
use crate::mysql_tables::Tables;
use crate::sql::Sql;

/// Statements of up to so many rows are prepared once for each number of rows and kept; the driver keeps 100.
const MAX_KEPT_ROWS: usize = 32;

/// A statement for any number of rows: what stands before them, what each is, what stands behind them.
#[derive(Debug)]
pub(crate) struct Rows {
    before: String,
    row: &'static str,
    after: &'static str,
}

impl Rows {
    /// The statement for `n` rows, from 1 up.
    pub(crate) fn of_rows(&self, n: usize) -> Filled<MySql> {
        let rows = vec![self.row; n].join(", ");
        let text = format!("{}{rows}{}", self.before, self.after);
        sqlx::query(AssertSqlSafe(text)).persistent(n <= MAX_KEPT_ROWS)
    }
}

/// The statements that are MySQL's own.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) schema_steps: SchemaSteps<Sql>,
    pub(crate) set_schema_version: Sql,
    pub(crate) describe: Sql,
    pub(crate) insert_log: Sql,
    pub(crate) versions: Rows,
    pub(crate) positions: Rows,
    pub(crate) save_positions: Rows,
    pub(crate) insert: Rows,
}

const COLUMNS: &str = event_columns!();

impl Statements {
    pub(crate) fn of(tables: &Tables) -> Self {
        let log = tables.quoted("notification_log");
        let events = tables.quoted("stored_event");
        let tracking = tables.quoted("tracking");
        let key_value = tables.quoted("key_value");
        let writer = tables.quoted("writer");
        let sql = Sql::new;
        let table = "ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        Self {
            // `IF NOT EXISTS`, because MySQL commits each of them for itself: one that was cut short is gone on with. Where it
            // has no such words the statement is done already if the server says so.
            // Ids are given by the writer under the lock: no AUTO_INCREMENT, so they are dense. Versions are checked
            // under the same lock; the unique key is the backstop, and the way by which an aggregate is read. Names of
            // followers are bytes: compared as texts, those that differ in spaces at the end would be one.
            schema_steps: [
                sql(format!(
                    "CREATE TABLE IF NOT EXISTS {log} (
                     only_row tinyint NOT NULL DEFAULT 1 PRIMARY KEY,
                     name text NOT NULL,
                     epoch binary(16) NOT NULL,
                     page_size bigint NOT NULL,
                     schema_version bigint NOT NULL
                 ) {table};
                 CREATE TABLE IF NOT EXISTS {events} (
                     id bigint NOT NULL PRIMARY KEY,
                     originator_id binary(16) NOT NULL,
                     originator_version bigint NOT NULL,
                     event_id binary(16) NOT NULL,
                     topic mediumtext NOT NULL,
                     schema_version bigint NOT NULL,
                     encoding mediumtext NOT NULL,
                     state longblob NOT NULL,
                     metadata longblob NOT NULL,
                     occurred_on bigint NOT NULL COMMENT 'microseconds since 1970-01-01T00:00:00Z',
                     UNIQUE KEY stored_event_by_originator (originator_id, originator_version)
                 ) {table};
                 CREATE TABLE IF NOT EXISTS {tracking} (
                     follower varbinary(1024) NOT NULL PRIMARY KEY,
                     epoch binary(16) NOT NULL,
                     position bigint NOT NULL
                 ) {table};"
                )),
                sql(format!(
                    "CREATE TABLE IF NOT EXISTS {key_value} (
                     kind varbinary(32) NOT NULL,
                     entry_key varbinary(512) NOT NULL,
                     value longblob NOT NULL,
                     PRIMARY KEY (kind, entry_key)
                 ) {table};"
                )),
                sql(format!(
                    "ALTER TABLE {log} ADD COLUMN n_redacted bigint NOT NULL DEFAULT 0;"
                )),
                // Event ids ascend with time where the kit makes them, so the index is written at its end.
                sql(format!(
                    "CREATE INDEX stored_event_by_event_id ON {events} (event_id);"
                )),
                // The event id is that of the position beside it: an older program that moves the position leaves it behind.
                // The revision is counted up by each transaction, so that on a cluster of servers, where a lock is held on
                // one of them only, no two transactions that change the log are both taken.
                sql(format!(
                    "ALTER TABLE {tracking} ADD COLUMN event_id binary(16), ADD COLUMN event_position bigint;
                 ALTER TABLE {log} ADD COLUMN revision bigint NOT NULL DEFAULT 0;
                 CREATE TABLE IF NOT EXISTS {writer} (
                     id binary(16) NOT NULL PRIMARY KEY,
                     attempt bigint NOT NULL,
                     written_at bigint NOT NULL COMMENT 'seconds since 1970-01-01T00:00:00Z, by the clock of the server'
                 ) {table};"
                )),
            ],
            set_schema_version: sql(format!("UPDATE {log} SET schema_version = ?")),
            describe: sql(format!(
                "SELECT name, epoch, page_size, schema_version FROM {log}"
            )),
            insert_log: sql(format!(
                "INSERT INTO {log} (name, epoch, page_size, schema_version) VALUES (?, ?, ?, ?)"
            )),
            versions: Rows {
                before: format!(
                    "SELECT originator_id, MAX(originator_version),
                            (SELECT n_redacted > 0 FROM {log})
                                AND EXISTS (SELECT 1 FROM {events} AS first WHERE first.originator_id = events.originator_id
                                            AND first.originator_version = 1 AND first.encoding = 'redacted')
                     FROM {events} AS events WHERE originator_id IN ("
                ),
                row: "?",
                after: ") GROUP BY originator_id",
            },
            positions: Rows {
                before: format!(
                    "SELECT follower, epoch, position, CASE WHEN event_position = position THEN event_id END
                     FROM {tracking} WHERE follower IN ("
                ),
                row: "?",
                after: ")",
            },
            // `VALUES()` in the update is MySQL's old way, and the only one that MariaDB knows as well.
            save_positions: Rows {
                before: format!(
                    "INSERT INTO {tracking} (follower, epoch, position, event_id, event_position) VALUES "
                ),
                row: "(?, ?, ?, ?, ?)",
                after: " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), position = VALUES(position),
                        event_id = VALUES(event_id), event_position = VALUES(event_position)",
            },
            insert: Rows {
                before: format!("INSERT INTO {events} ({COLUMNS}) VALUES "),
                row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                after: "",
            },
        }
    }
}
