//! Values that are stored apart from the events that name them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_domain::LargeId;
use boxes_recorder::{MAX_VALUE_BYTES, Recorder};
use bytes::Bytes;
use jiff::Timestamp;

use crate::values_beside_log::ValuesBesideLog;
use crate::{Edge, Error, ValueFolder};

/// Values of more bytes than this are stored apart, if nothing else is said: what is smaller costs less in the event.
pub const DEFAULT_LARGE_OVER: usize = 16 * 1024;

/// The largest value, in bytes: what a store takes, less what is written in front of it.
pub const MAX_LARGE_BYTES: usize = MAX_VALUE_BYTES - 1024;

/// A value that is kept again after this time is written again, so that it counts as new: whoever looks for garbage must not
/// take for old what an event is about to name.
const FRESH: Duration = Duration::from_secs(60 * 60);

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

/// Values that somebody looks for, or keeps: which of the two shelves of a place they lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// Values.
    Kept,
    /// Those that no event named when somebody looked for garbage. They are found there as well.
    Aside,
}

/// A place where values are kept by their ids, on two shelves.
#[async_trait]
pub(crate) trait ValuePlace: Debug + Send + Sync + 'static {
    /// A value as it is stored, and when it was put there.
    async fn get(&self, shelf: Shelf, id: LargeId) -> Result<Option<(Timestamp, Bytes)>, Error>;

    /// How many bytes a value has there, and when it was put there.
    async fn look(&self, shelf: Shelf, id: LargeId) -> Result<Option<(u64, Timestamp)>, Error>;

    /// Puts a value there, in the place of what is there. It is durable when this returns.
    async fn put(
        &self,
        shelf: Shelf,
        id: LargeId,
        now: Timestamp,
        stored: &Bytes,
    ) -> Result<(), Error>;

    /// Takes a value away for good, if it is there.
    async fn take_away(&self, shelf: Shelf, id: LargeId) -> Result<(), Error>;

    /// The ids that come after `after`, ascending, at most so many; fewer only at the end.
    async fn ids_after(
        &self,
        shelf: Shelf,
        after: Option<LargeId>,
        limit: usize,
    ) -> Result<Vec<LargeId>, Error>;

    /// Takes away what somebody began to put there before `limit`, and did not end.
    async fn take_away_unfinished(&self, limit: Timestamp) -> Result<(), Error> {
        let _ = limit;
        Ok(())
    }
}

/// The values that a box keeps: beside its log, in the same database, or in a folder.
#[derive(Debug, Clone)]
pub struct StoredValues {
    /// New values come into the first; in the others is what was kept before.
    places: Arc<[Arc<dyn ValuePlace>]>,
    edge: Arc<dyn Edge>,
}

impl StoredValues {
    /// Those of the box that records there: in the folder, and beside the log what was kept before there was a folder. `None`
    /// without a folder if that engine has no place beside its log.
    #[must_use]
    pub fn of(
        recorder: &dyn Recorder,
        folder: Option<ValueFolder>,
        edge: Arc<dyn Edge>,
    ) -> Option<Self> {
        let mut places: Vec<Arc<dyn ValuePlace>> = Vec::new();
        if let Some(folder) = folder {
            places.push(Arc::new(folder));
        }
        if let Some(store) = recorder.key_value_store() {
            places.push(Arc::new(ValuesBesideLog::new(store)));
        }
        let places = places.into();
        Some(Self { places, edge }).filter(|values| !values.places.is_empty())
    }

    /// Keeps a value, as it is to be stored. It is durable when this returns.
    pub(crate) async fn keep(&self, id: LargeId, stored: &Bytes) -> Result<(), Error> {
        let Some(place) = self.places.first() else {
            return Ok(());
        };
        let now = self.edge.now();
        if let Some((kept_on, there)) = place.get(Shelf::Kept, id).await?
            && there == stored
            && Duration::try_from(now.duration_since(kept_on)).is_ok_and(|age| age < FRESH)
        {
            return Ok(());
        }
        place.put(Shelf::Kept, id, now, stored).await
    }

