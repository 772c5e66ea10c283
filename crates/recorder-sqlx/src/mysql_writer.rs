//! The connection that writes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{Admission, Append, LogIdentity, Position, RecorderError, StoredEvent};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{ConnectOptions, Connection, MySqlConnection, Row};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::backoff::pause;
use crate::mysql_error::{is_transient, unavailable};
use crate::mysql_event::{MAX_ROWS, insert, storable};
use crate::mysql_statements::Statements;
use crate::numbers::{signed, unsigned};
use crate::server_error::timed_out;
use crate::version_cache::VersionCache;

/// How long a transaction may take to its commit, and the commit itself. Longer than what the server is told, so that
/// the server is the first to give up, and says why.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long is looked for what became of a commit that nobody answered.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a transaction that is certainly not recorded is tried again.
const MAX_RETRIES: u32 = 5;

/// A connection that was not used for so long is replaced before the server ends it.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// What is said to the server at the beginning of the session that writes: how long the log's lock is waited for, and
/// how long it may be held by a process that stands still (by `wait_timeout`, which both servers have); that each
/// statement sees what was committed before it, so that nothing depends on which one of a transaction takes the
/// snapshot; and that what does not fit is an error, also where the server would cut it.
const SESSION: &str = "
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    SET SESSION innodb_lock_wait_timeout = 10, SESSION wait_timeout = 30,
        SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";

/// The one connection that writes.
pub(crate) struct Writer {
    options: MySqlConnectOptions,
    statements: Arc<Statements>,
    log: LogIdentity,
    /// Bytes in one statement, at most: the server ends the connection at a longer one.
    max_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Taken out while a transaction is at work: one that fails, or whose caller goes away, takes the connection with
    /// it, and the server rolls back.
    connection: Option<(MySqlConnection, Instant)>,
    cache: VersionCache,
    closed: bool,
}

type Outcomes = Vec<Result<Range<u64>, RecorderError>>;

/// Why an attempt did not end with an answered commit.
enum Failure {
    /// Nothing is recorded.
    Nothing(sqlx::Error),
    /// Nothing is recorded, and never will be.
    Refused(RecorderError),
    /// The commit was asked for, and not answered.
    Unknown(Unanswered, sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Nothing(error)
    }
}

/// A commit that was asked for, and by what it can be recognized.
struct Unanswered {
    outcomes: Outcomes,
    mark: Mark,
}

/// What stands in the store if a transaction was committed: it is there as a whole, so one thing tells for all.
enum Mark {
    /// It changed nothing.
    None,
    /// The event in the first place that it took. No other writer has an event of this id.
    Event { id: u64, event_id: Uuid },
    /// A step without events.
    Position(String, Position),
}

impl Writer {
    pub(crate) fn new(
        options: MySqlConnectOptions,
        statements: Arc<Statements>,
        log: LogIdentity,
        max_bytes: usize,
    ) -> Self {
        Self {
            options,
            statements,
            log,
            max_bytes,
            state: Mutex::default(),
        }
    }

