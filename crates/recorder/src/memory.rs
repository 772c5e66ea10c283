//! A recorder in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::memory_key_value_store::Kinds;
use crate::{
    Admission, Append, Appended, Changes, KeyValueStore, LogIdentity, MemoryKeyValueStore,
    Notification, Position, Recorder, RecorderError, StoredEvent, StreamRange,
};

/// A store in the memory of this process: for tests, and for boxes whose past may end with the process.
///
/// It keeps the contract of every other recorder, except that nothing outlives the process. Clones work on the
/// same store, as several recorders on one database do.
#[derive(Clone)]
pub struct MemoryRecorder {
    log: LogIdentity,
    store: Arc<RwLock<Store>>,
    key_values: MemoryKeyValueStore,
}

#[derive(Default)]
struct Store {
    /// The event with id n is at n - 1.
    events: Vec<StoredEvent>,
    /// For each aggregate where its events are in `events`; version v is at v - 1.
    streams: HashMap<Uuid, Vec<usize>>,
    positions: HashMap<String, Position>,
    /// How many of `events` are redacted.
    n_redacted: u64,
}

impl MemoryRecorder {
    /// An empty store of this log.
    #[must_use]
    pub fn new(log: LogIdentity) -> Self {
        Self {
            log,
            store: Arc::default(),
            key_values: MemoryKeyValueStore::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Store> {
        // Nothing in this file panics between two steps of a change, so a poisoned lock guards a whole store.
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn admission(&self, kinds: &Kinds, batch: &[Append]) -> Admission {
        let mut admission = Admission::new(self.head(), self.n_redacted);
        for append in batch {
            for originator_id in append.originator_ids() {
                if let Some(stream) = self.streams.get(&originator_id) {
                    admission.set_version(originator_id, as_u64(stream.len()));
                    if self.is_deleted(stream) {
                        admission.set_deleted(originator_id);
                    }
                }
            }
            for write in &append.key_values {
                let entries = kinds.get(&*write.space);
                if let Some(value) = entries.and_then(|entries| entries.get(&write.key)) {
                    admission.set_value(&*write.space, write.key.clone(), value.clone());
                }
            }
            if let Some(step) = &append.tracking
                && let Some(position) = self.positions.get(&step.follower)
            {
                admission.set_position(step.follower.clone(), *position);
            }
        }
        admission
    }

    fn apply(&mut self, changes: Changes<'_>, kinds: &mut Kinds) {
        for originator_id in changes.redacted {
            self.redact(originator_id);
        }
        for event in changes.events {
            self.streams
                .entry(event.originator_id)
                .or_default()
                .push(self.events.len());
            self.events.push(StoredEvent {
                occurred_on: whole_microseconds(event.occurred_on),
                ..event.into_owned()
            });
        }
        self.n_redacted = changes.n_redacted;
        for (follower, position) in changes.positions {
            self.positions.insert(follower.to_owned(), position);
        }
        for ((kind, key), value) in changes.key_values {
            let entries = kinds.entry(kind.to_owned()).or_default();
            match value {
                Some(value) => entries.insert(Bytes::copy_from_slice(key), value.clone()),
                None => entries.remove(key),
            };
        }
    }

    fn redact(&mut self, originator_id: Uuid) {
        for place in self.streams.get(&originator_id).into_iter().flatten() {
            if let Some(event) = self.events.get_mut(*place) {
                *event = event.to_redacted();
            }
        }
    }

    fn head(&self) -> u64 {
        as_u64(self.events.len())
    }

    /// All events of a stream are redacted, or none.
    fn is_deleted(&self, stream: &[usize]) -> bool {
        let first = stream.first().and_then(|place| self.events.get(*place));
        first.is_some_and(StoredEvent::is_redacted)
    }

    fn range(&self, first: u64, limit: u64) -> &[StoredEvent] {
        let start = as_index(first.max(1) - 1);
        let end = start.saturating_add(as_index(limit)).min(self.events.len());
        self.events.get(start..end).unwrap_or_default()
    }
}

#[async_trait]
impl Recorder for MemoryRecorder {
    fn log(&self) -> &LogIdentity {
        &self.log
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = self.key_values.write();
        let mut admission = store.admission(&kinds, batch);
        let outcomes: Vec<_> = batch.iter().map(|append| admission.admit(append)).collect();
        store.apply(admission.changes(batch, &outcomes), &mut kinds);
        Ok(outcomes)
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        let store = self.read();
        let Some(stream) = store.streams.get(&originator_id) else {
            return Ok(Vec::new());
        };
        if store.is_deleted(stream) {
            return Err(RecorderError::StreamDeleted { originator_id });
        }
        let start = as_index(range.after);
        let end = as_index(range.until).min(stream.len());
        let places = stream.get(start..end).unwrap_or_default().iter();
        let (since, until) = range.microseconds();
        let is_in =
            |event: &&StoredEvent| (since..=until).contains(&event.occurred_on.as_microsecond());
        let event = |place: &usize| store.events.get(*place).filter(is_in).cloned();
        let limit = as_index(range.limit);
        Ok(if range.descending {
            places.rev().filter_map(event).take(limit).collect()
        } else {
            places.filter_map(event).take(limit).collect()
        })
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        // Without an index: it is asked for seldom, and here it costs each append more than it spares.
        let store = self.read();
        let found = (1..).zip(&store.events);
        let mut found = found.filter(|(_, event)| event.event_id == event_id);
        Ok(found.next().map(|(id, event)| Notification {
            id,
            event: event.clone(),
        }))
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        let store = self.read();
        Ok(store
            .range(first, limit)
            .iter()
            .zip(first.max(1)..)
            .map(|(event, id)| Notification {
                id,
                event: event.clone(),
            })
            .collect())
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        Ok(self.read().n_redacted)
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        let n_ids = last.saturating_add(1).saturating_sub(first.max(1));
        let store = self.read();
        let redacted = store.range(first, n_ids).iter();
        Ok(as_u64(redacted.filter(|event| event.is_redacted()).count()))
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        Ok(self.read().head())
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        Ok(self.read().positions.get(follower).copied())
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        Some(Arc::new(self.key_values.clone()))
    }
}

impl fmt::Debug for MemoryRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRecorder")
            .field("log", &self.log)
            .field("head", &self.read().head())
            .finish()
    }
}

fn whole_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// An index that is certainly past the end where `usize` is too small for it.
fn as_index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
