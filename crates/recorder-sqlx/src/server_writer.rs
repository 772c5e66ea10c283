//! The connection that writes to a server, of either kind.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{
    Admission, Append, Appended, Deletion, LogIdentity, Position, RecorderError, StoredEvent,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::backoff::pause;
use crate::numbers::{signed, unsigned};
use crate::server::{Options, Server};
use crate::server_deletion::delete;
use crate::server_error::{timed_out, unavailable};
use crate::server_limits::Limits;
use crate::server_place::Place;
use crate::server_statements::Statements;
use crate::sql::Sql;
use crate::sql::events_and_step_only;
use crate::version_cache::VersionCache;

/// How long is looked for what became of a commit that nobody answered.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a transaction that is certainly not recorded is tried again.
const MAX_RETRIES: u32 = 5;

/// What a row has beside its texts and values, in bytes: numbers, ids, lengths.
const ROW_BYTES: usize = 256;

/// The one connection that writes.
pub(crate) struct Writer<S: Server> {
    options: Options<S>,
    limits: Limits,
    statements: Arc<Statements<S>>,
    log: LogIdentity,
    /// Bytes of events in one statement, at most, unless it is a single one.
    max_bytes: usize,
    state: Mutex<State<S>>,
}

struct State<S: Server> {
    /// Taken out while a transaction is at work: one that fails, or whose caller goes away, takes the connection with
    /// it, and the server rolls back.
    connection: Option<(S::Connection, Instant)>,
    cache: VersionCache,
    closed: bool,
}

type Outcomes = Vec<Result<Appended, RecorderError>>;

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
    head: u64,
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

impl<S: Server> Writer<S> {
    pub(crate) fn new(
        place: &Place<S>,
        statements: Arc<Statements<S>>,
        log: LogIdentity,
        max_bytes: usize,
    ) -> Self {
        Self {
            options: place.options.clone(),
            limits: place.limits,
            statements,
            log,
            max_bytes,
            state: Mutex::new(State {
                connection: None,
                cache: VersionCache::default(),
                closed: false,
            }),
        }
    }

