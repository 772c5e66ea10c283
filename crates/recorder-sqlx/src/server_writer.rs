//! The connection that writes to a server, of either kind.

use std::fmt;
use std::time::Duration;

use boxes_recorder::{Append, RecorderError};
use sqlx::Connection;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::backoff::pause;
use crate::server::Server;
use crate::server_error::{timed_out, unavailable};
use crate::server_hosts::Hosts;
use crate::server_key_values::KeyValueServer;
use crate::server_place::Place;
use crate::server_transaction::{Failure, Outcomes, Prepared, Transactions};
use crate::version_cache::VersionCache;

/// How long is looked for what became of a commit that nobody answered.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a transaction that is certainly not recorded is tried again, because the server did not answer.
const MAX_RETRIES: u32 = 5;

/// How often it is tried again because another writer was first. Each time somebody else has got on.
const MAX_RACES: u32 = 20;

/// A pause after a lost race is no longer than that after so many retries.
const MAX_RACE_PAUSE: u32 = 2;

/// The one connection that writes.
pub(crate) struct Writer<S: KeyValueServer> {
    hosts: Hosts<S>,
    transactions: Transactions<S>,
    state: Mutex<State<S>>,
}

struct State<S: Server> {
    /// Taken out while a transaction is at work: one that fails, or whose caller goes away, takes the connection with
    /// it, and the server rolls back.
    connection: Option<(S::Connection, Instant)>,
    cache: VersionCache,
    /// How many transactions were begun, each with its number in the writer's row.
    n_attempts: u64,
    closed: bool,
}

/// What became of one transaction that did not end with an answered commit.
enum Attempt {
    /// Nothing is recorded.
    Failed(Failure),
    /// The commit was asked for, and not answered.
    Unanswered(Unanswered),
}

impl From<sqlx::Error> for Attempt {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A commit that was not answered, and what there is to say if it was done.
struct Unanswered {
    outcomes: Outcomes,
    head: u64,
    attempt: u64,
    /// Whether the writer's row was there before it.
    had_row: bool,
    error: sqlx::Error,
}

/// Why, and how often, a batch is tried again.
#[derive(Default)]
struct Retries {
    n_retries: u32,
    n_races: u32,
    /// The head behind which somebody else's event was found last.
    overtaken_at: Option<u64>,
}

impl<S: KeyValueServer> Writer<S> {
    pub(crate) fn new(place: &Place<S>, transactions: Transactions<S>) -> Self {
        Self {
            hosts: place.hosts.clone(),
            transactions,
            state: Mutex::new(State {
                connection: None,
                cache: VersionCache::default(),
                n_attempts: 0,
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
        let mut retries = Retries::default();
        loop {
            let failure = match self.attempt(&mut state, batch).await {
                Ok(recorded) => return Ok(recorded),
                Err(Attempt::Failed(failure)) => failure,
                Err(Attempt::Unanswered(commit)) => {
                    let error = &commit.error;
                    tracing::warn!(log = self.transactions.log.name, %error, "a commit was not answered: looking for what became of it");
                    if self.settle(&mut state, &commit).await? {
                        return Ok((commit.outcomes, commit.head));
                    }
                    commit.error.into()
                }
            };
            // What is known may be out of date, or may have been the reason.
            state.cache.forget();
            retries.again::<S>(failure).await?;
        }
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
    ) -> Result<(Outcomes, u64), Attempt> {
        let kept = Self::kept_connection(state);
        state.n_attempts = state.n_attempts.saturating_add(1);
        let attempt = state.n_attempts;
        let preparing = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.hosts.connect_to_write().await?,
            };
            let prepared = self
                .transactions
                .prepare(&mut connection, &mut state.cache, batch, attempt)
                .await?;
            Ok::<_, Failure>((connection, prepared))
        };
        let (mut connection, prepared) =
            timeout(self.hosts.limits.transaction_timeout(), preparing)
                .await
                .map_err(|_| timed_out())?
                .map_err(Attempt::Failed)?;
        if prepared.changes.is_empty() && !batch.is_empty() {
            // All were refused, or asked for nothing: what was found out is true whatever becomes of this.
            if self.end(&mut connection, false).await.is_ok() {
                state.connection = Some((connection, Instant::now()));
            }
            return Ok((prepared.outcomes, prepared.head));
        }
        match self.end(&mut connection, true).await {
            Ok(()) => {}
            Err(error) if S::is_race(&error) => return Err(error.into()),
            Err(error) => return Err(Attempt::Unanswered(unanswered(prepared, attempt, error))),
        }
        state.cache.committed(prepared.head, &prepared.changes);
        state.connection = Some((connection, Instant::now()));
        Ok((prepared.outcomes, prepared.head))
    }

    /// Commits or rolls back.
    async fn end(&self, connection: &mut S::Connection, commits: bool) -> Result<(), sqlx::Error> {
        let statements = &self.transactions.statements;
        let statement = if commits {
            &statements.commit
        } else {
            &statements.rollback
        };
        let ending = S::fetch_all_of(statement, connection);
        match timeout(self.hosts.limits.transaction_timeout(), ending).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => Err(timed_out()),
        }
    }

