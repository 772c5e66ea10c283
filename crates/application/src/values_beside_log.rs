//! Values in the database of the log.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_domain::LargeId;
use boxes_recorder::KeyValueStore;
use bytes::Bytes;
use jiff::Timestamp;

use crate::Error;
use crate::values::{Shelf, ValuePlace};

/// Values in the key-value store beside a log, a kind for each shelf.
#[derive(Debug)]
pub(crate) struct ValuesBesideLog(Arc<dyn KeyValueStore>);

impl ValuesBesideLog {
    pub(crate) fn new(store: Arc<dyn KeyValueStore>) -> Self {
        Self(store)
    }
}

const fn kind(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Kept => "value",
        Shelf::Aside => "value-removed",
    }
}

#[async_trait]
impl ValuePlace for ValuesBesideLog {
    async fn get(&self, shelf: Shelf, id: LargeId) -> Result<Option<(Timestamp, Bytes)>, Error> {
        let entry = self.0.get(kind(shelf), id.as_bytes()).await?;
        Ok(entry.as_ref().and_then(read))
    }

    async fn look(&self, shelf: Shelf, id: LargeId) -> Result<Option<(u64, Timestamp)>, Error> {
        let found = self.get(shelf, id).await?;
        Ok(found.map(|(since, stored)| (u64::try_from(stored.len()).unwrap_or(u64::MAX), since)))
    }

    async fn put(
        &self,
        shelf: Shelf,
        id: LargeId,
        now: Timestamp,
        stored: &Bytes,
    ) -> Result<(), Error> {
        let entry = [&now.as_microsecond().to_be_bytes(), &**stored].concat();
        Ok(self.0.put(kind(shelf), id.as_bytes(), &entry).await?)
    }

    async fn take_away(&self, shelf: Shelf, id: LargeId) -> Result<(), Error> {
        match shelf {
            // It is aside already.
            Shelf::Kept => Ok(self.0.delete(kind(shelf), id.as_bytes()).await?),
            Shelf::Aside => Ok(self.0.erase(kind(shelf), id.as_bytes()).await?),
        }
    }

    async fn ids_after(
        &self,
        shelf: Shelf,
        after: Option<LargeId>,
        limit: usize,
    ) -> Result<Vec<LargeId>, Error> {
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let keys = self.0.list_keys(kind(shelf), after, limit).await?;
        let ids = keys
            .iter()
            .filter_map(|key| <[u8; 32]>::try_from(&**key).ok());
        Ok(ids.map(LargeId::new).collect())
    }
}

/// An entry: the time since when it is there, in microseconds, and the value.
fn read(entry: &Bytes) -> Option<(Timestamp, Bytes)> {
    let (time, stored) = entry.split_first_chunk()?;
    let time = Timestamp::from_microsecond(i64::from_be_bytes(*time)).ok()?;
    Some((time, entry.slice_ref(stored)))
}
