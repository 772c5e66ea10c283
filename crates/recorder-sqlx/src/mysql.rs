//! A recorder in tables of a MySQL or MariaDB database.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, KeyValueStore, LogIdentity, Notification, Position, Recorder, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::MySql;
use uuid::Uuid;

use crate::server_place::Place;
use crate::server_recorder::ServerRecorder;
use crate::server_repair::{set_epoch, set_position};
use crate::{NewEpoch, OpenLog};

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
    server: ServerRecorder<MySql>,
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
        let server = ServerRecorder::open(&place, &log).await?;
        Ok(Self { server })
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
        let place = Place::<MySql>::parse(location, &log.name)?;
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
        let place = Place::<MySql>::parse(location, name)?;
        set_position(&place, name, follower, position).await
    }

    /// The command that backs up the box `name`, with all that belongs to it: the server's own tool makes a copy of one moment.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if the URL is wrong.
    pub fn backup_command(location: &str, name: &str) -> Result<String, RecorderError> {
        let place = Place::<MySql>::parse(location, name)?;
        let names = place
            .tables
            .names()
            .map(|table| format!("'{}'", table.replace('\'', r"'\''")));
        let names: Vec<String> = names.collect();
        Ok(format!(
            "mysqldump --single-transaction --result-file=FILE DATABASE {}",
            names.join(" ")
        ))
    }

    /// Closes the connections, after what is being read and written. Afterwards everything is answered with
    /// [`RecorderError::Closed`].
    ///
    /// Without it the connections are closed when the recorder is dropped.
    pub async fn close(&self) {
        self.server.close().await;
    }
}

#[async_trait]
impl Recorder for MysqlRecorder {
    fn log(&self) -> &LogIdentity {
        self.server.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let (outcomes, _) = self.server.record(batch).await?;
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
}
