//! Deleting a stream on a server, of either kind.

use boxes_recorder::Deletion;
use uuid::Uuid;

use crate::columns::Filled;
use crate::numbers::unsigned;
use crate::server::Server;
use crate::server_statements::Statements;
use crate::sql::Sql;

/// Under the log's lock, which the caller has taken, and without the commit, which is the caller's. Done again it changes
/// nothing, so a commit that was not answered needs no looking for what became of it.
pub(crate) async fn delete<S: Server>(
    connection: &mut S::Connection,
    statements: &Statements<S>,
    originator_id: Uuid,
) -> Result<Deletion, sqlx::Error> {
    let of_stream = |sql: &Sql| S::bind_uuid(sql.query(), originator_id);
    // Counted before: what a change tells of itself differs from server to server.
    let [n_readable] = numbers::<S, 1>(connection, of_stream(&statements.n_readable)).await?;
    if n_readable > 0 {
        S::fetch_all(of_stream(&statements.redact), connection).await?;
        let count = statements.count_redacted.query();
        S::fetch_all(S::bind_number(count, n_readable), connection).await?;
    }
    let [n_events, n_redacted] =
        numbers::<S, 2>(connection, of_stream(&statements.deletion)).await?;
    Ok(Deletion {
        n_events: unsigned(n_events)?,
        n_redacted: unsigned(n_redacted)?,
    })
}

/// The numbers of the one row that the query gives.
async fn numbers<S: Server, const N: usize>(
    connection: &mut S::Connection,
    query: Filled<S>,
) -> Result<[i64; N], sqlx::Error> {
    let rows = S::fetch_all(query, connection).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut numbers = [0; N];
    for (column, number) in numbers.iter_mut().enumerate() {
        *number = S::number(row, column)?;
    }
    Ok(numbers)
}
