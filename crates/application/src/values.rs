//! Values that are stored apart from the events that name them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_domain::LargeId;
use boxes_recorder::{KeyValueStore, MAX_VALUE_BYTES, Recorder};
use bytes::Bytes;
use jiff::Timestamp;

use crate::{Edge, Error};

/// Values of more bytes than this are stored apart, if nothing else is said: what is smaller costs less in the event.
pub const DEFAULT_LARGE_OVER: usize = 16 * 1024;

/// The largest value, in bytes: what a store takes, less what is written in front of it.
pub const MAX_LARGE_BYTES: usize = MAX_VALUE_BYTES - 1024;

/// A value that is kept again after this time is written again, so that it counts as new: whoever looks for garbage must not
/// take for old what an event is about to name.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// Where values are, by the SHA-256 of their content.
const KIND: &str = "value";
/// Where those are that no event named when somebody looked for garbage. They are found there as well.
const REMOVED: &str = "value-removed";

/// The values of a box, near or far: as they are stored, which may be encrypted.
#[async_trait]
pub trait ValueSource: Debug + Send + Sync + 'static {
    /// A value as it is stored, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if it can't be read now.
    async fn stored_value(&self, id: LargeId) -> Result<Option<Bytes>, Error>;
}

/// The values that a box keeps beside its log, in the same database.
#[derive(Debug, Clone)]
pub struct StoredValues {
    store: Arc<dyn KeyValueStore>,
    edge: Arc<dyn Edge>,
}

impl StoredValues {
    /// Those beside the log that is recorded there; `None` if that engine has no place beside its log.
    #[must_use]
    pub fn of(recorder: &dyn Recorder, edge: Arc<dyn Edge>) -> Option<Self> {
        let store = recorder.key_value_store()?;
        Some(Self { store, edge })
    }

    /// Keeps a value, as it is to be stored. It is durable when this returns.
    pub(crate) async fn keep(&self, id: LargeId, stored: &[u8]) -> Result<(), Error> {
        let now = self.edge.now();
        if let Some(entry) = self.store.get(KIND, id.as_bytes()).await?
            && let Some((kept_on, there)) = read(&entry)
            && there == stored
            && Duration::try_from(now.duration_since(kept_on)).is_ok_and(|age| age < FRESH)
        {
            return Ok(());
        }
        let entry = entry(now, stored);
        Ok(self.store.put(KIND, id.as_bytes(), &entry).await?)
    }

    /// The ids of some values that come after `after`, ascending, with their sizes as stored and when each was last kept.
    pub(crate) async fn some_after(
        &self,
        after: Option<LargeId>,
        removed: bool,
    ) -> Result<Vec<(LargeId, u64, Timestamp)>, Error> {
        let kind = if removed { REMOVED } else { KIND };
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
        let mut some = Vec::new();
        for key in self.store.list_keys(kind, after, 100).await? {
            let Ok(bytes) = <[u8; 32]>::try_from(&*key) else {
                continue;
            };
            // One that somebody takes away meanwhile is not listed any more.
            if let Some(entry) = self.store.get(kind, &key).await?
                && let Some((kept_on, stored)) = read(&entry)
            {
                let size = u64::try_from(stored.len()).unwrap_or(u64::MAX);
                some.push((LargeId::new(bytes), size, kept_on));
            }
        }
        Ok(some)
    }

    /// Puts a value aside, where it is found still: what names it after all gets it back.
    pub(crate) async fn put_aside(&self, id: LargeId) -> Result<(), Error> {
        let Some(found) = self.store.get(KIND, id.as_bytes()).await? else {
            return Ok(());
        };
        if let Some((_, stored)) = read(&found) {
            let aside = entry(self.edge.now(), stored);
            self.store.put(REMOVED, id.as_bytes(), &aside).await?;
        }
        Ok(self.store.delete(KIND, id.as_bytes()).await?)
    }

    /// Puts a value back that was put aside.
    pub(crate) async fn put_back(&self, id: LargeId) -> Result<(), Error> {
        if let Some(aside) = self.store.get(REMOVED, id.as_bytes()).await? {
            self.store.put(KIND, id.as_bytes(), &aside).await?;
        }
        Ok(self.store.erase(REMOVED, id.as_bytes()).await?)
    }

    /// Deletes a value that was put aside, for good.
    pub(crate) async fn delete(&self, id: LargeId) -> Result<(), Error> {
        Ok(self.store.erase(REMOVED, id.as_bytes()).await?)
    }
}

#[async_trait]
impl ValueSource for StoredValues {
    async fn stored_value(&self, id: LargeId) -> Result<Option<Bytes>, Error> {
        for kind in [KIND, REMOVED] {
            if let Some(entry) = self.store.get(kind, id.as_bytes()).await? {
                return Ok(read(&entry).map(|(_, stored)| entry.slice_ref(stored)));
            }
        }
        Ok(None)
    }
}

/// A value with the time at which it was kept, in microseconds.
fn entry(time: Timestamp, stored: &[u8]) -> Vec<u8> {
    [&time.as_microsecond().to_be_bytes(), stored].concat()
}

fn read(entry: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, stored) = entry.split_first_chunk()?;
    let time = Timestamp::from_microsecond(i64::from_be_bytes(*time)).ok()?;
    Some((time, stored))
}
