//! The connections that read from a server, of either kind.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxes_recorder::RecorderError;
use sqlx::query::Query;
use sqlx::{Connection, Database};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::server_error::timed_out;

/// How long a read may take, with waiting for a connection and making one.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that was not used for so long is replaced: what lies between may have forgotten it.
pub(crate) const MAX_IDLE: Duration = Duration::from_secs(60);

/// What those who read ask of a server in its own way.
pub(crate) trait Server: Database {
    /// Where the server is, and as whom it is asked.
    type Options: Clone + Send + Sync + 'static;

    /// A new connection, which can't write.
    fn connect(
        options: &Self::Options,
    ) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// The rows of a query.
    fn fetch_all<'q>(
        query: Query<'q, Self, Self::Arguments>,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Whether the connection is of no use any more, so that another one may do.
    fn is_connection_lost(error: &sqlx::Error) -> bool;

    /// What went wrong while `doing`, in words of the port.
    fn unavailable(doing: &'static str, error: sqlx::Error) -> RecorderError;
}

/// Connections that only read: made when they are needed, kept, and lent to one reader at a time.
///
/// The pool of sqlx asks a connection for a sign of life each time it is lent or comes back, which takes as long as the
/// read itself; here one that turns out to be lost is replaced, and the read done again.
pub(crate) struct Readers<S: Server> {
    options: S::Options,
    max_readers: u32,
    shared: Arc<Shared<S>>,
}

struct Shared<S: Server> {
    idle: Mutex<Vec<(S::Connection, Instant)>>,
    permits: Semaphore,
}

impl<S: Server> Readers<S> {
    /// At most so many connections; further readers wait for one.
    pub(crate) fn new(options: S::Options, max_readers: u32) -> Self {
        let permits =
            Semaphore::new(usize::try_from(max_readers).unwrap_or(Semaphore::MAX_PERMITS));
        Self {
            options,
            max_readers,
            shared: Arc::new(Shared {
                idle: Mutex::default(),
                permits,
            }),
        }
    }

    /// The rows of a query. A connection with which reading failed, or was given up in the middle, is closed.
    pub(crate) async fn rows<'q>(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'q, S, S::Arguments> + Send,
    ) -> Result<Vec<S::Row>, RecorderError> {
        let reading = async {
            let Ok(_permit) = self.shared.permits.acquire().await else {
                return Err(RecorderError::Closed);
            };
            if let Some(mut connection) = self.fresh_idle() {
                match S::fetch_all(query(), &mut connection).await {
                    Ok(rows) => {
                        self.keep(connection);
                        return Ok(rows);
                    }
                    // The server was restarted since: those that are kept are as lost as this one.
                    Err(error) if S::is_connection_lost(&error) => self.idle().clear(),
                    Err(error) => return Err(S::unavailable(doing, error)),
                }
            }
            let unavailable = |error| S::unavailable(doing, error);
            let mut connection = S::connect(&self.options).await.map_err(unavailable)?;
            let rows = S::fetch_all(query(), &mut connection)
                .await
                .map_err(unavailable)?;
            self.keep(connection);
            Ok(rows)
        };
        timeout(READ_TIMEOUT, reading)
            .await
            .unwrap_or_else(|_| Err(S::unavailable(doing, timed_out())))
    }

    /// Lends no more, waits for those on loan, and closes all that are open.
    pub(crate) async fn close(&self) {
        // Whoever has all permits knows that nobody reads.
        if let Ok(_all) = self.shared.permits.acquire_many(self.max_readers).await {
            self.shared.permits.close();
        }
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            // One that can't say goodbye is as gone as the others.
            drop(connection.close().await);
        }
    }

    fn fresh_idle(&self) -> Option<S::Connection> {
        let mut idle = self.idle();
        // Put back on top: one that is too old lies on older ones only.
        let fresh = idle.pop().filter(|(_, since)| since.elapsed() < MAX_IDLE);
        if fresh.is_none() {
            idle.clear();
        }
        fresh.map(|(connection, _)| connection)
    }

    fn keep(&self, connection: S::Connection) {
        self.idle().push((connection, Instant::now()));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(S::Connection, Instant)>> {
        // A vector is whole between two of its operations.
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// Written out: a derived one would ask `Clone` of the database itself.
impl<S: Server> Clone for Readers<S> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            max_readers: self.max_readers,
            shared: Arc::clone(&self.shared),
        }
    }
}

// Written out: the options hold a password.
impl<S: Server> fmt::Debug for Readers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("max_readers", &self.max_readers)
            .finish_non_exhaustive()
    }
}
