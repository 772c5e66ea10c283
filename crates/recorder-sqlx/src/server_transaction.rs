//! A transaction that records on a server, of either kind: everything up to its commit.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use boxes_recorder::{
    Admission, Append, Appended, Changes, KeyValueBounds, LogIdentity, Position, RecorderError,
    StoredEvent,
};
use bytes::Bytes;
use uuid::Uuid;

use crate::numbers::{signed, unsigned};
use crate::server::Server;
use crate::server_key_values::{KeyValueServer, KeyValueStatements, of_key};
use crate::server_statements::Statements;
use crate::server_writer_row::WriterRow;
use crate::version_cache::VersionCache;

/// What a row has beside its texts and values, in bytes: numbers, ids, lengths.
const ROW_BYTES: usize = 256;

/// The answers to a batch.
pub(crate) type Outcomes = Vec<Result<Appended, RecorderError>>;

/// An entry beside the log, by space and key.
type EntryKey<'a> = (&'a str, &'a [u8]);

/// Why a transaction was not prepared: nothing is recorded.
pub(crate) enum Failure {
    /// The server or the connection failed.
    Failed(sqlx::Error),
    /// Somebody who did not wait for the log's lock was first: the place behind this head is taken.
    Overtaken { head: u64, error: sqlx::Error },
    /// Somebody wrote an entry beside the log, which is done without the log's lock, after it was read.
    Raced,
    /// Never will be.
    Refused(RecorderError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// What all transactions of one writer have in common.
pub(crate) struct Transactions<S: KeyValueServer> {
    pub(crate) statements: Arc<Statements<S>>,
    pub(crate) key_values: Arc<KeyValueStatements>,
    pub(crate) row: WriterRow,
    pub(crate) log: LogIdentity,
    /// Bytes of events in one statement, at most, unless it is a single one.
    pub(crate) max_bytes: usize,
}

/// What was found when the lock was taken.
struct Begun {
    head: u64,
    n_redacted: u64,
    /// The number in the writer's row, 0 if there was none.
    attempt: u64,
}

/// A transaction of which only the commit is missing.
pub(crate) struct Prepared<'a> {
    pub(crate) outcomes: Outcomes,
    pub(crate) head: u64,
    pub(crate) changes: Changes<'a>,
    /// Whether the writer's row was there before it.
    pub(crate) had_row: bool,
}

impl<S: KeyValueServer> Transactions<S> {
    /// Everything up to the commit, as the attempt of this number.
    pub(crate) async fn prepare<'a>(
        &self,
        connection: &mut S::Connection,
        cache: &mut VersionCache,
        batch: &'a [Append],
        attempt: u64,
    ) -> Result<Prepared<'a>, Failure> {
        let rows = S::fetch_all_of(&self.row.begin(attempt), connection).await?;
        // The first row is the lock's, which says nothing.
        let begun = rows.get(1).map(|row| self.begun(Some(row))).transpose()?;
        let had_row = begun.as_ref().is_some_and(|begun| begun.attempt == attempt);
        let begun = match begun {
            Some(begun) if had_row => begun,
            _ => {
                let rows = S::fetch_all_of(&self.row.make(attempt), connection).await?;
                self.begun(rows.first())?
            }
        };
        if !cache.is_at(begun.head, begun.n_redacted) {
            // Another process wrote or deleted: what was known may be out of date.
            cache.forget();
        }
        let mut admission = Admission::new(begun.head, begun.n_redacted);
        for (originator_id, version) in cache.known(batch) {
            admission.set_version(originator_id, version);
        }
        self.look_up(connection, &cache.unknown(batch), &mut admission)
            .await?;
        for (follower, position) in self.positions(connection, batch).await? {
            admission.set_position(follower, position);
        }
        let values = self.values(connection, batch).await?;
        for ((space, key), value) in &values {
            admission.set_value(*space, Bytes::copy_from_slice(key), value.clone());
        }

