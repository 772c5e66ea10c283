//! The connection that writes.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{Admission, Append, Appended, Position, RecorderError, StoredEvent};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::busy::Patience;
use crate::numbers::{signed, unsigned};
use crate::sqlite_connection::connect_to_write;
use crate::sqlite_deletion::redact;
use crate::sqlite_error::{is_busy, is_damage, is_refused, unavailable};
use crate::sqlite_event::insert_and_commit;
use crate::sqlite_file::DatabaseFile;
use crate::sqlite_key_values::{save_values, set_values};
use crate::version_cache::VersionCache;

/// The newest version of each aggregate in ?1, a row of ids of 16 bytes, and whether it was deleted; those without events are
/// left out. Asked for
/// those that are not in the cache, which are mostly new: looking whether there is any first is the faster way.
macro_rules! versions {
    () => {
        "WITH RECURSIVE place (n) AS (
             SELECT 1 UNION ALL SELECT n + 16 FROM place WHERE n + 16 < length(?1)
         )
         SELECT substr(?1, n, 16),
                (SELECT max(originator_version) FROM stored_event WHERE originator_id = substr(?1, n, 16)),
                (SELECT n_redacted > 0 FROM notification_log)
                    AND EXISTS (SELECT 1 FROM stored_event WHERE originator_id = substr(?1, n, 16)
                                AND originator_version = 1 AND encoding = 'redacted')
         FROM place
         WHERE EXISTS (SELECT 1 FROM stored_event WHERE originator_id = substr(?1, n, 16))"
    };
}

/// How long the write lock is waited for when another process has it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// Begins, takes the write lock, and reads the head, and how much of the log is redacted. In one statement, because each is a way to SQLite's thread and
/// back, which takes longer than the statement itself.
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT NULL, coalesce(max(id), 0), (SELECT n_redacted FROM notification_log) FROM stored_event";

/// The same, and the versions.
const BEGIN_AND_VERSIONS: &str = concat!(
    "BEGIN IMMEDIATE; SELECT NULL, coalesce(max(id), 0), (SELECT n_redacted FROM notification_log) FROM stored_event; ",
    versions!()
);

const VERSIONS: &str = versions!();

/// Moves what was written ahead into the database, where what was deleted is overwritten, and cuts the file in which it
/// was.
const CUT_THE_WRITE_AHEAD_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The one connection that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    /// They make no file: one that is gone is an error.
    options: SqliteConnectOptions,
    file: Arc<DatabaseFile>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Taken out while a transaction is at work: one that fails, or whose caller goes away, takes the connection
    /// with it, and SQLite rolls back.
    connection: Option<SqliteConnection>,
    cache: VersionCache,
    closed: bool,
}

type Outcomes = Vec<Result<Appended, RecorderError>>;

impl Writer {
    pub(crate) fn new(
        options: SqliteConnectOptions,
        file: Arc<DatabaseFile>,
        connection: SqliteConnection,
    ) -> Self {
        let state = State {
            connection: Some(connection),
            ..State::default()
        };
        Self {
            options,
            file,
            state: Mutex::new(state),
        }
    }

    pub(crate) async fn record(&self, batch: &[Append]) -> Result<Outcomes, RecorderError> {
        let mut state = self.state.lock().await;
        let mut connection = self.take_connection(&mut state).await?;
        let outcomes = match transact(&mut connection, &mut state.cache, batch).await {
            Ok(outcomes) => outcomes,
            Err(Failure::Nothing(error)) => return Err(self.failed("recording")(error)),
            Err(Failure::Unknown(error)) => {
                state.cache.forget();
                return Err(self.unknown("committing", error));
            }
        };
        self.committed(&mut state, connection)?;
        Ok(outcomes)
    }

