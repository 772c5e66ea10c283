//! A recorder on one SQLite file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, KeyValueStore, LogIdentity, Notification, Position, Recorder, RecorderError,
    StoredEvent, StreamRange,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::busy::Patience;
use crate::event_row::{decode, event_columns};
use crate::found_log::Found;
use crate::numbers::{at_most, unsigned};
use crate::sqlite_backup::{self, Backup};
use crate::sqlite_connection::connect_to_write;
use crate::sqlite_deletion::n_redacted;
use crate::sqlite_erasure::Erasure;
use crate::sqlite_error::{is_no_database, unavailable};
use crate::sqlite_file::DatabaseFile;
use crate::sqlite_key_values::SqliteKeyValues;
use crate::sqlite_location::{mismatch, parse};
use crate::sqlite_readers::Readers;
use crate::sqlite_repair;
use crate::sqlite_schema;
use crate::sqlite_writer::{Writer, head, position};
use crate::stream_rows::unless_deleted;
use crate::{NewEpoch, OpenLog};

/// Connections that read at the same time, at most; each has a thread.
const MAX_READERS: u32 = 4;

/// How long a start waits for other processes that are making or recovering the same database.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a reader waits while another process recovers the database: the one thing that readers wait for.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of the write-ahead log after which a commit also moves them into the database: 16 MiB. Four times
/// SQLite's default: a page of the index that is written again and again is moved once, which made appends of
/// random aggregates 10 % faster; and it is read as fast.
const WAL_AUTOCHECKPOINT_PAGES: &str = "4000";

/// What the write-ahead log file is cut to once it was moved, if a long read had kept it from being moved earlier.
const JOURNAL_SIZE_LIMIT_BYTES: &str = "67108864";

/// The page cache of the connection that writes: 16 MiB hold the upper levels of the index of some ten million
/// events. (SQLite counts a negative number in KiB.)
const WRITER_CACHE_KIB: &str = "-16384";

/// The page cache of each connection that reads: sections and streams are near each other.
const READER_CACHE_KIB: &str = "-2048";

/// Rows that a connection reads ahead of the one that is taken from it.
const ROW_BUFFER: usize = 256;

/// A part of a stream, by its id, two versions, a limit, and two times; and its first event if it was deleted.
macro_rules! stream {
    ($order:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            event_columns!(),
            " FROM stored_event
               WHERE originator_id = ?1 AND originator_version > ?2 AND originator_version <= ?3
                 AND occurred_on >= ?5 AND occurred_on <= ?6
               ORDER BY originator_version ",
            $order,
            " LIMIT ?4)
             UNION ALL SELECT ",
            event_columns!(),
            " FROM stored_event WHERE originator_id = ?1 AND originator_version = 1 AND encoding = 'redacted'"
        )
    };
}

const STREAM_ASCENDING: &str = stream!("ASC");

const STREAM_DESCENDING: &str = stream!("DESC");

const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM stored_event WHERE event_id = ? ORDER BY id LIMIT 1"
);

const NOTIFICATIONS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM stored_event WHERE id >= ? ORDER BY id LIMIT ?"
);

/// A store of one box in one SQLite file.
///
/// It writes ahead (WAL) and flushes each commit to the disk (`synchronous = FULL`), so what was recorded survives
/// a power failure as far as the disk keeps its word. Readers and the writer are never in each other's way. Several
/// processes on one machine may work on one file; a network file system is no place for it.
///
/// ```
/// # async fn example(folder: &std::path::Path) -> Result<(), boxes_recorder::RecorderError> {
/// use std::sync::Arc;
/// use boxes_recorder::{GroupCommit, GroupCommitBounds};
/// use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
///
/// let recorder = SqliteRecorder::open("data/orders.sqlite", OpenLog::named("orders")).await?;
/// let commit = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteRecorder {
    log: LogIdentity,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    erasure: Arc<Erasure>,
}

