//! Events as rows that are written.

use std::sync::LazyLock;

use boxes_recorder::{Changes, StoredEvent};
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqliteConnection};

use crate::event_row::event_columns;

/// How many columns that are.
const N_COLUMNS: usize = 10;

/// The statements that insert 1, 2, 4, … rows. A few sizes, so that they stay prepared; any number of rows is a
/// sum of them. At 256 rows the cost of a statement is lost in that of its rows.
static INSERTS: LazyLock<Vec<Insert>> =
    LazyLock::new(|| (0..=8).rev().map(|power| Insert::of(1 << power)).collect());

struct Insert {
    n_rows: usize,
    statement: String,
    /// The same, and then commits: each statement of its own is a way to SQLite's thread and back.
    last_statement: String,
}

impl Insert {
    fn of(n_rows: usize) -> Self {
        let row = format!("({})", ["?"; N_COLUMNS].join(","));
        let rows = vec![row; n_rows].join(",");
        let statement = format!(
            concat!(
                "INSERT INTO stored_event (",
                event_columns!(),
                ") VALUES {}"
            ),
            rows
        );
        Self {
            n_rows,
            last_statement: format!("{statement}; COMMIT"),
            statement,
        }
    }
}

/// Inserts the events, and commits.
pub(crate) async fn insert_and_commit(
    connection: &mut SqliteConnection,
    changes: &Changes<'_>,
) -> Result<(), sqlx::Error> {
    let mut events = changes.events.as_slice();
    if events.is_empty() {
        sqlx::query("COMMIT").execute(connection).await?;
        return Ok(());
    }
    let mut id = changes.first;
    for insert in INSERTS.iter() {
        while let Some((chunk, rest)) = events.split_at_checked(insert.n_rows) {
            let mut rows = SqliteArguments::default();
            rows.reserve(insert.n_rows.saturating_mul(N_COLUMNS), 0);
            for event in chunk {
                bind(&mut rows, id, event).map_err(sqlx::Error::Encode)?;
                id = id.saturating_add(1);
            }
            let statement = if rest.is_empty() {
                &insert.last_statement
            } else {
                &insert.statement
            };
            sqlx::query_with(statement.as_str(), rows)
                .execute(&mut *connection)
                .await?;
            events = rest;
        }
    }
    Ok(())
}

fn bind(row: &mut SqliteArguments, id: u64, event: &StoredEvent) -> Result<(), BoxDynError> {
    row.add(i64::try_from(id)?)?;
    row.add(event.originator_id)?;
    row.add(i64::try_from(event.originator_version)?)?;
    row.add(event.event_id)?;
    row.add(event.topic.as_ref())?;
    row.add(event.schema_version)?;
    row.add(event.encoding.as_str())?;
    row.add(event.state.as_ref())?;
    row.add(event.metadata.as_ref())?;
    row.add(event.occurred_on.as_microsecond())
}