    /// One statement, which is a transaction of its own, as soon as no other process is in the way. Says how many rows it
    /// changed.
    pub(crate) async fn execute<'q>(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'q, Sqlite, SqliteArguments> + Send,
    ) -> Result<u64, RecorderError> {
        let mut state = self.state.lock().await;
        let mut connection = self.take_connection(&mut state).await?;
        let patience = Patience::of(LOCK_TIMEOUT);
        let done = loop {
            match query().execute(&mut connection).await {
                Ok(done) => break done,
                Err(error) if patience.wait_after(&error).await => {}
                Err(error) if is_refused(&error) => return Err(self.failed(doing)(error)),
                Err(error) => return Err(self.unknown(doing, error)),
            }
        };
        self.committed(&mut state, connection)?;
        Ok(done.rows_affected())
    }

    /// The file of the database.
    pub(crate) fn path(&self) -> &Path {
        self.options.get_filename()
    }

    /// Cuts the write-ahead log, unless someone reads what was there before. It is one short attempt, so those who
    /// record are not held up.
    pub(crate) async fn try_to_cut_the_log(&self) -> Result<bool, RecorderError> {
        let mut state = self.state.lock().await;
        let mut connection = self.take_connection(&mut state).await?;
        let tried = sqlx::query(CUT_THE_WRITE_AHEAD_LOG)
            .fetch_one(&mut connection)
            .await
            // It fails by saying that somebody was in the way, not by an error.
            .and_then(|row| Ok(row.try_get::<i64, _>(0)? == 0));
        let is_cut = match tried {
            Ok(is_cut) => is_cut,
            Err(error) if is_busy(&error) => false,
            Err(error) => return Err(self.failed("cutting the write-ahead log")(error)),
        };
        self.committed(&mut state, connection)?;
        Ok(is_cut)
    }

    /// The connection, or a new one. One that is not put back is closed, and SQLite rolls back what it did.
    async fn take_connection(&self, state: &mut State) -> Result<SqliteConnection, RecorderError> {
        if state.closed {
            return Err(RecorderError::Closed);
        }
        self.file.check()?;
        if let Some(connection) = state.connection.take() {
            return Ok(connection);
        }
        let connected = connect_to_write(&self.options).await;
        let connection = connected.map_err(self.failed("opening the database"))??;
        self.file.check()?;
        self.file.reconnected();
        Ok(connection)
    }

    /// Puts the connection back after a commit.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Broken`] if what was committed is in no file that a next start finds.
    fn committed(
        &self,
        state: &mut State,
        connection: SqliteConnection,
    ) -> Result<(), RecorderError> {
        state.connection = Some(connection);
        self.file.check_written()
    }

    /// What went wrong while `doing`, in words of the port. Nothing is written into a damaged file any more.
    fn failed(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> RecorderError {
        move |error| {
            if is_damage(&error) {
                return self.file.damaged();
            }
            unavailable(doing)(error)
        }
    }

    /// The same where it is not known what became of a commit.
    fn unknown(&self, doing: &'static str, error: sqlx::Error) -> RecorderError {
        match self.failed(doing)(error) {
            RecorderError::Unavailable { reason, source } => {
                RecorderError::OutcomeUnknown { reason, source }
            }
            other => other,
        }
    }

    /// Takes no more, and gives the connection, if there is one.
    pub(crate) async fn close(&self) -> Option<SqliteConnection> {
        let mut state = self.state.lock().await;
        state.closed = true;
        state.connection.take()
    }
}

/// Why a transaction was not committed, or not certainly.
enum Failure {
    /// Nothing is recorded.
    Nothing(sqlx::Error),
    /// The disk failed while it was committed: what it was asked to write may be found by the next process that opens the
    /// file, though no one sees it now.
    Unknown(sqlx::Error),
}

