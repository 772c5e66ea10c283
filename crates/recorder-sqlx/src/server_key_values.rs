//! What is kept beside the log on a server, of either kind.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use boxes_recorder::{Entry, KeyValueBounds, KeyValueStore, RecorderError};
use bytes::Bytes;
use sqlx::Connection;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::backoff::pause;
use crate::columns::Filled;
use crate::numbers::at_most;
use crate::server::Server;
use crate::server_error::{timed_out, unavailable};
use crate::server_hosts::Hosts;
use crate::server_place::Place;
use crate::server_readers::Readers;
use crate::sql::Sql;

/// How often a change is tried again that may succeed then. Each of them may be done twice.
const MAX_RETRIES: u32 = 5;

/// The statements, each with kind and key first; only `replace` has the new value before, and the old one after them.
#[derive(Debug)]
pub(crate) struct KeyValueStatements {
    pub(crate) get: Sql,
    /// The same, and nobody else changes the entry until the transaction ends.
    pub(crate) get_locked: Sql,
    pub(crate) put_if_absent: Sql,
    pub(crate) put: Sql,
    pub(crate) replace: Sql,
    pub(crate) delete: Sql,
    pub(crate) list: Sql,
    pub(crate) list_keys: Sql,
}

/// What those who keep values ask of a server in its own way.
pub(crate) trait KeyValueServer: Server {
    /// The statements on the table of one box.
    fn key_value_statements(tables: &Self::Tables) -> KeyValueStatements;

    /// The query with the kind in its next place.
    fn bind_kind(query: Filled<Self>, kind: &str) -> Filled<Self>;

    /// Executes a statement, and says how many rows it changed.
    fn execute(
        query: Filled<Self>,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Whether there is a row of this key already.
    fn is_duplicate(error: &sqlx::Error) -> bool;
}

/// The key-value store of one box on a server. It reads by the connections of the recorder, and writes by one of its own.
pub(crate) struct ServerKeyValues<S: Server> {
    hosts: Hosts<S>,
    statements: Arc<KeyValueStatements>,
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
        place: &Place<S>,
        statements: Arc<KeyValueStatements>,
        readers: Readers<S>,
    ) -> Self {
        Self {
            hosts: place.hosts.clone(),
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
    async fn execute(
        &self,
        doing: &'static str,
        query: impl Fn() -> Filled<S> + Send,
    ) -> Result<u64, RecorderError> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(RecorderError::Closed);
        }
        let mut retries = 0..MAX_RETRIES;
        let mut may_be_done = false;
        loop {
            let kept = writer.connection.take();
            let kept = kept.filter(|(_, since)| since.elapsed() < S::MAX_IDLE);
            let executing = async {
                let mut connection = match kept {
                    Some((connection, _)) => connection,
                    None => self.hosts.connect_to_write().await?,
                };
                let n_rows = match self.run(query(), &mut connection).await {
                    Err(error) if S::is_duplicate(&error) => 0,
                    Err(error) => {
                        // A statement of its own is committed when it is executed, so the answer may be all that is lost.
                        may_be_done |= S::is_connection_lost(&error);
                        return Err(error);
                    }
                    Ok(n_rows) => n_rows,
                };
                Ok((connection, n_rows))
            };
            let executed = timeout(self.hosts.limits.transaction_timeout(), executing).await;
            let done = executed.unwrap_or_else(|_| {
                may_be_done = true;
                Err(timed_out())
            });
            match done {
                Ok((connection, n_rows)) => {
                    writer.connection = Some((connection, Instant::now()));
                    return Ok(n_rows);
                }
                Err(error) => match retries.next() {
                    Some(retry) if S::is_transient(&error) || S::is_race(&error) => {
                        pause(retry).await;
                    }
                    _ if may_be_done => {
                        let reason = format!("{doing}: {}", S::kind(&error));
                        return Err(RecorderError::outcome_unknown(reason, error));
                    }
                    _ => return Err(unavailable::<S>(doing)(error)),
                },
            }
        }
    }

    /// Runs a statement; where sessions are shared, in a transaction that says what is otherwise said of the session.
    async fn run(
        &self,
        query: Filled<S>,
        connection: &mut S::Connection,
    ) -> Result<u64, sqlx::Error> {
        if !self.hosts.limits.is_pooled() {
            return S::execute(query, connection).await;
        }
        let begin = Sql::new(S::begin_to_write(&self.hosts.limits));
        S::fetch_all_of(&begin, connection).await?;
        let n_rows = S::execute(query.persistent(false), connection).await?;
        S::fetch_all_of(&Sql::fixed("COMMIT"), connection).await?;
        Ok(n_rows)
    }

    async fn rows_after(
        &self,
        doing: &'static str,
        statement: &Sql,
        (kind, after, limit): (&str, &[u8], u64),
    ) -> Result<Vec<S::Row>, RecorderError> {
        KeyValueBounds::check_kind(kind)?;
        let query = || S::bind_number(of_key(statement, kind, after), at_most(limit));
        self.readers.rows(doing, query).await
    }
}

#[async_trait]
impl<S: KeyValueServer> KeyValueStore for ServerKeyValues<S> {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        const DOING: &str = "reading a value";
        KeyValueBounds::check(kind, key)?;
        let query = || of_key(&self.statements.get, kind, key);
        let rows = self.readers.rows(DOING, query).await?;
        rows.first()
            .map(|row| S::bytes(row, 0).map(Bytes::from))
            .transpose()
            .map_err(unavailable::<S>(DOING))
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || S::bind_bytes(of_key(&self.statements.put_if_absent, kind, key), value);
        Ok(self.execute("keeping a value", query).await? > 0)
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let query = || S::bind_bytes(of_key(&self.statements.put, kind, key), value);
        self.execute("keeping a value", query).await?;
        Ok(())
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, from)?;
        KeyValueBounds::check_entry(kind, key, to)?;
        let query = || {
            let to = S::bind_bytes(self.statements.replace.query(), to);
            S::bind_bytes(S::bind_bytes(S::bind_kind(to, kind), key), from)
        };
        Ok(self.execute("replacing a value", query).await? > 0)
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check(kind, key)?;
        let query = || of_key(&self.statements.delete, kind, key);
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
                key: S::bytes(row, 0)?.into(),
                value: S::bytes(row, 1)?.into(),
            })
        };
        let rows = self
            .rows_after(DOING, &self.statements.list, (kind, after, limit))
            .await?;
        rows.iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map_err(unavailable::<S>(DOING))
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
            .map(|row| S::bytes(row, 0).map(Bytes::from))
            .collect::<Result<_, _>>()
            .map_err(unavailable::<S>(DOING))
    }
}

/// A statement with kind and key in its first places.
pub(crate) fn of_key<S: KeyValueServer>(statement: &Sql, kind: &str, key: &[u8]) -> Filled<S> {
    S::bind_bytes(S::bind_kind(statement.query(), kind), key)
}

// Written out: a derived one would ask `Debug` of the database itself.
impl<S: Server> fmt::Debug for ServerKeyValues<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKeyValues")
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}
