//! The events that the Python library `eventsourcing` keeps.

#[cfg(feature = "sqlite")]
use std::path::Path;

use boxes_recorder::RecorderError;

use crate::PythonEvent;
#[cfg(feature = "postgres")]
use crate::python_postgres_table::PythonPostgresTable;
#[cfg(feature = "sqlite")]
use crate::python_sqlite_table::PythonSqliteTable;

/// A table in which version 9 of the Python library `eventsourcing` keeps the events of an application, in an
/// SQLite file or a PostgreSQL database. It is only read.
#[derive(Debug)]
pub struct PythonTable(Kind);

#[derive(Debug)]
enum Kind {
    #[cfg(feature = "sqlite")]
    Sqlite(PythonSqliteTable),
    #[cfg(feature = "postgres")]
    Postgres(PythonPostgresTable),
}

impl PythonTable {
    /// Opens the table of that name, usually `stored_events`, in the file, without changing anything.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no such file or table, or the table is not one of events: it says
    ///   which tables and columns there are.
    /// - [`RecorderError::Unavailable`] if the file can't be read: try later.
    #[cfg(feature = "sqlite")]
    pub async fn open_sqlite(file: &Path, table: &str) -> Result<Self, RecorderError> {
        let opened = PythonSqliteTable::open(file, table).await?;
        Ok(Self(Kind::Sqlite(opened)))
    }

    /// Opens the table of that name, usually named after the application, as in `kennel_events`, in the database, without
    /// changing anything.
    ///
    /// `location` is a URL such as `postgres://user:password@host/database?schema=public`; the schema is `public`
    /// unless it says otherwise. The password is never printed.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if the URL is wrong, the server refuses the user, there is no such table, or the
    ///   table is not one of events: it says which tables and columns there are.
    /// - [`RecorderError::Unavailable`] if the server does not answer: try later.
    #[cfg(feature = "postgres")]
    pub async fn open_postgres(location: &str, table: &str) -> Result<Self, RecorderError> {
        let opened = PythonPostgresTable::open(location, table).await?;
        Ok(Self(Kind::Postgres(opened)))
    }

    /// How many events there are.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the database can't be read: try later.
    pub async fn count(&mut self) -> Result<u64, RecorderError> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(table) => table.count().await,
            #[cfg(feature = "postgres")]
            Kind::Postgres(table) => table.count().await,
        }
    }

    /// The events with notification ids greater than `after`, ascending, at most `limit`; fewer only at the end.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the database can't be read, or holds a row that is not what the library writes.
    pub async fn page(
        &mut self,
        after: u64,
        limit: u64,
    ) -> Result<Vec<PythonEvent>, RecorderError> {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(table) => table.page(after, limit).await,
            #[cfg(feature = "postgres")]
            Kind::Postgres(table) => table.page(after, limit).await,
        }
    }
}

/// The table has all the columns of `expected`, in whatever order, and no other.
pub(crate) fn check_columns(
    table: &str,
    columns: &[String],
    expected: &[&str],
) -> Result<(), RecorderError> {
    let has = |expected: &&str| columns.iter().any(|column| column == expected);
    if columns.len() == expected.len() && expected.iter().all(has) {
        return Ok(());
    }
    Err(mismatch(format!(
        "the table `{table}` is not one in which version 9 of the library keeps events: its columns are {}, expected {}",
        columns.join(", "),
        expected.join(", ")
    )))
}

pub(crate) fn no_table(place: &str, table: &str, tables: &[&str]) -> RecorderError {
    mismatch(format!(
        "{place} has no table `{table}`; it has: {}",
        tables.join(", ")
    ))
}

pub(crate) fn no_ids(table: &str) -> RecorderError {
    mismatch(format!(
        "the table `{table}` has no notification ids: name that of the application's events, not one of snapshots"
    ))
}

pub(crate) const fn mismatch(reason: String) -> RecorderError {
    RecorderError::Mismatch { reason }
}
