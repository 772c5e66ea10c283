//! The hosts of a server, and connecting to the one that takes writes.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use tokio::time::timeout;

use crate::server::{Options, Server};
use crate::server_error::timed_out;
use crate::server_limits::Limits;
use crate::sql::Sql;

/// How long one of several hosts may take to answer, before the next one is asked.
const HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// The hosts that a URL names. One of them takes writes, and is used for reads as well: a standby may be behind.
///
/// Clones share which one that is.
pub(crate) struct Hosts<S: Server> {
    options: Arc<[Options<S>]>,
    pub(crate) limits: Limits,
    current: Arc<AtomicUsize>,
}

impl<S: Server> Hosts<S> {
    pub(crate) fn new(options: Vec<Options<S>>, limits: Limits) -> Self {
        Self {
            options: options.into(),
            limits,
            current: Arc::default(),
        }
    }

    /// The same, where sessions are shared or not.
    pub(crate) fn with_limits(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// The place of the host that took writes last. A connection to another one is out of date.
    pub(crate) fn current(&self) -> usize {
        self.current.load(Ordering::Acquire)
    }

    /// How the host is reached that took writes last.
    pub(crate) fn options(&self) -> Option<&Options<S>> {
        self.options.get(self.current())
    }

    /// A connection of which nothing is said yet.
    pub(crate) async fn connect(&self) -> Result<S::Connection, sqlx::Error> {
        if let [only] = &*self.options {
            return only.connect().await;
        }
        let mut failure = None;
        let first = self.current();
        for n in 0..self.options.len() {
            let place = first.saturating_add(n).checked_rem(self.options.len());
            let Some((place, options)) = place.and_then(|n| Some((n, self.options.get(n)?))) else {
                continue;
            };
            let connecting = timeout(HOST_TIMEOUT, connect_to_writable::<S>(options));
            match connecting.await.unwrap_or_else(|_| Err(timed_out())) {
                Ok(connection) => {
                    if place != first {
                        tracing::warn!(
                            host = place,
                            "another host of the database takes the writes"
                        );
                        self.current.store(place, Ordering::Release);
                    }
                    return Ok(connection);
                }
                // What a server says tells more than that another one is not there.
                Err(error) if failure.is_some() && error.as_database_error().is_none() => {}
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(timed_out))
    }

    /// A connection that only reads.
    pub(crate) async fn connect_to_read(&self) -> Result<S::Connection, sqlx::Error> {
        self.connect_with(S::reading(&self.limits)).await
    }

    /// A connection whose commits are on the disk when they are answered, and that holds up nobody for long.
    pub(crate) async fn connect_to_write(&self) -> Result<S::Connection, sqlx::Error> {
        let mut connection = self.connect_with(S::writing(&self.limits)).await?;
        if let Some(reason) = S::lack_of_durability(&mut connection, &self.limits).await? {
            // Since the start, which refuses it.
            tracing::error!("{reason}");
        }
        Ok(connection)
    }

    async fn connect_with(&self, settings: String) -> Result<S::Connection, sqlx::Error> {
        let mut connection = self.connect().await?;
        // Where sessions are shared they are said in each transaction.
        if !self.limits.is_pooled() {
            S::fetch_all_of(&Sql::new(settings), &mut connection).await?;
        }
        Ok(connection)
    }
}

/// A connection to a server that takes writes.
async fn connect_to_writable<S: Server>(
    options: &Options<S>,
) -> Result<S::Connection, sqlx::Error> {
    let mut connection = options.connect().await?;
    let rows = S::fetch_all_of(&Sql::fixed(S::IS_WRITABLE), &mut connection).await?;
    let is_writable = rows.first().map_or(Ok(0), |row| S::number(row, 0))? != 0;
    if is_writable {
        return Ok(connection);
    }
    let reason = "the host takes no writes: it is a standby, or read-only";
    Err(sqlx::Error::Io(io::Error::new(
        io::ErrorKind::NotConnected,
        reason,
    )))
}

// Written out: a derived one would ask `Clone` of the database itself.
impl<S: Server> Clone for Hosts<S> {
    fn clone(&self) -> Self {
        Self {
            options: Arc::clone(&self.options),
            limits: self.limits,
            current: Arc::clone(&self.current),
        }
    }
}

// Written out: the options hold a password.
impl<S: Server> fmt::Debug for Hosts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
