//! A recorder in a schema of a PostgreSQL database.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Append, KeyValueStore, LogIdentity, Notification, Position, Recorder, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::OpenLog;
use crate::numbers::{at_most, unsigned};
use crate::postgres_error::{unavailable, while_opening};
use crate::postgres_event::decode;
use crate::postgres_hints::Hints;
use crate::postgres_key_values::{self, KeyValues};
use crate::postgres_place::Place;
use crate::postgres_readers::Readers;
use crate::postgres_schema;
use crate::postgres_statements::Statements;
use crate::postgres_writer::{Writer, decode_position};
use crate::server_error::timed_out;

/// How long opening may take, with waiting for other processes that open the same log.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A store of one box in a schema of a PostgreSQL database: several boxes may share a database, and several processes,
/// on several machines, a box.
///
/// It holds one connection that writes, up to four that read (`max_readers`), and one that listens for the commits of
/// other processes once somebody watches the head. A commit is on the server's disk when it is answered, as far as the
/// server's `fsync` is on. A connection that breaks is replaced; when it breaks at a commit, the recorder looks whether
/// the commit was done before it answers.
///
/// ```no_run
/// # async fn example() -> Result<(), boxes_recorder::RecorderError> {
/// use std::sync::Arc;
/// use boxes_recorder::{GroupCommit, GroupCommitBounds};
/// use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
///
/// let recorder = PostgresRecorder::open("postgres://shop@db/shop", OpenLog::named("orders")).await?;
/// let commit = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresRecorder {
    log: LogIdentity,
    statements: Arc<Statements>,
    writer: Writer,
    readers: Readers,
    key_values: Arc<KeyValues>,
    hints: Hints,
}

impl PostgresRecorder {
    /// Opens the log in a database, and makes it if there is none. Safe when several processes do so at once. Needs a
    /// Tokio runtime with time enabled.
    ///
    /// `location` is a URL such as `postgres://user:password@host/database?sslmode=verify-full`. The database must be
    /// there; the schema is named after the box unless `schema=` says otherwise, and made if missing. `max_readers=` is
    /// how many connections may read. The other parameters are libpq's. The password is never printed.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if the URL is wrong, the server refuses the user, or what is there is not the log
    ///   that was expected (another box's, another page size, a newer schema): mend the configuration.
    /// - [`RecorderError::Unavailable`] if the server does not answer: try later.
    pub async fn open(location: &str, log: OpenLog) -> Result<Self, RecorderError> {
        let place = Place::parse(location, &log.name)?;
        let statements = Arc::new(Statements::of(&place));
        let opening = async {
            let mut connection = place.options.connect().await?;
            let log = postgres_schema::open(&mut connection, &place, &statements, &log).await?;
            connection.close().await?;
            Ok(log)
        };
        let log = timeout(OPEN_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(while_opening)??;
        let readers = Readers::new(place.options.clone(), place.max_readers);
        let key_values = KeyValues::new(
            place.options.clone(),
            postgres_key_values::statements(&place),
            readers.clone(),
        );
        Ok(Self {
            writer: Writer::new(place.options.clone(), Arc::clone(&statements), log.clone()),
            hints: Hints::start(place.options.clone(), place.channel(), readers.clone()),
            log,
            statements,
            readers,
            key_values: Arc::new(key_values),
        })
    }

    /// Closes the connections, after what is being read and written. Afterwards everything is answered with
    /// [`RecorderError::Closed`].
    ///
    /// Without it the connections are closed when the recorder is dropped.
    pub async fn close(&self) {
        self.hints.stop();
        self.writer.close().await;
        self.key_values.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl Recorder for PostgresRecorder {
    fn log(&self) -> &LogIdentity {
        &self.log
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Range<u64>, RecorderError>>, RecorderError> {
        let (outcomes, head) = self.writer.record(batch).await?;
        self.hints.committed(head);
        Ok(outcomes)
    }

    async fn select_events(
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
        let query = || {
            sqlx::query(statement.text())
                .bind(originator_id)
                .bind(at_most(range.after))
                .bind(at_most(range.until))
                .bind(at_most(range.limit))
        };
        let rows = self.readers.rows(DOING, query).await?;
        let events = rows.iter().map(|row| Ok(decode(row)?.event));
        events.collect::<Result<_, _>>().map_err(unavailable(DOING))
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        const DOING: &str = "reading notifications";
        let query = || {
            sqlx::query(self.statements.notifications.text())
                .bind(at_most(first))
                .bind(at_most(limit))
        };
        let rows = self.readers.rows(DOING, query).await?;
        rows.iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map_err(unavailable(DOING))
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        const DOING: &str = "reading the head of the log";
        let query = || sqlx::query(self.statements.head.text());
        let rows = self.readers.rows(DOING, query).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound);
        row.and_then(|row| unsigned(sqlx::Row::try_get(row, 0)?))
            .map_err(unavailable(DOING))
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        const DOING: &str = "reading the position of a follower";
        if follower.contains('\0') {
            // Never recorded, and no text to PostgreSQL.
            return Ok(None);
        }
        let query = || sqlx::query(self.statements.positions.text()).bind(vec![follower]);
        let rows = self.readers.rows(DOING, query).await?;
        rows.first()
            .map(decode_position)
            .transpose()
            .map_err(unavailable(DOING))
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::<KeyValues>::clone(&self.key_values))
    }

    fn head_hints(&self) -> Option<watch::Receiver<u64>> {
        Some(self.hints.heard())
    }
}
