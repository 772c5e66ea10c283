//! The connections that read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxes_recorder::RecorderError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Semaphore;

use crate::sqlite_error::unavailable;
use crate::sqlite_file::DatabaseFile;

/// Connections that only read: opened when they are needed, kept, and lent to one reader at a time.
///
/// The pool of sqlx asks a connection for a sign of life each time it comes back, in a task of its own; a file
/// does not go away, and a page is read in less time than that takes.
#[derive(Debug)]
pub(crate) struct Readers {
    options: SqliteConnectOptions,
    file: Arc<DatabaseFile>,
    max_readers: u32,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Semaphore,
}

impl Readers {
    /// At most so many connections; further readers wait for one.
    pub(crate) fn new(
        options: SqliteConnectOptions,
        file: Arc<DatabaseFile>,
        max_readers: u32,
    ) -> Self {
        Self {
            options,
            file,
            max_readers,
            idle: Mutex::default(),
            permits: Semaphore::new(usize::try_from(max_readers).unwrap_or(Semaphore::MAX_PERMITS)),
        }
    }

    /// Reads with a connection of its own. One with which reading failed, or was given up in the middle, is closed.
    pub(crate) async fn read<T>(
        &self,
        doing: &'static str,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, RecorderError> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(RecorderError::Closed);
        };
        self.file.check()?;
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(unavailable(doing))?,
        };
        let found = read(&mut connection).await.map_err(unavailable(doing))?;
        self.idle().push(connection);
        Ok(found)
    }

    /// Lends no more, waits for those on loan, and gives all that are open.
    pub(crate) async fn close(&self) -> Vec<SqliteConnection> {
        // Whoever has all permits knows that nobody reads.
        if let Ok(_all) = self.permits.acquire_many(self.max_readers).await {
            self.permits.close();
        }
        std::mem::take(&mut *self.idle())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        // A vector is whole between two of its operations.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