impl SqliteRecorder {
    /// Opens the log in a file, and makes both if there are none. Safe when several processes do so at once.
    ///
    /// `location` is a path, or a URL such as `sqlite:data/orders.sqlite?max_mib=1024`. The folder must be there. With `max_mib`
    /// the file grows to so many MiB, and what does not fit any more is answered as on a full disk.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if the location is no file, or what is there is not the log that was expected
    ///   (another box's, another page size, a newer schema, no database): mend the configuration.
    /// - [`RecorderError::Unavailable`] if the file can't be opened or made: try later.
    pub async fn open(location: &str, log: OpenLog) -> Result<Self, RecorderError> {
        let options = parse(location)?;
        let path = options.get_filename().to_owned();
        if log.epoch.is_some() && !path.exists() {
            // No file is left behind by what is refused.
            Found::made(&log)?;
        }
        DatabaseFile::prepare(&path).map_err(|error| {
            RecorderError::unavailable(
                "opening the database: the database file can't be opened (does its folder exist, and may it be read and written?)",
                error,
            )
        })?;
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Waiting is done by `Patience`.
            .busy_timeout(Duration::ZERO)
            // What is deleted is overwritten: it may have been a key, whose deletion has to mean something.
            .pragma("secure_delete", "ON")
            .pragma("cache_size", WRITER_CACHE_KIB)
            .pragma("wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES);
        let reading = options
            .busy_timeout(READ_TIMEOUT)
            .row_buffer_size(ROW_BUFFER)
            .pragma("cache_size", READER_CACHE_KIB)
            .pragma("query_only", "ON");

        let patience = Patience::of(OPEN_TIMEOUT);
        let (mut connection, log) = loop {
            match connect(&writing, &log).await {
                Ok(opened) => break opened?,
                Err(error) if patience.wait_after(&error).await => {}
                Err(error) if is_no_database(&error) => {
                    return Err(mismatch(format!("{location} is not a SQLite database")));
                }
                Err(error) => return Err(unavailable("opening the database")(error)),
            }
        };
        let deletions = n_redacted(&mut connection).await;
        let has_deletions = deletions.map_err(unavailable("opening the database"))? > 0;
        let file = DatabaseFile::watch(&path).map_err(|error| {
            RecorderError::unavailable("opening the database: its file is gone again", error)
        })?;
        let file = Arc::new(file);
        let writer = Arc::new(Writer::new(writing, Arc::clone(&file), connection));
        let erasure = Arc::new(Erasure::new(Arc::clone(&writer)));
        if has_deletions && file.has_write_ahead_log() {
            // A process may have been killed after a deletion, before what it deleted was out of the files.
            erasure.request();
        }
        Ok(Self {
            log,
            writer,
            readers: Arc::new(Readers::new(reading, file, MAX_READERS)),
            erasure,
        })
    }

    /// Gives the log a new epoch, that of `log`, after it was restored from an older backup: ids that were given since are given
    /// again, to other events, and the epoch tells those who followed the log before.
    ///
    /// `log` says which log it has to be; its page size is not looked at. No process may have the file open.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no log, or that of another box.
    /// - [`RecorderError::Unavailable`] if the file can't be opened, or some process has it open: stop the box.
    pub async fn new_epoch(location: &str, log: &OpenLog) -> Result<NewEpoch, RecorderError> {
        sqlite_repair::set_epoch(parse(location)?, log).await
    }

    /// Sets the position of a follower of the box `name`, and gives the one that it had: where an upstream was restored, to where its
    /// two histories part, in its new epoch. It may lead back; what is read twice then, the policy has to bear.
    ///
    /// No process may have the file open.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no log, or that of another box.
    /// - [`RecorderError::Unavailable`] if the file can't be opened, or some process has it open: stop the box.
    pub async fn set_position(
        location: &str,
        name: &str,
        follower: &str,
        position: Position,
    ) -> Result<Option<Position>, RecorderError> {
        sqlite_repair::set_position(parse(location)?, name, follower, position).await
    }

    /// Copies the database of the box `name`, which may be at work, into the new file `to`: one moment of all that it holds. Nobody
    /// waits for it. The copy is for its owner alone (0600), and is read again before it gets its name: SQLite finds no damage,
    /// and the log has no gap.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Mismatch`] if there is no log, or that of another box, or a file of that name is there.
    /// - [`RecorderError::Broken`] if the copy is damaged, as the database may be.
    /// - [`RecorderError::Unavailable`] if a file can't be read or written, for example because the disk is full.
    pub async fn backup(location: &str, name: &str, to: &Path) -> Result<Backup, RecorderError> {
        sqlite_backup::back_up(parse(location)?, name, to).await
    }

    /// Closes the file, so that what stands in the write-ahead log is moved into it, and nothing else is left.
    ///
    /// Waits for what is being read and written. Afterwards everything is answered with [`RecorderError::Closed`].
    /// Without it the file is closed when the recorder is dropped, a little later.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the disk failed. What was recorded is safe in the write-ahead log.
    pub async fn close(&self) -> Result<(), RecorderError> {
        let readers = self.readers.close().await;
        for connection in readers.into_iter().chain(self.writer.close().await) {
            connection
                .close()
                .await
                .map_err(unavailable("closing the database"))?;
        }
        Ok(())
    }
}

async fn connect(
    options: &SqliteConnectOptions,
    log: &OpenLog,
) -> Result<Result<(SqliteConnection, LogIdentity), RecorderError>, sqlx::Error> {
    let mut connection = match connect_to_write(options).await? {
        Ok(connection) => connection,
        Err(refused) => return Ok(Err(refused)),
    };
    let log = sqlite_schema::open(&mut connection, log).await?;
    Ok(log.map(|log| (connection, log)))
}

#[async_trait]
impl Recorder for SqliteRecorder {
    fn log(&self) -> &LogIdentity {
        &self.log
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let outcomes = self.writer.record(batch).await?;
        let mut appended = outcomes.iter().flatten();
        if appended.any(|appended| appended.deletions.iter().any(|of| of.n_events > 0)) {
            self.erasure.request();
        }
        Ok(outcomes)
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        let statement = if range.descending {
            STREAM_DESCENDING
        } else {
            STREAM_ASCENDING
        };
        let (since, until) = range.microseconds();
        let read = async |connection: &mut SqliteConnection| {
            let rows = sqlx::query(statement)
                .bind(originator_id)
                .bind(at_most(range.after))
                .bind(at_most(range.until))
                .bind(at_most(range.limit))
                .bind(since)
                .bind(until)
                .fetch_all(connection)
                .await?;
            rows.iter()
                .map(|row| Ok(decode::<Sqlite>(row)?.event))
                .collect()
        };
        let doing = "reading the events of an aggregate";
        unless_deleted(originator_id, self.readers.read(doing, read).await?)
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        let read = async |connection: &mut SqliteConnection| {
            let row = sqlx::query(EVENT)
                .bind(event_id)
                .fetch_optional(connection)
                .await?;
            row.as_ref().map(decode::<Sqlite>).transpose()
        };
        self.readers.read("reading an event", read).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        let read = async |connection: &mut SqliteConnection| {
            let rows = sqlx::query(NOTIFICATIONS)
                .bind(at_most(first))
                .bind(at_most(limit))
                .fetch_all(connection)
                .await?;
            rows.iter().map(decode::<Sqlite>).collect()
        };
        self.readers.read("reading notifications", read).await
    }

