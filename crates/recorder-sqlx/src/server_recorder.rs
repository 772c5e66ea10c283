//! What a recorder on a server does, of either kind.

use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{
    Append, Appended, KeyValueStore, LogIdentity, Notification, Position, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::Connection;
use tokio::time::timeout;
use uuid::Uuid;

use crate::OpenLog;
use crate::columns::Filled;
use crate::event_row::decode;
use crate::numbers::{at_most, unsigned};
use crate::server::Server;
use crate::server_error::{timed_out, unavailable, while_opening};
use crate::server_key_values::{KeyValueServer, ServerKeyValues};
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::server_readers::Readers;
use crate::server_statements::{Statements, with_numbers};
use crate::server_transaction::{Transactions, decode_position};
use crate::server_writer::Writer;
use crate::server_writer_row::WriterRow;
use crate::stream_rows::unless_deleted;

/// How long each part of opening may take that is over in a moment. Steps of the schema have no bound.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Finds the log or makes it, and asks how much fits into a statement.
async fn prepare<S: KeyValueServer>(
    place: &Place<S>,
    expected: &OpenLog,
) -> Result<Result<(LogIdentity, usize), RecorderError>, sqlx::Error> {
    let statements = Statements::of(&place.tables);
    let mut connection = within_time(place.hosts.connect()).await?;
    if let Some(reason) = within_time(S::lack_of_durability(&mut connection, &place.limits)).await?
    {
        return Ok(Err(RecorderError::Mismatch { reason }));
    }
    let log = match S::open_log(&mut connection, place, &statements, expected).await? {
        Ok(log) => log,
        Err(refused) => return Ok(Err(refused)),
    };
    let max_bytes = within_time(S::max_bytes(&mut connection)).await?;
    within_time(connection.close()).await?;
    Ok(Ok((log, max_bytes)))
}

/// What may take a moment and no longer.
pub(crate) async fn within_time<T>(
    doing: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = timeout(OPEN_TIMEOUT, doing).await;
    done.unwrap_or_else(|_| Err(timed_out()))
}

/// Finds out whether sessions are shared, unless the URL says so.
pub(crate) async fn settled<S: Server>(place: Place<S>) -> Result<Place<S>, RecorderError> {
    if place.limits.shares_sessions.is_some() || !S::MAY_SHARE_SESSIONS {
        return Ok(place);
    }
    let shares = within_time(S::shares_sessions(&place.hosts)).await;
    let shares = shares.map_err(while_opening::<S>)?;
    if shares {
        tracing::info!(
            "a pooler gives each transaction another session: nothing is kept in sessions"
        );
    }
    Ok(place.with_limits(Limits {
        shares_sessions: Some(shares),
        ..place.limits
    }))
}

/// A log in a database of a server: one connection that writes, and some that read.
#[derive(Debug)]
pub(crate) struct ServerRecorder<S: KeyValueServer> {
    log: LogIdentity,
    statements: Arc<Statements<S>>,
    writer: Writer<S>,
    readers: Readers<S>,
    key_values: Arc<ServerKeyValues<S>>,
}

impl<S: KeyValueServer> ServerRecorder<S> {
    /// Opens the log, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if the configuration has to be mended, [`RecorderError::Unavailable`] if the server
    /// does not answer.
    pub(crate) async fn open(place: &Place<S>, expected: &OpenLog) -> Result<Self, RecorderError> {
        let (log, max_bytes) = prepare(&place.with_whatever_sessions(), expected)
            .await
            .map_err(while_opening::<S>)??;
        let statements = Arc::new(Statements::of(&place.tables));
        let readers = Readers::new(place.hosts.clone());
        let key_value_statements = Arc::new(S::key_value_statements(&place.tables));
        let transactions = Transactions {
            statements: Arc::clone(&statements),
            key_values: Arc::clone(&key_value_statements),
            row: WriterRow::new::<S>(&place.tables, writer_id()),
            log: log.clone(),
            max_bytes,
        };
        let key_values = ServerKeyValues::new(place, key_value_statements, readers.clone());
        Ok(Self {
            writer: Writer::new(place, transactions),
            log,
            statements,
            readers,
            key_values: Arc::new(key_values),
        })
    }

    /// The connections that read: PostgreSQL's hints are told by them, too.
    #[cfg(feature = "postgres")]
    pub(crate) const fn readers(&self) -> &Readers<S> {
        &self.readers
    }

    /// Closes the connections, after what is being read and written.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.key_values.close().await;
        self.readers.close().await;
    }

    /// What is kept beside the log.
    pub(crate) fn key_values(&self) -> Arc<dyn KeyValueStore> {
        Arc::<ServerKeyValues<S>>::clone(&self.key_values)
    }

    pub(crate) const fn log(&self) -> &LogIdentity {
        &self.log
    }

    /// The answers, and the head after them.
    pub(crate) async fn record(
        &self,
        batch: &[Append],
    ) -> Result<(Vec<Result<Appended, RecorderError>>, u64), RecorderError> {
        self.writer.record(batch).await
    }

    pub(crate) async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        const DOING: &str = "reading the events of an aggregate";
        let statement = if range.descending {
            &self.statements.stream_descending
        } else {
            &self.statements.stream_ascending
        };
        let (since, until) = range.microseconds();
        let query = || {
            let query = S::bind_uuid(statement.query(), originator_id);
            let query = with_numbers::<S>(query, [range.after, range.until].map(at_most));
            let query = with_numbers::<S>(query, [since, until, at_most(range.limit)]);
            S::bind_uuid(query, originator_id)
        };
        let rows = self.readers.rows(DOING, query).await?;
        let events = rows.iter().map(|row| Ok(decode::<S>(row)?.event));
        let events = events
            .collect::<Result<_, _>>()
            .map_err(unavailable::<S>(DOING))?;
        unless_deleted(originator_id, events)
    }

    pub(crate) async fn select_event(
        &self,
        event_id: Uuid,
    ) -> Result<Option<Notification>, RecorderError> {
        const DOING: &str = "reading an event";
        let query = || S::bind_uuid(self.statements.event.query(), event_id);
        let rows = self.readers.rows(DOING, query).await?;
        let found = rows.first().map(decode::<S>).transpose();
        found.map_err(unavailable::<S>(DOING))
    }

    pub(crate) async fn n_redacted(&self) -> Result<u64, RecorderError> {
        let query = || self.statements.n_redacted.query();
        let doing = "reading how much of the log is redacted";
        self.number(doing, query).await
    }

    pub(crate) async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        let query = || {
            let query = self.statements.n_redacted_in.query();
            with_numbers::<S>(query, [first, last].map(at_most))
        };
        self.number("counting redacted notifications", query).await
    }

    pub(crate) async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        const DOING: &str = "reading notifications";
        let query = || {
            let query = self.statements.notifications.query();
            with_numbers::<S>(query, [first, limit].map(at_most))
        };
        let rows = self.readers.rows(DOING, query).await?;
        rows.iter()
            .map(decode::<S>)
            .collect::<Result<_, _>>()
            .map_err(unavailable::<S>(DOING))
    }

    pub(crate) async fn head(&self) -> Result<u64, RecorderError> {
        let query = || self.statements.head.query();
        self.number("reading the head of the log", query).await
    }

    /// The number that a query gives.
    async fn number(
        &self,
        doing: &'static str,
        query: impl Fn() -> Filled<S> + Send,
    ) -> Result<u64, RecorderError> {
        let rows = self.readers.rows(doing, query).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound);
        row.and_then(|row| unsigned(S::number(row, 0)?))
            .map_err(unavailable::<S>(doing))
    }

    pub(crate) async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        const DOING: &str = "reading the position of a follower";
        let query = || S::positions(&self.statements.own, &[follower]);
        let rows = self.readers.rows(DOING, query).await?;
        rows.first()
            .map(decode_position::<S>)
            .transpose()
            .map_err(unavailable::<S>(DOING))
    }
}

/// A name for the writer that is opened here.
#[allow(
    clippy::disallowed_methods,
    reason = "a store is an edge: the name is in no event and decides nothing, it only has to differ from all others"
)]
fn writer_id() -> Uuid {
    Uuid::new_v4()
}