    /// Records the batch, and gives the head after it beside the answers.
    pub(crate) async fn record(&self, batch: &[Append]) -> Result<(Outcomes, u64), RecorderError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(RecorderError::Closed);
        }
        let mut retries = 0..MAX_RETRIES;
        loop {
            let error = match self.attempt(&mut state, batch).await {
                Ok(recorded) => return Ok(recorded),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Nothing(error)) => error,
                Err(Failure::Unknown(commit, error)) => {
                    tracing::warn!(log = self.log.name, %error, "a commit was not answered: looking for what became of it");
                    if self.settle(&mut state, &commit.mark).await? {
                        return Ok((commit.outcomes, commit.head));
                    }
                    error
                }
            };
            match retries.next() {
                Some(retry) if S::is_transient(&error) => pause(retry).await,
                _ => return Err(unavailable::<S>("recording")(error)),
            }
        }
    }

    /// Deletes a stream. What became of a commit that nobody answered need not be known: it is done again.
    pub(crate) async fn delete_stream(
        &self,
        originator_id: Uuid,
    ) -> Result<Deletion, RecorderError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(RecorderError::Closed);
        }
        // Whatever comes of it, what is known may be out of date.
        state.cache.forget();
        let mut retries = 0..MAX_RETRIES;
        loop {
            let error = match self.attempt_deletion(&mut state, originator_id).await {
                Ok(deletion) => return Ok(deletion),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Nothing(error) | Failure::Unknown(_, error)) => error,
            };
            match retries.next() {
                Some(retry) if S::is_transient(&error) => pause(retry).await,
                _ => return Err(unavailable::<S>("deleting a stream")(error)),
            }
        }
    }

    /// One transaction. One that fails takes the connection with it.
    async fn attempt_deletion(
        &self,
        state: &mut State<S>,
        originator_id: Uuid,
    ) -> Result<Deletion, Failure> {
        let kept = Self::kept_connection(state);
        let deleting = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            self.begin(&mut connection).await?;
            let deletion = delete(&mut connection, &self.statements, originator_id).await?;
            S::fetch_all_of(&self.statements.commit, &mut connection).await?;
            Ok::<_, Failure>((connection, deletion))
        };
        let (connection, deletion) = timeout(self.limits.transaction_timeout(), deleting)
            .await
            .map_err(|_| timed_out())??;
        state.connection = Some((connection, Instant::now()));
        Ok(deletion)
    }

    /// Takes the connection out, if there is one that the server has not ended.
    fn kept_connection(state: &mut State<S>) -> Option<S::Connection> {
        let kept = state.connection.take();
        let kept = kept.filter(|(_, since)| since.elapsed() < S::MAX_IDLE);
        kept.map(|(connection, _)| connection)
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
    async fn attempt(
        &self,
        state: &mut State<S>,
        batch: &[Append],
    ) -> Result<(Outcomes, u64), Failure> {
        let kept = Self::kept_connection(state);
        let preparing = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let prepared = self
                .prepare(&mut connection, &mut state.cache, batch)
                .await?;
            Ok::<_, Failure>((connection, prepared))
        };
        let (mut connection, prepared) = timeout(self.limits.transaction_timeout(), preparing)
            .await
            .map_err(|_| timed_out())??;

        let committing = S::fetch_all_of(&self.statements.commit, &mut connection);
        let committed = match timeout(self.limits.transaction_timeout(), committing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(timed_out()),
        };
        if let Err(error) = committed {
            return Err(Failure::Unknown(prepared.unanswered(), error));
        }
        state.cache.committed(
            prepared.head,
            prepared.n_redacted,
            prepared
                .events
                .iter()
                .map(|event| (event.originator_id, event.originator_version)),
        );
        state.connection = Some((connection, Instant::now()));
        Ok((prepared.outcomes, prepared.head))
    }

    async fn connect(&self) -> Result<S::Connection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        S::fetch_all_of(&Sql::new(S::writing(&self.limits)), &mut connection).await?;
        Ok(connection)
    }

    /// Everything up to the commit.
    async fn prepare<'a>(
        &self,
        connection: &mut S::Connection,
        cache: &mut VersionCache,
        batch: &'a [Append],
    ) -> Result<Prepared<'a>, Failure> {
        let Begun { head, n_redacted } = self.begin(connection).await?;
        if !cache.is_at(head, n_redacted) {
            // Another process wrote or deleted: what was known may be out of date.
            cache.forget();
        }
        let mut admission = Admission::new(head, n_redacted);
        for (originator_id, version) in cache.known(batch) {
            admission.set_version(originator_id, version);
        }
        self.look_up(connection, &cache.unknown(batch), &mut admission)
            .await?;
        for (follower, position) in self.positions(connection, batch).await? {
            admission.set_position(follower, position);
        }

        let mut events = Vec::new();
        let mut positions = HashMap::new();
        let mut outcomes = Vec::with_capacity(batch.len());
        for append in batch {
            let outcome = events_and_step_only(append)
                .and_then(|()| S::storable(append, self.max_bytes))
                .and_then(|()| admission.admit(append));
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
        let first = head.saturating_add(1);
        self.insert(connection, first, &events).await?;
        Ok(Prepared {
            outcomes,
            first,
            head: admission.head(),
            n_redacted,
            events,
            positions,
        })
    }

    /// Begins, takes the log's lock, and reads the head, and how much of the log is redacted.
    async fn begin(&self, connection: &mut S::Connection) -> Result<Begun, Failure> {
        let rows = S::fetch_all_of(&self.statements.begin, connection).await?;
        // The first row is the lock's, which says nothing.
        let Some(row) = rows.get(1) else {
            return Err(Failure::Refused(RecorderError::Mismatch {
                reason: format!(
                    "the log `{}` is gone from the database: start again",
                    self.log.name
                ),
            }));
        };
        let epoch = S::uuid(row, 0)?;
        if epoch != self.log.epoch {
            return Err(Failure::Refused(RecorderError::Mismatch {
                reason: format!(
                    "the log `{}` was opened with epoch {} and now has {epoch}: it was replaced or restored, so start again",
                    self.log.name, self.log.epoch
                ),
            }));
        }
        Ok(Begun {
            head: unsigned(S::number(row, 1)?)?,
            n_redacted: unsigned(S::number(row, 2)?)?,
        })
    }

    /// Tells what is recorded of these aggregates.
    async fn look_up(
        &self,
        connection: &mut S::Connection,
        originator_ids: &[Uuid],
        admission: &mut Admission,
    ) -> Result<(), sqlx::Error> {
        for ids in originator_ids.chunks(S::MAX_ROWS) {
            let query = S::versions(&self.statements.own, ids);
            for row in S::fetch_all(query, connection).await? {
                let originator_id = S::uuid(&row, 0)?;
                admission.set_version(originator_id, unsigned(S::number(&row, 1)?)?);
                if S::number(&row, 2)? != 0 {
                    admission.set_deleted(originator_id);
                }
            }
        }
        Ok(())
    }

    async fn positions(
        &self,
        connection: &mut S::Connection,
        batch: &[Append],
    ) -> Result<Vec<(String, Position)>, sqlx::Error> {
        let followers: HashSet<&str> = batch
            .iter()
            .filter_map(|append| append.tracking.as_ref())
            .map(|step| step.follower.as_str())
            .collect();
        let followers: Vec<_> = followers.into_iter().collect();
        let mut positions = Vec::with_capacity(followers.len());
        for followers in followers.chunks(S::MAX_ROWS) {
            let query = S::positions(&self.statements.own, followers);
            for row in S::fetch_all(query, connection).await? {
                positions.push((S::follower(&row)?, decode_position::<S>(&row)?));
            }
        }
        Ok(positions)
    }

    async fn save_positions(
        &self,
        connection: &mut S::Connection,
        positions: &HashMap<&str, Position>,
    ) -> Result<(), sqlx::Error> {
        let positions: Vec<_> = positions.iter().map(|(name, at)| (*name, *at)).collect();
        for positions in positions.chunks(S::MAX_ROWS) {
            let query = S::save_positions(&self.statements.own, positions)?;
            S::fetch_all(query, connection).await?;
        }
        Ok(())
    }

    /// Inserts the events with the ids `first`, `first` + 1, …: in one statement, unless they are very many or very large.
    async fn insert(
        &self,
        connection: &mut S::Connection,
        first: u64,
        events: &[&StoredEvent],
    ) -> Result<(), sqlx::Error> {
        let mut id = first;
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0_usize;
            let fitting = rest.iter().take(S::MAX_ROWS).take_while(|event| {
                bytes = bytes.saturating_add(row_bytes(event));
                bytes <= self.max_bytes
            });
            // One that alone is too large was refused before.
            let (now, later) = rest.split_at(fitting.count().max(1));
            let query = S::insert(&self.statements.own, id, now)?;
            S::fetch_all(query, connection).await?;
            id = now.iter().fold(id, |id, _| id.saturating_add(1));
            rest = later;
        }
        Ok(())
    }

    /// Whether a commit that was not answered was done.
    ///
    /// Under the log's lock: a server that is still at it has the lock until it is through.
    async fn settle(&self, state: &mut State<S>, mark: &Mark) -> Result<bool, RecorderError> {
        // What it left behind is looked up again.
        state.cache.forget();
        let until = Instant::now() + SETTLE_TIMEOUT;
        for retry in 0.. {
            let error = match timeout(self.limits.transaction_timeout(), self.look(mark)).await {
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
        let head = self.begin(&mut connection).await?.head;
        let recorded = match mark {
            Mark::None => true,
            Mark::Event { id, .. } if *id > head => false,
            Mark::Event { id, event_id } => {
                let query = self.statements.is_recorded.query();
                let query = S::bind_uuid(S::bind_number(query, signed(*id)?), *event_id);
                !S::fetch_all(query, &mut connection).await?.is_empty()
            }
            Mark::Position(follower, position) => {
                let query = S::positions(&self.statements.own, &[follower]);
                let rows = S::fetch_all(query, &mut connection).await?;
                rows.first().map(decode_position::<S>).transpose()? == Some(*position)
            }
        };
        // Nothing was changed; the connection goes, and the lock with it, so it need not be in order.
        drop(connection.close().await);
        Ok(recorded)
    }
}

/// What was found when the lock was taken.
struct Begun {
    head: u64,
    n_redacted: u64,
}

/// A transaction of which only the commit is missing.
struct Prepared<'a> {
    outcomes: Outcomes,
    first: u64,
    head: u64,
    n_redacted: u64,
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
            head: self.head,
        }
    }
}

/// Bytes of an event in a statement, about.
pub(crate) fn row_bytes(event: &StoredEvent) -> usize {
    [
        event.state.len(),
        event.metadata.len(),
        event.topic.len(),
        event.encoding.as_str().len(),
    ]
    .into_iter()
    .fold(ROW_BYTES, usize::saturating_add)
}

/// Columns: the follower, the epoch, the position.
pub(crate) fn decode_position<S: Server>(row: &S::Row) -> Result<Position, sqlx::Error> {
    Ok(Position {
        epoch: S::uuid(row, 1)?,
        id: unsigned(S::number(row, 2)?)?,
        event_id: None,
    })
}

// Written out: the options hold a password.
impl<S: Server> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}
