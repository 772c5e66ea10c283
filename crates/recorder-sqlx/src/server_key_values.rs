//! What is kept beside the log on a server, of either kind.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{Entry, KeyValueBounds, KeyValueStore, RecorderError};
use bytes::Bytes;
use sqlx::query::Query;
use sqlx::{Connection, Database};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::backoff::pause;
use crate::numbers::at_most;
use crate::server_error::timed_out;
use crate::server_readers::{MAX_IDLE, Readers, Server};
use crate::sql::Sql;

/// How long a change may take, with making a connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a change is tried again that may succeed then. Each of them may be done twice.
const MAX_RETRIES: u32 = 5;

/// The statements, each with kind and key first.
#[derive(Debug)]
pub(crate) struct KeyValueStatements {
    pub(crate) get: Sql,
    pub(crate) put_if_absent: Sql,
    pub(crate) put: Sql,
    pub(crate) delete: Sql,
    pub(crate) list: Sql,
    pub(crate) list_keys: Sql,
}

/// What those who keep values ask of a server in its own way.
pub(crate) trait KeyValueServer: Server {
    /// A new connection that writes.
    fn connect_to_write(
        options: &Self::Options,
    ) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// The statement, with the kind bound.
    fn query<'q>(statement: &Sql, kind: &'q str) -> Query<'q, Self, Self::Arguments>;

    /// The same, with bytes bound next.
    fn bind<'q>(
        query: Query<'q, Self, Self::Arguments>,
        bytes: &'q [u8],
    ) -> Query<'q, Self, Self::Arguments>;

    /// The same, with a number bound next.
    fn bind_number(
        query: Query<'_, Self, Self::Arguments>,
        number: i64,
    ) -> Query<'_, Self, Self::Arguments>;

    /// Executes a statement, and says how many rows it changed.
    fn execute<'q>(
        query: Query<'q, Self, Self::Arguments>,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// The bytes in a column.
    fn bytes(row: &Self::Row, column: usize) -> Result<Bytes, sqlx::Error>;

    /// Whether there is a row of this key already.
    fn is_duplicate(error: &sqlx::Error) -> bool;

    /// Whether the same may succeed a moment later.
    fn is_transient(error: &sqlx::Error) -> bool;
}

/// The key-value store of one box on a server. It reads by the connections of the recorder, and writes by one of its own.
pub(crate) struct ServerKeyValues<S: Server> {
    options: S::Options,
    statements: KeyValueStatements,
    readers: Readers<S>,
    writer: Mutex<Writer<S>>,
}

struct Writer<S: Server> {
    /// Taken out while a statement is at work: one that fails, or whose caller goes away, takes the connection with it.
    connection: Option<(S::Connection, Instant)>,
    closed: bool,
}

impl<S: KeyValueServer> ServerKeyValues<S> {
    pub(crate) fn new(
        options: S::Options,
        statements: KeyValueStatements,
        readers: Readers<S>,
    ) -> Self {
        Self {
            options,
            statements,
            readers,
            writer: Mutex::new(Writer {
                connection: None,
                closed: false,
            }),
        }
    }

    /// Takes no more, and closes the connection that writes. Those that read are the recorder's.
    pub(crate) async fn close(&self) {
        let mut writer = self.writer.lock().await;
        writer.closed = true;
        if let Some((connection, _)) = writer.connection.take() {
            // One that can't say goodbye is gone as well.
            drop(connection.close().await);
        }
    }

    /// Executes a statement that may be executed twice, and says how many rows it changed.
    async fn execute<'q>(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'q, S, S::Arguments> + Send,
    ) -> Result<u64, RecorderError> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(RecorderError::Closed);
        }
        let mut retries = 0..MAX_RETRIES;
        loop {
            let kept = writer.connection.take();
            let kept = kept.filter(|(_, since)| since.elapsed() < MAX_IDLE);
            let executing = async {
                let mut connection = match kept {
                    Some((connection, _)) => connection,
                    None => S::connect_to_write(&self.options).await?,
                };
                let n_rows = match S::execute(query(), &mut connection).await {
                    Err(error) if S::is_duplicate(&error) => 0,
                    done => done?,
                };
                Ok((connection, n_rows))
            };
            let done = timeout(WRITE_TIMEOUT, executing)
                .await
                .unwrap_or_else(|_| Err(timed_out()));
            match done {
                Ok((connection, n_rows)) => {
                    writer.connection = Some((connection, Instant::now()));
                    return Ok(n_rows);
                }
                Err(error) => match retries.next() {
                    Some(retry) if S::is_transient(&error) => pause(retry).await,
                    _ => return Err(S::unavailable(doing, error)),
                },
            }
        }
    }

    async fn rows_after(
        &self,
        doing: &'static str,
        statement: &Sql,
        (kind, after, limit): (&str, &[u8], u64),
    ) -> Result<Vec<S::Row>, RecorderError> {
        KeyValueBounds::check_kind(kind)?;
        let query = || S::bind_number(S::bind(S::query(statement, kind), after), at_most(limit));
        self.readers.rows(doing, query).await
    }
}

#[async_trait]
impl<S: KeyValueServer> KeyValueStore for ServerKeyValues<S>
where
    S::Connection: Send + Sync,
    <S as Database>::Row: Send + Sync,
{
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        const DOING: &str = "reading a value";
        KeyValueBounds::check(kind, key)?;
        let query = || S::bind(S::query(&self.statements.get, kind), key);
        let rows = self.readers.rows(DOING, query).await?;
        rows.first()
            .map(|row| S::bytes(row, 0))
            .transpose()
            .map_err(|error| S::unavailable(DOING, error))
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || {
            S::bind(
                S::bind(S::query(&self.statements.put_if_absent, kind), key),
                value,
            )
        };
        Ok(self.execute("keeping a value", query).await? > 0)
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || S::bind(S::bind(S::query(&self.statements.put, kind), key), value);
        self.execute("keeping a value", query).await?;
        Ok(())
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check(kind, key)?;
        let query = || S::bind(S::query(&self.statements.delete, kind), key);
        self.execute("deleting a value", query).await?;
        Ok(())
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        const DOING: &str = "reading values";
        let entry = |row: &S::Row| {
            Ok(Entry {
                key: S::bytes(row, 0)?,
                value: S::bytes(row, 1)?,
            })
        };
        let rows = self
            .rows_after(DOING, &self.statements.list, (kind, after, limit))
            .await?;
        rows.iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map_err(|error| S::unavailable(DOING, error))
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        const DOING: &str = "reading the keys of values";
        let rows = self
            .rows_after(DOING, &self.statements.list_keys, (kind, after, limit))
            .await?;
        rows.iter()
            .map(|row| S::bytes(row, 0))
            .collect::<Result<_, _>>()
            .map_err(|error| S::unavailable(DOING, error))
    }
}

// Written out: the options hold a password.
impl<S: Server> fmt::Debug for ServerKeyValues<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKeyValues")
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}
