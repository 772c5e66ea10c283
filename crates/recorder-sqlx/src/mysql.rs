//! A recorder in tables of a MySQL or MariaDB database.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Append, KeyValueStore, LogIdentity, Notification, Position, Recorder, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::timeout;
use uuid::Uuid;

use crate::OpenLog;
use crate::mysql_error::{unavailable, while_opening};
use crate::mysql_event::decode;
use crate::mysql_key_values::{self, KeyValues};
use crate::mysql_place::Place;
use crate::mysql_readers::Readers;
use crate::mysql_schema;
use crate::mysql_statements::Statements;
use crate::mysql_writer::{Writer, decode_position};
use crate::numbers::{at_most, unsigned};
use crate::server_error::timed_out;

/// How long opening may take, with waiting for other processes that open the same log.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a message to the server has beside the rows, in bytes, at most.
const STATEMENT_BYTES: u64 = 64 * 1024;

/// A store of one box in tables of a MySQL or MariaDB database: several boxes may share a database, and several
/// processes, on several machines, a box.
///
/// It holds one connection that writes, and up to four that read (`max_readers`). It gives no hints of other processes'
/// commits: the head is polled. A commit is on the server's disk when it is answered, as far as the server's
/// `innodb_flush_log_at_trx_commit` is 1, as it is unless configured. A connection that breaks is replaced; when it
/// breaks at a commit, the recorder looks whether the commit was done before it answers.
///
/// ```no_run
/// # async fn example() -> Result<(), boxes_recorder::RecorderError> {
/// use std::sync::Arc;
/// use boxes_recorder::{GroupCommit, GroupCommitBounds};
/// use boxes_recorder_sqlx::{MysqlRecorder, OpenLog};
///
/// let recorder = MysqlRecorder::open("mysql://shop@db/shop", OpenLog::named("orders")).await?;
/// let commit = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MysqlRecorder {
    log: LogIdentity,
    statements: Arc<Statements>,
    writer: Writer,
    readers: Readers,
    key_values: Arc<KeyValues>,
}

impl MysqlRecorder {
    /// Opens the log in a database, and makes it if there is none. Safe when several processes do so at once. Needs a
    /// Tokio runtime with time enabled.
    ///
    /// `location` is a URL such as `mysql://user:password@host/database?ssl-mode=VERIFY_IDENTITY`, or the same with
    /// `mariadb:`. The database must be there; the names of the tables begin with the box's unless `prefix=` says
    /// otherwise, and they are made if missing. `max_readers=` is how many connections may read. The password is never
    /// printed.
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
            let log = mysql_schema::open(&mut connection, &place, &statements, &log).await?;
            let max_bytes: u64 = sqlx::query("SELECT @@max_allowed_packet")
                .fetch_one(&mut connection)
                .await?
                .try_get(0)?;
            connection.close().await?;
            Ok((log, max_bytes.saturating_sub(STATEMENT_BYTES)))
        };
        let (log, max_bytes) = timeout(OPEN_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(timed_out()))
            .map_err(while_opening)?;
        let log = log?;
        let readers = Readers::new(place.options.clone(), place.max_readers);
        let key_values = KeyValues::new(
            place.options.clone(),
            mysql_key_values::statements(&place),
            readers.clone(),
        );
        Ok(Self {
            writer: Writer::new(
                place.options.clone(),
                Arc::clone(&statements),
                log.clone(),
                usize::try_from(max_bytes).unwrap_or(usize::MAX),
            ),
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
        self.writer.close().await;
        self.key_values.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl Recorder for MysqlRecorder {
    fn log(&self) -> &LogIdentity {
        &self.log
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Range<u64>, RecorderError>>, RecorderError> {
        self.writer.record(batch).await
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
        row.and_then(|row| unsigned(row.try_get(0)?))
            .map_err(unavailable(DOING))
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        const DOING: &str = "reading the position of a follower";
        let query = || {
            let query = self.statements.positions.of_rows(1);
            query.bind(follower.as_bytes())
        };
        let rows = self.readers.rows(DOING, query).await?;
        rows.first()
            .map(decode_position)
            .transpose()
            .map_err(unavailable(DOING))
    }
    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::<KeyValues>::clone(&self.key_values))
    }
}
