//! The connection that writes.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use boxes_recorder::{Admission, Append, Position, RecorderError, StoredEvent};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::busy::Patience;
use crate::sqlite_error::unavailable;
use crate::sqlite_event::{insert, unsigned};
use crate::version_cache::VersionCache;

/// How long the write lock is waited for when another process has it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// The newest version of each aggregate in ?1, a row of ids of 16 bytes; those without events are left out.
const VERSIONS: &str = "
WITH RECURSIVE place (n) AS (
    SELECT 1 UNION ALL SELECT n + 16 FROM place WHERE n + 16 < length(?1)
), recorded (originator_id, version) AS MATERIALIZED (
    SELECT substr(?1, n, 16),
           (SELECT max(originator_version) FROM stored_event WHERE originator_id = substr(?1, n, 16))
    FROM place
)
SELECT originator_id, version FROM recorded WHERE version IS NOT NULL";

/// The one connection that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    options: SqliteConnectOptions,
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

type Outcomes = Vec<Result<Range<u64>, RecorderError>>;

impl Writer {
    pub(crate) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        let state = State {
            connection: Some(connection),
            ..State::default()
        };
        Self {
            options,
            state: Mutex::new(state),
        }
    }

    pub(crate) async fn record(&self, batch: &[Append]) -> Result<Outcomes, RecorderError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(RecorderError::Closed);
        }
        let mut connection = match state.connection.take() {
            Some(connection) => connection,
            None => self
                .options
                .connect()
                .await
                .map_err(unavailable("opening the database"))?,
        };
        let outcomes = transact(&mut connection, &mut state.cache, batch)
            .await
            .map_err(unavailable("recording"))?;
        state.connection = Some(connection);
        Ok(outcomes)
    }

    /// Takes no more, and gives the connection, if there is one.
    pub(crate) async fn close(&self) -> Option<SqliteConnection> {
        let mut state = self.state.lock().await;
        state.closed = true;
        state.connection.take()
    }
}

/// One transaction. If it fails in the middle it is left open: the caller closes the connection.
async fn transact(
    connection: &mut SqliteConnection,
    cache: &mut VersionCache,
    batch: &[Append],
) -> Result<Outcomes, sqlx::Error> {
    begin(connection).await?;
    let head = head(connection).await?;
    let mut admission = Admission::new(head);
    set_versions(&mut admission, connection, cache.at(head), batch).await?;
    set_positions(&mut admission, connection, batch).await?;

    let mut events = Vec::new();
    let mut positions = HashMap::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    for append in batch {
        let outcome = storable(append).and_then(|()| admission.admit(append));
        if outcome.is_ok() {
            events.extend(&append.events);
            positions.extend(
                append
                    .tracking
                    .as_ref()
                    .map(|step| (step.follower.as_str(), step.position())),
            );
        }
        outcomes.push(outcome);
    }

    insert(connection, head.saturating_add(1), &events).await?;
    save_positions(connection, &positions).await?;
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    cache.committed(
        admission.head(),
        events
            .iter()
            .map(|event| (event.originator_id, event.originator_version)),
    );
    Ok(outcomes)
}

/// Begins a transaction and takes the write lock, as soon as no other process has it.
async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let patience = Patience::of(LOCK_TIMEOUT);
    loop {
        match sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if patience.wait_after(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn head(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let row = sqlx::query("SELECT coalesce(max(id), 0) FROM stored_event")
        .fetch_one(connection)
        .await?;
    unsigned(row.try_get(0)?)
}

async fn set_versions(
    admission: &mut Admission,
    connection: &mut SqliteConnection,
    known: &HashMap<Uuid, u64>,
    batch: &[Append],
) -> Result<(), sqlx::Error> {
    let mut unknown = HashSet::new();
    let mut ids = Vec::new();
    for event in batch.iter().flat_map(|append| &append.events) {
        match known.get(&event.originator_id) {
            Some(version) => admission.set_version(event.originator_id, *version),
            None if unknown.insert(event.originator_id) => {
                ids.extend_from_slice(event.originator_id.as_bytes());
            }
            None => {}
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    for row in sqlx::query(VERSIONS)
        .bind(ids)
        .fetch_all(connection)
        .await?
    {
        admission.set_version(row.try_get(0)?, unsigned(row.try_get(1)?)?);
    }
    Ok(())
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
    let row = sqlx::query("SELECT epoch, position FROM tracking WHERE follower = ?")
        .bind(follower)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(Position {
            epoch: row.try_get(0)?,
            id: unsigned(row.try_get(1)?)?,
        })
    })
    .transpose()
}

async fn save_positions(
    connection: &mut SqliteConnection,
    positions: &HashMap<&str, Position>,
) -> Result<(), sqlx::Error> {
    for (follower, position) in positions {
        let id = i64::try_from(position.id).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query("INSERT OR REPLACE INTO tracking (follower, epoch, position) VALUES (?, ?, ?)")
            .bind(*follower)
            .bind(position.epoch)
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
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