    /// Whether a commit that was not answered was done.
    ///
    /// Under the log's lock: a server that is still at it has the lock until it is through.
    async fn settle(
        &self,
        state: &mut State<S>,
        commit: &Unanswered,
    ) -> Result<bool, RecorderError> {
        // What it left behind is looked up again.
        state.cache.forget();
        let until = Instant::now() + SETTLE_TIMEOUT;
        for retry in 0.. {
            let error = match timeout(self.hosts.limits.transaction_timeout(), self.look()).await {
                Ok(Ok(0)) if commit.had_row => {
                    return Err(RecorderError::OutcomeUnknown {
                        reason: "a commit was not answered, and the row that would tell is gone"
                            .to_owned(),
                        source: None,
                    });
                }
                Ok(Ok(last)) => return Ok(last == commit.attempt),
                Ok(Err(Failure::Refused(error))) => {
                    let reason = "a commit was not answered, and the log was replaced since";
                    return Err(RecorderError::outcome_unknown(reason, error));
                }
                Ok(Err(Failure::Failed(error) | Failure::Overtaken { error, .. })) => error,
                Ok(Err(Failure::Raced)) | Err(_) => timed_out(),
            };
            if Instant::now() >= until {
                let reason =
                    "a commit was not answered, and for a minute nobody told what became of it";
                return Err(RecorderError::outcome_unknown(reason, error));
            }
            pause(retry).await;
        }
        Ok(false)
    }

    /// The number of this writer's last attempt that was committed, 0 if its row is not there.
    async fn look(&self) -> Result<u64, Failure> {
        let mut connection = self.hosts.connect_to_write().await?;
        let last = self.transactions.last_attempt(&mut connection).await?;
        // Nothing was changed; the connection goes, and the lock with it, so it need not be in order.
        drop(connection.close().await);
        Ok(last)
    }
}

fn unanswered(prepared: Prepared<'_>, attempt: u64, error: sqlx::Error) -> Unanswered {
    Unanswered {
        outcomes: prepared.outcomes,
        head: prepared.head,
        attempt,
        had_row: prepared.had_row,
        error,
    }
}

impl Retries {
    /// Waits until it is worth another try, or says why it is not.
    async fn again<S: Server>(&mut self, failure: Failure) -> Result<(), RecorderError> {
        let unavailable = unavailable::<S>("recording");
        match failure {
            Failure::Refused(error) => Err(error),
            Failure::Failed(error) if S::is_race(&error) => self.after_race(Some(error)).await,
            Failure::Raced => self.after_race(None).await,
            // The head is where it was, though an event is behind it: no writer has put it there.
            Failure::Overtaken { head, error } if self.overtaken_at == Some(head) => {
                let reason = format!("recording: {}", S::kind(&error));
                tracing::error!(%error, "{reason}");
                Err(RecorderError::Broken { reason })
            }
            Failure::Overtaken { head, error } => {
                self.overtaken_at = Some(head);
                self.after_race(Some(error)).await
            }
            Failure::Failed(error) if S::is_transient(&error) && self.n_retries < MAX_RETRIES => {
                pause(self.n_retries).await;
                self.n_retries = self.n_retries.saturating_add(1);
                Ok(())
            }
            Failure::Failed(error) => Err(unavailable(error)),
        }
    }

    async fn after_race(&mut self, error: Option<sqlx::Error>) -> Result<(), RecorderError> {
        if self.n_races >= MAX_RACES {
            let reason = format!("recording: other writers were first {MAX_RACES} times");
            return Err(match error {
                Some(error) => RecorderError::unavailable(reason, error),
                None => RecorderError::Unavailable {
                    reason,
                    source: None,
                },
            });
        }
        pause(self.n_races.min(MAX_RACE_PAUSE)).await;
        self.n_races = self.n_races.saturating_add(1);
        Ok(())
    }
}

// Written out: the options hold a password.
impl<S: KeyValueServer> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("log", &self.transactions.log)
            .finish_non_exhaustive()
    }
}