        let admit =
            |append| S::storable(append, self.max_bytes).and_then(|()| admission.admit(append));
        let outcomes: Vec<_> = batch.iter().map(admit).collect();
        let changes = admission.changes(batch, &outcomes);
        self.save_positions(connection, &changes.positions).await?;
        self.save_values(connection, &changes, &values).await?;
        self.redact(connection, &changes, begun.n_redacted).await?;
        self.insert(connection, &changes)
            .await
            .map_err(|error| match error {
                error if S::is_taken(&error) => Failure::Overtaken {
                    head: begun.head,
                    error,
                },
                error => error.into(),
            })?;
        Ok(Prepared {
            outcomes,
            head: admission.head(),
            changes,
            had_row,
        })
    }

    /// The number of the writer's last attempt that was committed, 0 if its row is not there; under the log's lock, which a
    /// transaction that is still at work has until it is through.
    pub(crate) async fn last_attempt(
        &self,
        connection: &mut S::Connection,
    ) -> Result<u64, Failure> {
        let rows = S::fetch_all_of(&self.row.look, connection).await?;
        Ok(self.begun(rows.get(1))?.attempt)
    }

    /// What was read of the log, if it is there and the one that was opened.
    fn begun(&self, row: Option<&S::Row>) -> Result<Begun, Failure> {
        let Some(row) = row else {
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
            attempt: unsigned(S::number(row, 3)?)?,
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

    /// The values of the entries that the batch names, as far as they have any. Nobody else changes these entries until
    /// the transaction ends: what writes one entry alone does not take the log's lock.
    async fn values<'a>(
        &self,
        connection: &mut S::Connection,
        batch: &'a [Append],
    ) -> Result<HashMap<EntryKey<'a>, Bytes>, sqlx::Error> {
        let writes = batch.iter().flat_map(|append| &append.key_values);
        // In the order of the keys, so that no two transactions lock them crosswise.
        let entries: BTreeSet<EntryKey<'a>> = writes
            .filter(|write| KeyValueBounds::check(&write.space, &write.key).is_ok())
            .map(|write| (&*write.space, &*write.key))
            .collect();
        let mut values = HashMap::with_capacity(entries.len());
        for (space, key) in entries {
            let query = of_key::<S>(&self.key_values.get_locked, space, key);
            if let Some(row) = S::fetch_all(query, connection).await?.first() {
                values.insert((space, key), S::bytes(row, 0)?.into());
            }
        }
        Ok(values)
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

    /// Writes values in the place of those that were `found`.
    async fn save_values(
        &self,
        connection: &mut S::Connection,
        changes: &Changes<'_>,
        found: &HashMap<EntryKey<'_>, Bytes>,
    ) -> Result<(), Failure> {
        for ((space, key), new) in &changes.key_values {
            let is_there = found.contains_key(&(*space, *key));
            let statement = match new {
                Some(_) if is_there => &self.key_values.put,
                Some(_) => &self.key_values.put_if_absent,
                None if is_there => &self.key_values.delete,
                None => continue,
            };
            let query = of_key::<S>(statement, space, key);
            let query = match new {
                Some(value) => S::bind_bytes(query, value),
                None => query,
            };
            let n_rows = match S::execute(query, connection).await {
                Err(error) if S::is_taken(&error) => 0,
                done => done?,
            };
            if n_rows == 0 {
                return Err(Failure::Raced);
            }
        }
        Ok(())
    }

    /// Redacts what is in the store of the streams that are deleted.
    async fn redact(
        &self,
        connection: &mut S::Connection,
        changes: &Changes<'_>,
        n_redacted: u64,
    ) -> Result<(), sqlx::Error> {
        for originator_id in &changes.redacted {
            let query = self.statements.redact.query();
            S::fetch_all(S::bind_uuid(query, *originator_id), connection).await?;
        }
        if changes.n_redacted != n_redacted {
            let query = self.statements.set_n_redacted.query();
            let query = S::bind_number(query, signed(changes.n_redacted)?);
            S::fetch_all(query, connection).await?;
        }
        Ok(())
    }

    /// Inserts the events: in one statement, unless they are very many or very large.
    async fn insert(
        &self,
        connection: &mut S::Connection,
        changes: &Changes<'_>,
    ) -> Result<(), sqlx::Error> {
        let mut id = changes.first;
        let mut rest: &[Cow<'_, StoredEvent>] = &changes.events;
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

/// Columns: the follower, the epoch, the position, the id of its event.
pub(crate) fn decode_position<S: Server>(row: &S::Row) -> Result<Position, sqlx::Error> {
    let position = Position::new(S::uuid(row, 1)?, unsigned(S::number(row, 2)?)?);
    Ok(position.with_event_id(S::optional_uuid(row, 3)?))
}
