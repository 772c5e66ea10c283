//! The SQL that all servers understand.

use crate::columns::Filled;
use crate::event_row::event_columns;
use crate::server::Server;
use crate::sql::Sql;

/// Every statement, with the tables named in it. Not by a setting of the session: a pooler that shares sessions would lose
/// it, and one box would write into the tables of another.
#[derive(Debug)]
pub(crate) struct Statements<S: Server> {
    pub(crate) begin: Sql,
    pub(crate) commit: Sql,
    pub(crate) name: Sql,
    pub(crate) set_epoch: Sql,
    pub(crate) is_recorded: Sql,
    pub(crate) stream_ascending: Sql,
    pub(crate) stream_descending: Sql,
    pub(crate) notifications: Sql,
    pub(crate) head: Sql,
    pub(crate) own: S::Statements,
}

impl<S: Server> Statements<S> {
    pub(crate) fn of(tables: &S::Tables) -> Self {
        const COLUMNS: &str = event_columns!();
        let [p1, p2, p3, p4] = S::PLACES;
        let log = S::quoted_table(tables, "notification_log");
        let events = S::quoted_table(tables, "stored_event");
        let sql = Sql::new;
        let head = format!("SELECT COALESCE(MAX(id), 0) FROM {events}");
        let stream = |order: &str| {
            sql(format!(
                "SELECT {COLUMNS} FROM {events}
                 WHERE originator_id = {p1} AND originator_version > {p2} AND originator_version <= {p3}
                 ORDER BY originator_version {order} LIMIT {p4}"
            ))
        };
        Self {
            // The head is read by a statement of its own, which has a snapshot of its own: one that waits for the lock
            // sees what was there before it waited. In one message, because each is a way to the server and back.
            begin: sql(format!(
                "{} SELECT epoch, ({head}) FROM {log}",
                S::begin_locked(tables)
            )),
            commit: Sql::fixed("COMMIT"),
            name: sql(format!("SELECT name FROM {log}")),
            set_epoch: sql(format!("UPDATE {log} SET epoch = {p1}")),
            is_recorded: sql(format!(
                "SELECT id FROM {events} WHERE id = {p1} AND event_id = {p2}"
            )),
            stream_ascending: stream("ASC"),
            stream_descending: stream("DESC"),
            notifications: sql(format!(
                "SELECT {COLUMNS} FROM {events} WHERE id >= {p1} ORDER BY id LIMIT {p2}"
            )),
            head: sql(head),
            own: S::statements(tables),
        }
    }
}

/// A statement with numbers in its places, in their order.
pub(crate) fn with_numbers<S: Server>(
    query: Filled<S>,
    numbers: impl IntoIterator<Item = i64>,
) -> Filled<S> {
    numbers.into_iter().fold(query, S::bind_number)
}
