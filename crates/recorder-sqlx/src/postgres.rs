//! A recorder in a schema of a PostgreSQL database.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, KeyValueStore, LogIdentity, Notification, Position, Recorder, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::Postgres;
use tokio::sync::watch;
use uuid::Uuid;

use crate::found_log::server_tables;
use crate::postgres_hints::Hints;
use crate::server_place::Place;
use crate::server_recorder::{ServerRecorder, settled};
use crate::server_repair::{set_epoch, set_position};
use crate::{NewEpoch, OpenLog};

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
    server: ServerRecorder<Postgres>,
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
        let place = Place::<Postgres>::parse(location, &log.name)?;
        let place = settled(place).await?;
        let server = ServerRecorder::open(&place, &log).await?;
        let channel = place.tables.channel();
        let hints = Hints::start(place.hosts, channel, server.readers().clone());
        Ok(Self { server, hints })
    }

    /// Gives the log a new epoch, that of `log`, after it was restored from an older backup: ids that were given since are given
    /// again, to other events, and the epoch tells those who followed the log before.
    ///
    /// `log` says which log it has to be; its page size is not looked at. Processes that have the log open write
    /// nothing into it from then on, and have to be started again.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no log, or that of another box.
    /// - [`RecorderError::Unavailable`] if the server does not answer.
    pub async fn new_epoch(location: &str, log: &OpenLog) -> Result<NewEpoch, RecorderError> {
        let place = Place::<Postgres>::parse(location, &log.name)?;
        set_epoch(&place, &log.name, log.new_epoch).await
    }

    /// Sets the position of a follower of the box `name`, and gives the one that it had: where an upstream was restored, to where its
    /// two histories part, in its new epoch. It may lead back; what is read twice then, the policy has to bear.
    ///
    /// A follower that runs goes on from there when it is started again.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no log, or that of another box.
    /// - [`RecorderError::Unavailable`] if the server does not answer.
    pub async fn set_position(
        location: &str,
        name: &str,
        follower: &str,
        position: Position,
    ) -> Result<Option<Position>, RecorderError> {
        let place = Place::<Postgres>::parse(location, name)?;
        set_position(&place, name, follower, position).await
    }

    /// The command that backs up the box `name`, with all that belongs to it: the server's own tool makes a copy of one moment.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if the URL is wrong.
    pub fn backup_command(location: &str, name: &str) -> Result<String, RecorderError> {
        let place = Place::<Postgres>::parse(location, name)?;
        let schema = place.tables.quoted().replace('\'', r"'\''");
        let tables: Vec<&str> = server_tables().collect();
        let tables = tables.join(", ");
        Ok(format!(
            "pg_dump --schema='{schema}' --file=FILE DATABASE (tables {tables})"
        ))
    }

    /// Closes the connections, after what is being read and written. Afterwards everything is answered with
    /// [`RecorderError::Closed`].
    ///
    /// Without it the connections are closed when the recorder is dropped.
    pub async fn close(&self) {
        self.hints.stop();
        self.server.close().await;
    }
}

#[async_trait]
impl Recorder for PostgresRecorder {
    fn log(&self) -> &LogIdentity {
        self.server.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let (outcomes, head) = self.server.record(batch).await?;
        self.hints.committed(head);
        Ok(outcomes)
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.server.select_events(originator_id, range).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.server.select_notifications(first, limit).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.server.select_event(event_id).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.server.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.server.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.server.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.server.tracking(follower).await
    }

    async fn close(&self) -> Result<(), RecorderError> {
        Self::close(self).await;
        Ok(())
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(self.server.key_values())
    }

    fn head_hints(&self) -> Option<watch::Receiver<u64>> {
        self.hints.heard()
    }
}