impl Failure {
    fn of_commit(error: sqlx::Error) -> Self {
        if is_refused(&error) {
            Self::Nothing(error)
        } else {
            Self::Unknown(error)
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Nothing(error)
    }
}

/// One transaction. If it fails in the middle it is left open: the caller closes the connection.
async fn transact(
    connection: &mut SqliteConnection,
    cache: &mut VersionCache,
    batch: &[Append],
) -> Result<Outcomes, Failure> {
    let mut found = begin(connection, &row_of_ids(cache.unknown(batch))).await?;
    if !cache.is_at(found.head, found.n_redacted) {
        // Another process wrote or deleted: what was known may be out of date.
        cache.forget();
        found.versions = look_up(connection, &row_of_ids(cache.unknown(batch))).await?;
    }
    let mut admission = Admission::new(found.head, found.n_redacted);
    for (originator_id, version) in cache.known(batch) {
        admission.set_version(originator_id, version);
    }
    for found in found.versions {
        admission.set_version(found.originator_id, found.version);
        if found.is_deleted {
            admission.set_deleted(found.originator_id);
        }
    }
    set_positions(&mut admission, connection, batch).await?;
    set_values(&mut admission, connection, batch).await?;
    let admit = |append| storable(append).and_then(|()| admission.admit(append));
    let outcomes: Vec<_> = batch.iter().map(admit).collect();

    let changes = admission.changes(batch, &outcomes);
    save_positions(connection, &changes.positions).await?;
    save_values(connection, &changes).await?;
    redact(connection, &changes, found.n_redacted).await?;
    insert_and_commit(connection, &changes)
        .await
        .map_err(Failure::of_commit)?;
    cache.committed(admission.head(), &changes);
    Ok(outcomes)
}

/// Ids of 16 bytes, one after the other: SQLite has no arrays.
fn row_of_ids(ids: Vec<Uuid>) -> Vec<u8> {
    ids.into_iter().flat_map(Uuid::into_bytes).collect()
}

/// What was found when the lock was taken.
struct Found {
    head: u64,
    n_redacted: u64,
    versions: Vec<FoundVersion>,
}

/// The newest version of an aggregate.
struct FoundVersion {
    originator_id: Uuid,
    version: u64,
    is_deleted: bool,
}

/// Takes the write lock, as soon as no other process has it, and reads the head and these versions.
async fn begin(connection: &mut SqliteConnection, ids: &[u8]) -> Result<Found, sqlx::Error> {
    let patience = Patience::of(LOCK_TIMEOUT);
    let rows = loop {
        let begin = if ids.is_empty() {
            sqlx::query(BEGIN)
        } else {
            sqlx::query(BEGIN_AND_VERSIONS).bind(ids)
        };
        match begin.fetch_all(&mut *connection).await {
            Ok(rows) => break rows,
            Err(error) if patience.wait_after(&error).await => {}
            Err(error) => return Err(error),
        }
    };
    let Some((head, versions)) = rows.split_first() else {
        return Err(sqlx::Error::RowNotFound);
    };
    let versions = versions.iter().map(version).collect::<Result<_, _>>()?;
    Ok(Found {
        head: unsigned(head.try_get(1)?)?,
        n_redacted: unsigned(head.try_get(2)?)?,
        versions,
    })
}

async fn look_up(
    connection: &mut SqliteConnection,
    ids: &[u8],
) -> Result<Vec<FoundVersion>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(VERSIONS)
        .bind(ids)
        .fetch_all(connection)
        .await?
        .iter()
        .map(version)
        .collect()
}

fn version(row: &SqliteRow) -> Result<FoundVersion, sqlx::Error> {
    Ok(FoundVersion {
        originator_id: row.try_get(0)?,
        version: unsigned(row.try_get(1)?)?,
        is_deleted: row.try_get(2)?,
    })
}

pub(crate) async fn head(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT coalesce(max(id), 0) FROM stored_event")
        .fetch_one(connection)
        .await?;
    unsigned(row.try_get(0)?)
}

async fn set_positions(
    admission: &mut Admission,
    connection: &mut SqliteConnection,
    batch: &[Append],
) -> Result<(), sqlx::Error> {
    let followers: HashSet<_> = batch
        .iter()
        .filter_map(|append| append.tracking.as_ref())
        .map(|step| &step.follower)
        .collect();
    for follower in followers {
        if let Some(position) = position(&mut *connection, follower).await? {
            admission.set_position(follower, position);
        }
    }
    Ok(())
}

pub(crate) async fn position(
    connection: &mut SqliteConnection,
    follower: &str,
) -> Result<Option<Position>, sqlx::Error> {
    const POSITION: &str =
        "SELECT epoch, position, CASE WHEN event_position = position THEN event_id END
                            FROM tracking WHERE follower = ?";
    let row = sqlx::query(POSITION)
        .bind(follower)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let position = Position::new(row.try_get(0)?, unsigned(row.try_get(1)?)?);
        Ok(position.with_event_id(row.try_get(2)?))
    })
    .transpose()
}

async fn save_positions(
    connection: &mut SqliteConnection,
    positions: &HashMap<&str, Position>,
) -> Result<(), sqlx::Error> {
    for (follower, position) in positions {
        save_position(connection, follower, *position).await?;
    }
    Ok(())
}

pub(crate) async fn save_position(
    connection: &mut SqliteConnection,
    follower: &str,
    position: Position,
) -> Result<(), sqlx::Error> {
    const SAVE: &str =
        "INSERT OR REPLACE INTO tracking (follower, epoch, position, event_id, event_position)
                        VALUES (?1, ?2, ?3, ?4, ?3)";
    sqlx::query(SAVE)
        .bind(follower)
        .bind(position.epoch)
        .bind(signed(position.id)?)
        .bind(position.event_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// SQLite's integers have a sign: the upper half of ours does not fit.
fn storable(append: &Append) -> Result<(), RecorderError> {
    let numbers = append
        .events
        .iter()
        .map(|event: &StoredEvent| event.originator_version);
    let numbers = numbers.chain(append.tracking.as_ref().map(|step| step.to));
    match numbers.max().map(i64::try_from) {
        Some(Err(_)) => Err(RecorderError::Invalid {
            reason: format!("SQLite keeps versions and positions up to {}", i64::MAX),
        }),
        _ => Ok(()),
    }
}
