//! The row by which a writer recognizes its commits.

use uuid::Uuid;

use crate::server::Server;
use crate::sql::Sql;

/// How long a row stays after the last transaction of its writer, by the server's clock.
///
/// A writer looks at its row for some two minutes after a transaction, until it gives up looking for what became of a
/// commit. So a row that was not written for an hour is of no use to anyone: its writer is dead, or it has nothing to look
/// for and makes the row again with its next transaction.
const KEPT_SECS: u32 = 3_600;

/// The row of one writer: its id, which is made when it is opened, and the number of its last attempt to record.
///
/// Each of its transactions writes the number, also one without events, so after a commit that was not answered the row
/// tells whether it was done. No event or position could: another writer may have recorded the same ones. And a row that all
/// writers share would not do, because another one may have written it before this one looks.
pub(crate) struct WriterRow {
    begin: String,
    read: String,
    read_marked: String,
    table: String,
    id: String,
    now: &'static str,
    /// Begins a transaction and reads the row, without writing it.
    pub(crate) look: Sql,
}

impl WriterRow {
    pub(crate) fn new<S: Server>(tables: &S::Tables, id: Uuid) -> Self {
        let table = S::quoted_table(tables, "writer");
        let events = S::quoted_table(tables, "stored_event");
        let log = S::quoted_table(tables, "notification_log");
        let id = S::uuid_literal(id);
        let locked = S::begin_locked(tables);
        let head = format!("(SELECT COALESCE(MAX(id), 0) FROM {events})");
        let read = format!(
            "SELECT epoch, {head}, n_redacted, COALESCE((SELECT attempt FROM {table} WHERE id = {id}), 0) FROM {log}"
        );
        Self {
            look: Sql::new(format!("{locked} {read}")),
            begin: format!("{locked} {}", S::mark_log(tables)),
            read_marked: if S::UPDATE_RETURNS {
                format!(
                    " FROM {log} AS log WHERE writer.id = {id}
                      RETURNING log.epoch, {head}, log.n_redacted, writer.attempt"
                )
            } else {
                format!(" WHERE id = {id}; {read}")
            },
            read,
            table,
            id,
            now: S::NOW_SECS,
        }
    }

    /// Begins a transaction, takes the log's lock, and writes the number of the attempt, from 1 up, into the row; then reads
    /// epoch, head, how much is redacted, and the number in the row: 0 if there is no row, or nothing is read then. In one
    /// message, because each is a way to the server and back, and where the server can do it in one statement. It has a
    /// snapshot that is newer than the lock, so what waited for the lock sees what was there before it waited.
    pub(crate) fn begin(&self, attempt: u64) -> Sql {
        let Self {
            begin,
            read_marked,
            table,
            now,
            ..
        } = self;
        Sql::new(format!(
            "{begin} UPDATE {table} AS writer SET attempt = {attempt}, written_at = {now}{read_marked}"
        ))
    }

    /// Makes the row, with the number of the attempt, and removes those that were [left behind](KEPT_SECS): under the log's
    /// lock, so no writer is at its row. Then reads what [`begin`](Self::begin) reads.
    pub(crate) fn make(&self, attempt: u64) -> Sql {
        let Self {
            table,
            id,
            now,
            read,
            ..
        } = self;
        Sql::new(format!(
            "INSERT INTO {table} (id, attempt, written_at) VALUES ({id}, {attempt}, {now});
             DELETE FROM {table} WHERE written_at < {now} - {KEPT_SECS}; {read}"
        ))
    }
}
