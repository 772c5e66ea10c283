//! The connections that read from a server, of either kind.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxes_recorder::RecorderError;
use sqlx::Connection;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::columns::Filled;
use crate::server::Server;
use crate::server_error::{timed_out, unavailable};
use crate::server_hosts::Hosts;
use crate::sql::Sql;

/// A connection that was not used for so long is replaced: what lies between may have forgotten it.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// Connections that only read: made when they are needed, kept, and lent to one reader at a time.
///
/// The pool of sqlx asks a connection for a sign of life each time it is lent or comes back, which takes as long as the
/// read itself; here one that turns out to be lost is replaced, and the read done again.
pub(crate) struct Readers<S: Server> {
    hosts: Hosts<S>,
    shared: Arc<Shared<S>>,
}

struct Shared<S: Server> {
    /// Each with the place of its host, and since when it is idle.
    idle: Mutex<Vec<(S::Connection, usize, Instant)>>,
    permits: Semaphore,
}

impl<S: Server> Readers<S> {
    /// At most so many connections; further readers wait for one.
    pub(crate) fn new(hosts: Hosts<S>) -> Self {
        let max_readers = usize::try_from(hosts.limits.max_readers);
        let permits = Semaphore::new(max_readers.unwrap_or(Semaphore::MAX_PERMITS));
        Self {
            hosts,
            shared: Arc::new(Shared {
                idle: Mutex::default(),
                permits,
            }),
        }
    }

    /// The rows of a query. A connection with which reading failed, or was given up in the middle, is closed.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        query: impl Fn() -> Filled<S> + Send,
    ) -> Result<Vec<S::Row>, RecorderError> {
        let reading = async {
            let Ok(_permit) = self.shared.permits.acquire().await else {
                return Err(RecorderError::Closed);
            };
            if let Some(mut connection) = self.fresh_idle() {
                match self.fetch(query(), &mut connection).await {
                    Ok(rows) => {
                        self.keep(connection);
                        return Ok(rows);
                    }
                    // The server was restarted since: those that are kept are as lost as this one.
                    Err(error) if S::is_connection_lost(&error) => self.idle().clear(),
                    Err(error) => return Err(unavailable::<S>(doing)(error)),
                }
            }
            let unavailable = unavailable::<S>(doing);
            let mut connection = self.hosts.connect_to_read().await.map_err(&unavailable)?;
            let rows = self
                .fetch(query(), &mut connection)
                .await
                .map_err(&unavailable)?;
            self.keep(connection);
            Ok(rows)
        };
        timeout(self.hosts.limits.read_timeout(), reading)
            .await
            .unwrap_or_else(|_| Err(unavailable::<S>(doing)(timed_out())))
    }

    /// Lends no more, waits for those on loan, and closes all that are open.
    pub(crate) async fn close(&self) {
        // Whoever has all permits knows that nobody reads.
        if let Ok(_all) = self
            .shared
            .permits
            .acquire_many(self.hosts.limits.max_readers)
            .await
        {
            self.shared.permits.close();
        }
        let idle = std::mem::take(&mut *self.idle());
        for (connection, ..) in idle {
            // One that can't say goodbye is as gone as the others.
            drop(connection.close().await);
        }
    }

    /// Whether nothing that is said of a session outlasts a transaction.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_pooled(&self) -> bool {
        self.hosts.limits.is_pooled()
    }

    /// The rows of a query; where sessions are shared, in a transaction, so that the statement is run where it was prepared.
    async fn fetch(
        &self,
        query: Filled<S>,
        connection: &mut S::Connection,
    ) -> Result<Vec<S::Row>, sqlx::Error> {
        if !self.hosts.limits.is_pooled() {
            return S::fetch_all(query, connection).await;
        }
        let begin = Sql::new(S::begin_to_read(&self.hosts.limits));
        S::fetch_all_of(&begin, connection).await?;
        let rows = S::fetch_all(query.persistent(false), connection).await?;
        S::fetch_all_of(&Sql::fixed("COMMIT"), connection).await?;
        Ok(rows)
    }

    fn fresh_idle(&self) -> Option<S::Connection> {
        let mut idle = self.idle();
        // Put back on top: one that is too old lies on older ones only.
        let current = self.hosts.current();
        let fresh = idle
            .pop()
            .filter(|(_, host, since)| *host == current && since.elapsed() < MAX_IDLE);
        if fresh.is_none() {
            idle.clear();
        }
        fresh.map(|(connection, ..)| connection)
    }

    fn keep(&self, connection: S::Connection) {
        let host = self.hosts.current();
        self.idle().push((connection, host, Instant::now()));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(S::Connection, usize, Instant)>> {
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
            hosts: self.hosts.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

// Written out: a derived one would ask `Debug` of the database itself.
impl<S: Server> fmt::Debug for Readers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