    /// All places, to look for garbage in.
    pub(crate) fn places(&self) -> impl Iterator<Item = Shelves<'_>> {
        self.places.iter().map(|place| Shelves {
            place: &**place,
            edge: &*self.edge,
        })
    }

    /// Writes all values anew as `rewrite` makes them of what is stored, each in its own place: beside the log `into` for those
    /// beside a log, and where they are for those in a folder. Gives how many there are. Done again, it does no harm.
    ///
    /// # Errors
    ///
    /// Those of `rewrite`, and [`Error::Store`].
    pub async fn rewrite(
        &self,
        into: &Self,
        rewrite: impl Fn(LargeId, &Bytes) -> Result<Bytes, Error>,
    ) -> Result<u64, Error> {
        let mut n_values = 0;
        for (from, into) in self.places.iter().zip(&*into.places) {
            for shelf in [Shelf::Kept, Shelf::Aside] {
                let mut after = None;
                loop {
                    let ids = from.ids_after(shelf, after, PAGE).await?;
                    let Some(last) = ids.last() else { break };
                    after = Some(*last);
                    for id in ids {
                        // One that somebody takes away meanwhile is not there any more.
                        let Some((since, stored)) = from.get(shelf, id).await? else {
                            continue;
                        };
                        let rewritten = rewrite(id, &stored)?;
                        let there = into.get(shelf, id).await?;
                        if there.is_none_or(|(_, there)| there != rewritten) {
                            into.put(shelf, id, since, &rewritten).await?;
                        }
                        n_values += 1;
                    }
                }
            }
        }
        Ok(n_values)
    }
}

/// How many ids are asked for at a time.
pub(crate) const PAGE: usize = 100;

/// The two shelves of one place.
#[derive(Clone, Copy)]
pub(crate) struct Shelves<'a> {
    place: &'a dyn ValuePlace,
    edge: &'a dyn Edge,
}

impl Shelves<'_> {
    /// The ids of some values that come after `after`, ascending, with their sizes as stored and since when they are there; none
    /// at the end.
    pub(crate) async fn some_after(
        self,
        shelf: Shelf,
        after: &mut Option<LargeId>,
    ) -> Result<Vec<(LargeId, u64, Timestamp)>, Error> {
        let mut some = Vec::new();
        while some.is_empty() {
            let ids = self.place.ids_after(shelf, *after, PAGE).await?;
            let Some(last) = ids.last() else { break };
            *after = Some(*last);
            for id in ids {
                // One that somebody takes away meanwhile is not listed any more.
                if let Some((size, since)) = self.place.look(shelf, id).await? {
                    some.push((id, size, since));
                }
            }
        }
        Ok(some)
    }

    /// Puts a value aside, where it is found still: what names it after all gets it back.
    pub(crate) async fn put_aside(self, id: LargeId) -> Result<(), Error> {
        if let Some((_, stored)) = self.place.get(Shelf::Kept, id).await? {
            let now = self.edge.now();
            self.place.put(Shelf::Aside, id, now, &stored).await?;
        }
        self.place.take_away(Shelf::Kept, id).await
    }

    /// Puts a value back that was put aside.
    pub(crate) async fn put_back(self, id: LargeId) -> Result<(), Error> {
        if let Some((since, stored)) = self.place.get(Shelf::Aside, id).await? {
            self.place.put(Shelf::Kept, id, since, &stored).await?;
        }
        self.delete(id).await
    }

    /// Deletes a value that was put aside, for good.
    pub(crate) async fn delete(self, id: LargeId) -> Result<(), Error> {
        self.place.take_away(Shelf::Aside, id).await
    }

    /// Deletes what somebody began to keep before `limit` and did not end.
    pub(crate) async fn delete_unfinished(self, limit: Timestamp) -> Result<(), Error> {
        self.place.take_away_unfinished(limit).await
    }
}

#[async_trait]
impl ValueSource for StoredValues {
    async fn stored_value(&self, id: LargeId) -> Result<Option<Bytes>, Error> {
        for place in &*self.places {
            // In this order: what is put aside is there before it is gone from where it was kept.
            for shelf in [Shelf::Kept, Shelf::Aside] {
                if let Some((_, stored)) = place.get(shelf, id).await? {
                    return Ok(Some(stored));
                }
            }
        }
        Ok(None)
    }
}
