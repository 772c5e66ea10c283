//! A log is copied, encrypted and compressed as its box does that now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use boxes_application::{StoredSubjectKeys, StoredValues, copy_unfinished};
use boxes_mapper::{Mapper, MapperError, StateKey};
use boxes_recorder::{
    Append, Encoding, Notification, Position, Recorder, RecorderError, StoredEvent, Tracking,
};
use bytes::Bytes;
use thiserror::Error;
use uuid::Uuid;

use crate::log_copy::{CopiedLog, LogCopy};

/// How many events are read, and recorded in one transaction, at a time.
const BATCH: u64 = 100;

/// Why there is no copy. What was stored of it stays, and is never served.
#[derive(Debug, Error)]
pub(crate) enum ReencryptError {
    #[error(
        "the store that was named for the copy is that of the log itself, under another name: name another, which is made"
    )]
    Same,
    #[error(
        "the store that was named for the copy holds events already: name another, which is made"
    )]
    NotEmpty,
    #[error(
        "the store that was named for the copy holds an unfinished one, from a run that was interrupted: remove it, and run this again"
    )]
    Unfinished,
    #[error(
        "the store that was named for the copy holds a finished one, of the log as it was at event {head} with {n_redacted} redacted: nothing is added to it. Remove it, or name another"
    )]
    Finished { head: u64, n_redacted: u64 },
    #[error("event {id} can't be read with the keys that are configured, or can't be stored")]
    Mapper { id: u64, source: MapperError },
    #[error("the events from {first} to {last} can't be stored")]
    Refused {
        first: u64,
        last: u64,
        source: RecorderError,
    },
    #[error("the log ends before event {id}, which was there a moment ago")]
    Cut { id: u64 },
    #[error(
        "the box was not stopped: it recorded, deleted or forgot something while its log was copied. Stop it, remove the copy, and run this again"
    )]
    Changed,
    #[error("event {id} of the copy is not that of the log")]
    Different { id: u64 },
    #[error("the keys of subjects can't be copied")]
    Keys(#[source] boxes_application::Error),
    #[error("the values that are stored outside of events can't be copied")]
    Values(#[source] boxes_application::Error),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

/// What the copy has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reencrypted {
    /// Events in the new log.
    pub(crate) head: u64,
    pub(crate) keys: EventsByKey,
    /// Keys of subjects in the new store.
    pub(crate) n_keys: u64,
    /// Values that are stored outside of the events that name them, in the new store or in the folder of both.
    pub(crate) n_values: u64,
}

/// How many events are encrypted with which key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EventsByKey {
    by_key: BTreeMap<Option<StateKey>, u64>,
    n_redacted: u64,
}

/// Both stores, and what is written how.
pub(crate) struct Copying<'a> {
    pub(crate) source: &'a dyn Recorder,
    pub(crate) target: &'a dyn Recorder,
    /// Reads what either log has, and writes for the target.
    pub(crate) mapper: &'a Mapper,
    /// The logs that the box follows.
    pub(crate) followed: Vec<&'a str>,
    pub(crate) values: Option<(StoredValues, StoredValues)>,
}

/// What must not change while a log is copied.
#[derive(PartialEq, Eq)]
struct Fixed {
    head: u64,
    n_redacted: u64,
    forgetting: Vec<u8>,
    positions: Vec<(String, Position)>,
}

/// Holds that a copy may be made there, and records with what it was begun.
pub(crate) async fn begin(
    source: &dyn Recorder,
    target: &dyn Recorder,
) -> Result<(), ReencryptError> {
    if source.log().epoch == target.log().epoch {
        return Err(ReencryptError::Same);
    }
    match LogCopy::of(target).await? {
        Some(LogCopy::Finished(copied)) => {
            let CopiedLog {
                head, n_redacted, ..
            } = copied;
            return Err(ReencryptError::Finished { head, n_redacted });
        }
        Some(LogCopy::Begun(_)) => return Err(ReencryptError::Unfinished),
        Some(LogCopy::Left { .. }) => return Err(ReencryptError::NotEmpty),
        None if target.head().await? > 0 => return Err(ReencryptError::NotEmpty),
        None => {}
    }
    LogCopy::Begun(copied(source).await?).store(target).await?;
    Ok(())
}

