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
    pub(crate) rollback: Sql,
    pub(crate) name: Sql,
    pub(crate) set_epoch: Sql,
    pub(crate) stream_ascending: Sql,
    pub(crate) stream_descending: Sql,
    pub(crate) event: Sql,
    pub(crate) redact: Sql,
    pub(crate) set_n_redacted: Sql,
    pub(crate) n_redacted: Sql,
    pub(crate) n_redacted_in: Sql,
    pub(crate) notifications: Sql,
    pub(crate) head: Sql,
    pub(crate) own: S::Statements,
}

impl<S: Server> Statements<S> {
    pub(crate) fn of(tables: &S::Tables) -> Self {
        const COLUMNS: &str = event_columns!();
        let [p1, p2, p3, p4, p5, p6, p7] = S::PLACES;
        let log = S::quoted_table(tables, "notification_log");
        let events = S::quoted_table(tables, "stored_event");
        let sql = |text| Sql::new(text).kept(S::keeps_statements(tables));
        let head = format!("SELECT COALESCE(MAX(id), 0) FROM {events}");
        let stream = |order: &str| {
            // The stream, and its first event if that is redacted: so a deletion shows, whatever the part that is read.
            sql(format!(
                "(SELECT {COLUMNS} FROM {events}
                  WHERE originator_id = {p1} AND originator_version > {p2} AND originator_version <= {p3}
                    AND occurred_on >= {p4} AND occurred_on <= {p5}
                  ORDER BY originator_version {order} LIMIT {p6})
                 UNION ALL
                 (SELECT {COLUMNS} FROM {events}
                  WHERE originator_id = {p7} AND originator_version = 1 AND encoding = 'redacted')"
            ))
        };
        Self {
            // The head, and how much is redacted, are read by a statement of its own, which has a snapshot of its own: one that waits for the lock
            // sees what was there before it waited. In one message, because each is a way to the server and back.
            begin: sql(format!(
                "{} SELECT epoch, ({head}), n_redacted FROM {log}",
                S::begin_locked(tables)
            )),
            commit: Sql::fixed("COMMIT"),
            rollback: Sql::fixed("ROLLBACK"),
            name: sql(format!("SELECT name FROM {log}")),
            set_epoch: sql(format!("UPDATE {log} SET epoch = {p1}")),
            stream_ascending: stream("ASC"),
            stream_descending: stream("DESC"),
            event: sql(format!(
                "SELECT {COLUMNS} FROM {events} WHERE event_id = {p1} ORDER BY id LIMIT 1"
            )),
            redact: sql(format!(
                "UPDATE {events} SET encoding = 'redacted', state = '', metadata = '{{}}' \
                 WHERE originator_id = {p1} AND encoding <> 'redacted'"
            )),
            set_n_redacted: sql(format!("UPDATE {log} SET n_redacted = {p1}")),
            n_redacted: sql(format!("SELECT n_redacted FROM {log}")),
            n_redacted_in: sql(format!(
                "SELECT COUNT(*) FROM {events} WHERE id >= {p1} AND id <= {p2} AND encoding = 'redacted'"
            )),
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