    /// Records the batch, and gives the answers.
    pub(crate) async fn record(&self, batch: &[Append]) -> Result<Outcomes, RecorderError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(RecorderError::Closed);
        }
        let mut retries = 0..MAX_RETRIES;
        loop {
            let error = match self.attempt(&mut state, batch).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Nothing(error)) => error,
                Err(Failure::Unknown(commit, error)) => {
                    tracing::warn!(log = self.log.name, %error, "a commit was not answered: looking for what became of it");
                    if self.settle(&mut state, &commit.mark).await? {
                        return Ok(commit.outcomes);
                    }
                    error
                }
            };
            match retries.next() {
                Some(retry) if is_transient(&error) => pause(retry).await,
                _ => return Err(unavailable("recording")(error)),
            }
        }
    }

    /// Takes no more, and closes the connection.
    pub(crate) async fn close(&self) {
        let mut state = self.state.lock().await;
        state.closed = true;
        if let Some((connection, _)) = state.connection.take() {
            // One that can't say goodbye is gone as well.
            drop(connection.close().await);
        }
    }

    /// One transaction. One that fails takes the connection with it.
    async fn attempt(&self, state: &mut State, batch: &[Append]) -> Result<Outcomes, Failure> {
        let kept = state.connection.take();
        let kept = kept.filter(|(_, since)| since.elapsed() < MAX_IDLE);
        let preparing = async {
            let mut connection = match kept {
                Some((connection, _)) => connection,
                None => self.connect().await?,
            };
            let prepared = self
                .prepare(&mut connection, &mut state.cache, batch)
                .await?;
            Ok::<_, Failure>((connection, prepared))
        };
        let (mut connection, prepared) = timeout(TRANSACTION_TIMEOUT, preparing)
            .await
            .map_err(|_| timed_out())??;

        let committing = sqlx::raw_sql("COMMIT").execute(&mut connection);
        let committed = match timeout(TRANSACTION_TIMEOUT, committing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(timed_out()),
        };
        if let Err(error) = committed {
            return Err(Failure::Unknown(prepared.unanswered(), error));
        }
        state.cache.committed(
            prepared.head,
            prepared
                .events
                .iter()
                .map(|event| (event.originator_id, event.originator_version)),
        );
        state.connection = Some((connection, Instant::now()));
        Ok(prepared.outcomes)
    }

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    /// Everything up to the commit.
    async fn prepare<'a>(
        &self,
        connection: &mut MySqlConnection,
        cache: &mut VersionCache,
        batch: &'a [Append],
    ) -> Result<Prepared<'a>, Failure> {
        let head = self.begin(connection).await?;
        if !cache.is_at(head) {
            // Another process wrote: what was known may be out of date.
            cache.forget();
        }
        let mut admission = Admission::new(head);
        let found = self.versions(connection, cache.unknown(batch)).await?;
        for (originator_id, version) in cache.known(batch).chain(found) {
            admission.set_version(originator_id, version);
        }
        for (follower, position) in self.positions(connection, batch).await? {
            admission.set_position(follower, position);
        }

        let mut events = Vec::new();
        let mut positions = HashMap::new();
        let mut outcomes = Vec::with_capacity(batch.len());
        for append in batch {
            let outcome = storable(append, self.max_bytes).and_then(|()| admission.admit(append));
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

        self.save_positions(connection, &positions).await?;
        insert(
            connection,
            &self.statements,
            head.saturating_add(1),
            &events,
            self.max_bytes,
        )
        .await?;
        Ok(Prepared {
            outcomes,
            first: head.saturating_add(1),
            head: admission.head(),
            events,
            positions,
        })
    }

    /// Begins, takes the log's lock, and reads the head.
    async fn begin(&self, connection: &mut MySqlConnection) -> Result<u64, Failure> {
        let rows = sqlx::raw_sql(self.statements.begin.text())
            .fetch_all(connection)
            .await?;
        // The row that is locked, then the head.
        let [row, head] = rows.as_slice() else {
            return Err(Failure::Refused(RecorderError::Mismatch {
                reason: format!(
                    "the log `{}` is gone from the database: start again",
                    self.log.name
                ),
            }));
        };
        let epoch: Uuid = row.try_get(0)?;
        if epoch != self.log.epoch {
            return Err(Failure::Refused(RecorderError::Mismatch {
                reason: format!(
                    "the log `{}` was opened with epoch {} and now has {epoch}: it was replaced or restored, so start again",
                    self.log.name, self.log.epoch
                ),
            }));
        }
        Ok(unsigned(head.try_get(0)?)?)
    }

    async fn versions(
        &self,
        connection: &mut MySqlConnection,
        ids: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, u64)>, sqlx::Error> {
        let mut versions = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MAX_ROWS) {
            let mut query = self.statements.versions.of_rows(ids.len());
            for id in ids {
                query = query.bind(id);
            }
            for row in query.fetch_all(&mut *connection).await? {
                versions.push((row.try_get(0)?, unsigned(row.try_get(1)?)?));
            }
        }
        Ok(versions)
    }

    async fn positions(
        &self,
        connection: &mut MySqlConnection,
        batch: &[Append],
    ) -> Result<Vec<(String, Position)>, sqlx::Error> {
        let followers: HashSet<&str> = batch
            .iter()
            .filter_map(|append| append.tracking.as_ref())
            .map(|step| step.follower.as_str())
            .collect();
        let mut positions = Vec::with_capacity(followers.len());
        for followers in followers.into_iter().collect::<Vec<_>>().chunks(MAX_ROWS) {
            let mut query = self.statements.positions.of_rows(followers.len());
            for follower in followers {
                query = query.bind(follower.as_bytes());
            }
            for row in query.fetch_all(&mut *connection).await? {
                let follower = String::from_utf8(row.try_get(0)?)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?;
                positions.push((follower, decode_position(&row)?));
            }
        }
        Ok(positions)
    }

    async fn save_positions(
        &self,
        connection: &mut MySqlConnection,
        positions: &HashMap<&str, Position>,
    ) -> Result<(), sqlx::Error> {
        for positions in positions.iter().collect::<Vec<_>>().chunks(MAX_ROWS) {
            let mut query = self.statements.save_positions.of_rows(positions.len());
            for (follower, position) in positions {
                query = query
                    .bind(follower.as_bytes())
                    .bind(position.epoch)
                    .bind(signed(position.id)?);
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Whether a commit that was not answered was done.
    ///
    /// Under the log's lock: a server that is still at it has the lock until it is through.
    async fn settle(&self, state: &mut State, mark: &Mark) -> Result<bool, RecorderError> {
        // What it left behind is looked up again.
        state.cache.forget();
        let until = Instant::now() + SETTLE_TIMEOUT;
        for retry in 0.. {
            let error = match timeout(TRANSACTION_TIMEOUT, self.look(mark)).await {
                Ok(Ok(recorded)) => return Ok(recorded),
                Ok(Err(Failure::Refused(error))) => return Err(error),
                Ok(Err(Failure::Nothing(error) | Failure::Unknown(_, error))) => error,
                Err(_) => timed_out(),
            };
            if Instant::now() >= until {
                let reason = "a commit was not answered, and for a minute nobody told what became of it: \
                              whether it is recorded shows when the store answers again";
                return Err(RecorderError::unavailable(reason, error));
            }
            pause(retry).await;
        }
        Ok(false)
    }

    async fn look(&self, mark: &Mark) -> Result<bool, Failure> {
        let mut connection = self.connect().await?;
        let head = self.begin(&mut connection).await?;
        let recorded = match mark {
            Mark::None => true,
            Mark::Event { id, .. } if *id > head => false,
            Mark::Event { id, event_id } => sqlx::query(self.statements.is_recorded.text())
                .bind(signed(*id)?)
                .bind(event_id)
                .fetch_optional(&mut connection)
                .await?
                .is_some(),
            Mark::Position(follower, position) => {
                let row = self
                    .statements
                    .positions
                    .of_rows(1)
                    .bind(follower.as_bytes())
                    .fetch_optional(&mut connection)
                    .await?;
                row.as_ref().map(decode_position).transpose()? == Some(*position)
            }
        };
        // Nothing was changed; the connection goes, and the lock with it, so it need not be in order.
        drop(connection.close().await);
        Ok(recorded)
    }
}

/// A transaction of which only the commit is missing.
struct Prepared<'a> {
    outcomes: Outcomes,
    first: u64,
    head: u64,
    events: Vec<&'a StoredEvent>,
    positions: HashMap<&'a str, Position>,
}

impl Prepared<'_> {
    fn unanswered(self) -> Unanswered {
        let event = self.events.first().map(|event| Mark::Event {
            id: self.first,
            event_id: event.event_id,
        });
        let position = || {
            let (follower, position) = self.positions.iter().next()?;
            Some(Mark::Position((*follower).to_owned(), *position))
        };
        Unanswered {
            mark: event.or_else(position).unwrap_or(Mark::None),
            outcomes: self.outcomes,
        }
    }
}

/// Columns: the follower, the epoch, the position.
pub(crate) fn decode_position(row: &MySqlRow) -> Result<Position, sqlx::Error> {
    Ok(Position {
        epoch: row.try_get(1)?,
        id: unsigned(row.try_get(2)?)?,
    })
}

// Written out: the options hold a password.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}