async fn copied(source: &dyn Recorder) -> Result<CopiedLog, RecorderError> {
    Ok(CopiedLog {
        epoch: source.log().epoch,
        head: source.head().await?,
        n_redacted: source.n_redacted().await?,
    })
}

impl Copying<'_> {
    /// Stores the events of the source in the target, under the same ids, as the mapper writes them now, with the keys of
    /// subjects, the values and the positions that belong to them; deletes in the copy what was deleted in the source; compares
    /// both; and at last marks the source as replaced. `progress` receives the number of events that are done, batch by batch.
    pub(crate) async fn run(
        &self,
        mut progress: impl FnMut(u64),
    ) -> Result<Reencrypted, ReencryptError> {
        let (source, target) = (self.source, self.target);
        let fixed = self.fixed().await?;
        let n_keys = self.copy_keys().await?;
        let deleted = self.copy_events(fixed.head, &mut progress).await?;
        let n_values = self.copy_values().await?;
        // One at the beginning of a log is none.
        for (follower, position) in fixed.positions.iter().filter(|(_, at)| at.id > 0) {
            let step = Tracking {
                follower: follower.clone(),
                epoch: position.epoch,
                from: None,
                to: position.id,
                event_id: position.event_id,
            };
            record(target, Append::default().with_tracking(step)).await?;
        }
        for originator_id in deleted {
            target.delete_stream(originator_id).await?;
        }
        let keys = self.compare(fixed.head).await?;
        if self.fixed().await? != fixed || target.n_redacted().await? != fixed.n_redacted {
            return Err(ReencryptError::Changed);
        }
        // In this order: there is no moment in which both may be served.
        let copy = target.log().epoch;
        LogCopy::Left { copy }.store(source).await?;
        let copied = copied(source).await?;
        LogCopy::Finished(copied).store(target).await?;
        Ok(Reencrypted {
            head: fixed.head,
            keys,
            n_keys,
            n_values,
        })
    }

    async fn fixed(&self) -> Result<Fixed, ReencryptError> {
        let mut positions = Vec::new();
        for follower in &self.followed {
            if let Some(position) = self.source.tracking(follower).await? {
                positions.push(((*follower).to_owned(), position));
            }
        }
        Ok(Fixed {
            head: self.source.head().await?,
            n_redacted: self.source.n_redacted().await?,
            forgetting: match self.source.key_value_store() {
                Some(store) => StoredSubjectKeys::new(store)
                    .forgetting_mark()
                    .await
                    .map_err(ReencryptError::Keys)?,
                None => Vec::new(),
            },
            positions,
        })
    }

    /// Gives the streams that were deleted. What is left of their events is recorded as events that say nothing, and deleted in
    /// the copy at last: only a deletion makes an event redacted.
    async fn copy_events(
        &self,
        head: u64,
        progress: &mut impl FnMut(u64),
    ) -> Result<BTreeSet<Uuid>, ReencryptError> {
        let mut deleted = BTreeSet::new();
        let mut done = 0;
        while done < head {
            let read = self.read(self.source, done, head).await?;
            let (first, last) = (done.saturating_add(1), end(&read, done)?);
            let mut events = Vec::with_capacity(read.len());
            for item in &read {
                if item.event.is_redacted() {
                    deleted.insert(item.event.originator_id);
                    events.push(StoredEvent {
                        encoding: Encoding::JSON,
                        state: Bytes::from_static(b"{}"),
                        ..item.event.clone()
                    });
                    continue;
                }
                let rewritten = self.mapper.rewrite(&item.event);
                let id = item.id;
                events.push(rewritten.map_err(|source| ReencryptError::Mapper { id, source })?);
            }
            let refused = |source| ReencryptError::Refused {
                first,
                last,
                source,
            };
            record(self.target, Append::new(events))
                .await
                .map_err(refused)?;
            done = last;
            progress(done);
        }
        Ok(deleted)
    }

    async fn read(
        &self,
        recorder: &dyn Recorder,
        done: u64,
        head: u64,
    ) -> Result<Vec<Notification>, ReencryptError> {
        let limit = BATCH.min(head.saturating_sub(done));
        Ok(recorder
            .select_notifications(done.saturating_add(1), limit)
            .await?)
    }

    /// Holds that both logs tell the same, and that the copy is encrypted as the mapper does it; counts by key.
    async fn compare(&self, head: u64) -> Result<EventsByKey, ReencryptError> {
        let mut counted = EventsByKey::default();
        let mut done = 0;
        while done < head {
            let ones = self.read(self.source, done, head).await?;
            let others = self.read(self.target, done, head).await?;
            for (place, one) in ones.iter().enumerate() {
                let id = one.id;
                let different = || ReencryptError::Different { id };
                let other = others.get(place).ok_or_else(different)?;
                if around(one) != around(other) {
                    return Err(different());
                }
                if other.event.is_redacted() {
                    counted.n_redacted = counted.n_redacted.saturating_add(1);
                    continue;
                }
                let mapped = |source| ReencryptError::Mapper { id, source };
                let one = self.mapper.read_plain(&one.event).map_err(mapped)?;
                let copy = self.mapper.read_plain(&other.event).map_err(mapped)?;
                if one != copy {
                    return Err(different());
                }
                let key = Mapper::key_of(&other.event);
                let n = counted.by_key.entry(key).or_default();
                *n = n.saturating_add(1);
            }
            done = end(&ones, done)?;
        }
        Ok(counted)
    }

    async fn copy_values(&self) -> Result<u64, ReencryptError> {
        let Some((from, into)) = &self.values else {
            return Ok(0);
        };
        let rewrite = |id, stored: &Bytes| {
            // What a data key encrypts stays as it is: the copy has that key, and a folder may be that of both.
            if Mapper::key_of_value(stored).is_some_and(|key| matches!(key, StateKey::Data(_))) {
                return Ok(stored.clone());
            }
            let content = self.mapper.read_value(id, stored)?;
            Ok(self.mapper.write_value_for_copy(id, content)?)
        };
        from.rewrite(into, rewrite)
            .await
            .map_err(ReencryptError::Values)
    }

    /// The keys of subjects that are stored next to the events, and those that are still to be forgotten.
    async fn copy_keys(&self) -> Result<u64, ReencryptError> {
        let stores = (self.source.key_value_store(), self.target.key_value_store());
        let (Some(from), Some(into)) = stores else {
            return Ok(0);
        };
        copy_unfinished(&*from, &*into).await?;
        let keys = |store| {
            let keys = StoredSubjectKeys::new(store);
            match self.mapper.keys() {
                Some(wrapping) => keys.wrapped_by(wrapping),
                None => keys,
            }
        };
        let copied = keys(from).copy_into(&keys(into)).await;
        copied.map_err(ReencryptError::Keys)
    }
}