    async fn erase_deleted(&self) -> Result<(), RecorderError> {
        self.erasure.wait().await
    }

    async fn check_writable(&self) -> Result<(), RecorderError> {
        const WRITE: &str = "UPDATE notification_log SET n_redacted = n_redacted";
        let query = || sqlx::query(WRITE);
        self.writer
            .execute("writing to see whether it can be done", query)
            .await?;
        Ok(())
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        let doing = "reading how much of the log is redacted";
        self.readers.read(doing, n_redacted).await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        const COUNT: &str =
            "SELECT count(*) FROM stored_event WHERE id >= ? AND id <= ? AND encoding = 'redacted'";
        let read = async |connection: &mut SqliteConnection| {
            let row = sqlx::query(COUNT)
                .bind(at_most(first))
                .bind(at_most(last))
                .fetch_one(connection)
                .await?;
            unsigned(row.try_get(0)?)
        };
        let doing = "counting redacted notifications";
        self.readers.read(doing, read).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.readers.read("reading the head of the log", head).await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        let read = async |connection: &mut SqliteConnection| position(connection, follower).await;
        self.readers
            .read("reading the position of a follower", read)
            .await
    }

    async fn close(&self) -> Result<(), RecorderError> {
        Self::close(self).await
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::new(SqliteKeyValues {
            writer: Arc::clone(&self.writer),
            readers: Arc::clone(&self.readers),
            erasure: Arc::clone(&self.erasure),
        }))
    }
}