/// What a copy leaves as it is.
fn around(item: &Notification) -> (u64, StoredEvent) {
    let event = StoredEvent {
        encoding: match item.event.is_redacted() {
            true => Encoding::REDACTED,
            false => Encoding::JSON,
        },
        state: Bytes::new(),
        ..item.event.clone()
    };
    (item.id, event)
}

fn end(read: &[Notification], done: u64) -> Result<u64, ReencryptError> {
    let last = read.last().map(|last| last.id);
    let expected = done.saturating_add(u64::try_from(read.len()).unwrap_or(u64::MAX));
    last.filter(|last| *last == expected)
        .ok_or(ReencryptError::Cut {
            id: done.saturating_add(1),
        })
}

async fn record(target: &dyn Recorder, append: Append) -> Result<(), RecorderError> {
    let outcomes = target.record(&[append]).await?;
    outcomes
        .into_iter()
        .try_for_each(|outcome| outcome.map(drop))
}

impl fmt::Display for EventsByKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_keys = self.by_key.iter().map(|(key, n)| match key {
            None => format!("{n} in the clear"),
            Some(StateKey::Data(id)) => format!("{n} encrypted with data key {id}"),
            Some(StateKey::Configured(id)) => format!("{n} encrypted with key {id}"),
        });
        let redacted = (self.n_redacted > 0).then(|| format!("{} redacted", self.n_redacted));
        let parts: Vec<String> = of_keys.chain(redacted).collect();
        match parts.as_slice() {
            [] => write!(f, "none"),
            parts => write!(f, "{}", parts.join(", ")),
        }
    }
}
