//! The data keys of a log: where they are stored, and those that are at hand.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use boxes_mapper::{
    DataKey, DataKeyError, DataKeyring, Key, KeyId, KeyProvider, MapperError, WrappedDataKeys,
};
use boxes_recorder::{KeyValueStore, Recorder, RecorderError};

use crate::{Edge, Error};

/// The kind of the entry next to the log, and its key: there is one.
const KIND: &str = "data-key";
const OF_LOG: &[u8] = b"log";

/// How often an entry that others change at the same time is looked at again.
const MAX_ATTEMPTS: u32 = 5;

/// Where the wrapped data keys of a log come from: a store, or the service that publishes the log.
#[async_trait]
pub trait DataKeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys as they are stored; `None` if the log has none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they can't be read now.
    async fn wrapped(&self) -> Result<Option<WrappedDataKeys>, Error>;
}

/// The data keys of one log, unwrapped with configured keys. Clones are the same.
///
/// A log has a key of its own with which its events are encrypted, stored next to it and wrapped by a configured key. To take
/// another configured key is to [wrap it again](Self::rewrap): no event changes, and so no page, seal, value or public log. A log
/// that gets a new epoch gets a further data key for what is recorded from then on.
#[derive(Clone)]
pub struct DataKeys {
    log: Arc<str>,
    by: Arc<dyn KeyProvider>,
    source: Arc<dyn DataKeySource>,
    ring: Arc<Ring>,
}

#[derive(Default)]
struct Ring(RwLock<Vec<DataKey>>);

impl DataKeys {
    /// The data keys of the log of `recorder`, made if it has none yet; `None` if the store has no place for them.
    ///
    /// # Errors
    ///
    /// - [`Error::Mapper`] with a [`DataKeyError`] if they can't be unwrapped: the configured keys are others than those of the log.
    /// - [`Error::Store`] if they can't be read or stored now.
    pub async fn open(
        recorder: &dyn Recorder,
        by: Arc<dyn KeyProvider>,
        edge: &dyn Edge,
    ) -> Result<Option<Self>, Error> {
        let Some(store) = recorder.key_value_store() else {
            return Ok(None);
        };
        for _ in 0..MAX_ATTEMPTS {
            let stored = StoredDataKeys::read(&*store).await?;
            let mut keys = stored.unwrapped(recorder, &*by)?;
            if keys
                .last()
                .is_none_or(|newest| newest.epoch != recorder.log().epoch)
            {
                keys.push(new_key(recorder, &keys, edge).await?);
                if !stored.replace(recorder, &keys, &*by, edge).await? {
                    continue;
                }
            }
            let source = Arc::new(StoreSource(Arc::clone(&store)));
            let found = Self::of(&recorder.log().name, by, source);
            found.ring.replace(keys);
            return Ok(Some(found));
        }
        Err(changed_by_others(recorder))
    }

    /// The data keys of another log, which are fetched when they are needed first.
    #[must_use]
    pub fn of(log: &str, by: Arc<dyn KeyProvider>, source: Arc<dyn DataKeySource>) -> Self {
        Self {
            log: log.into(),
            by,
            source,
            ring: Arc::default(),
        }
    }

    /// For a mapper.
    #[must_use]
    pub fn ring(&self) -> Arc<dyn DataKeyring> {
        Arc::<Ring>::clone(&self.ring)
    }

    /// Fetches the keys again.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        if let Some(wrapped) = self.source.wrapped().await? {
            let keys = wrapped.unwrap_with(&self.log, &*self.by);
            self.ring.replace(keys.map_err(MapperError::from)?);
        }
        Ok(())
    }

    /// The keys of the log of `recorder` as they are stored, which is encrypted; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they can't be read now.
    pub async fn stored(recorder: &dyn Recorder) -> Result<Option<WrappedDataKeys>, Error> {
        match recorder.key_value_store() {
            Some(store) => StoreSource(store).wrapped().await,
            None => Ok(None),
        }
    }

    /// Stores data keys that another log has, in a log that has none yet and that holds copies of what they encrypted.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they can't be stored now.
    pub async fn copy(keys: &WrappedDataKeys, into: &dyn Recorder) -> Result<(), Error> {
        if let Some(store) = into.key_value_store() {
            store.put(KIND, OF_LOG, keys.as_bytes()).await?;
        }
        Ok(())
    }

    /// Wraps the data keys of a log with the current configured key, all of them in one write; says whether there was anything to
    /// do. With `successor` the log gets a further data key for what is recorded from then on: if one was disclosed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn rewrap(
        recorder: &dyn Recorder,
        by: &dyn KeyProvider,
        edge: &dyn Edge,
        successor: bool,
    ) -> Result<bool, Error> {
        let Some(store) = recorder.key_value_store() else {
            return Ok(false);
        };
        for _ in 0..MAX_ATTEMPTS {
            let stored = StoredDataKeys::read(&*store).await?;
            let mut keys = stored.unwrapped(recorder, by)?;
            let is_current = stored.is_wrapped_by_current(by);
            if keys.is_empty() || (is_current && !successor) {
                return Ok(false);
            }
            if successor {
                keys.push(new_key(recorder, &keys, edge).await?);
            }
            if stored.replace(recorder, &keys, by, edge).await? {
                // The former form is of use to one who has the former key.
                store.erase(KIND, b"replaced").await?;
                return Ok(true);
            }
        }
        Err(changed_by_others(recorder))
    }
}

fn changed_by_others(recorder: &dyn Recorder) -> Error {
    let log = &recorder.log().name;
    RecorderError::Unavailable {
        reason: format!("storing the data key of the log `{log}`: others keep changing it"),
        source: None,
    }
    .into()
}

async fn new_key(
    recorder: &dyn Recorder,
    before: &[DataKey],
    edge: &dyn Edge,
) -> Result<DataKey, Error> {
    let newest = before.last().map_or(0, |newest| newest.id.0);
    let secret = zeroize::Zeroizing::new(secret(edge)?);
    Ok(DataKey {
        id: KeyId(newest.saturating_add(1)),
        epoch: recorder.log().epoch,
        after: recorder.head().await?,
        key: Key::new(&secret),
    })
}

fn secret(edge: &dyn Edge) -> Result<[u8; 32], Error> {
    let secret = edge.new_secret();
    Ok(secret.map_err(|error| {
        RecorderError::unavailable("making a key: the system gives no randomness", error)
    })?)
}

/// What a store has, as it was read.
struct StoredDataKeys<'a> {
    store: &'a dyn KeyValueStore,
    found: Option<WrappedDataKeys>,
}

impl<'a> StoredDataKeys<'a> {
    async fn read(store: &'a dyn KeyValueStore) -> Result<Self, Error> {
        let found = store.get(KIND, OF_LOG).await?;
        let found = found.map(|bytes| WrappedDataKeys::from_bytes(&bytes));
        Ok(Self { store, found })
    }

    fn unwrapped(
        &self,
        recorder: &dyn Recorder,
        by: &dyn KeyProvider,
    ) -> Result<Vec<DataKey>, Error> {
        let Some(found) = &self.found else {
            return Ok(Vec::new());
        };
        let keys = found.unwrap_with(&recorder.log().name, by);
        Ok(keys.map_err(MapperError::from)?)
    }

    fn is_wrapped_by_current(&self, by: &dyn KeyProvider) -> bool {
        self.found
            .as_ref()
            .is_some_and(|found| found.are_current(by))
    }

    /// Stores these keys in the place of what was read, unless others have changed it since.
    async fn replace(
        &self,
        recorder: &dyn Recorder,
        keys: &[DataKey],
        by: &dyn KeyProvider,
        edge: &dyn Edge,
    ) -> Result<bool, Error> {
        let nonce = || -> Result<[u8; 12], NonceOrKey> {
            let secret = secret(edge).map_err(NonceOrKey::Nonce)?;
            Ok(secret.first_chunk().copied().unwrap_or_default())
        };
        let wrapped = WrappedDataKeys::wrap(&recorder.log().name, keys, by, nonce);
        let wrapped = wrapped.map_err(NonceOrKey::into_error)?;
        let (store, bytes) = (self.store, wrapped.as_bytes());
        Ok(match &self.found {
            None => store.put_if_absent(KIND, OF_LOG, bytes).await?,
            Some(found) => store.replace(KIND, OF_LOG, found.as_bytes(), bytes).await?,
        })
    }
}

enum NonceOrKey {
    Nonce(Error),
    Key(DataKeyError),
}

impl From<DataKeyError> for NonceOrKey {
    fn from(error: DataKeyError) -> Self {
        Self::Key(error)
    }
}

impl NonceOrKey {
    fn into_error(self) -> Error {
        match self {
            Self::Nonce(error) => error,
            Self::Key(error) => MapperError::from(error).into(),
        }
    }
}

#[derive(Debug)]
struct StoreSource(Arc<dyn KeyValueStore>);

#[async_trait]
impl DataKeySource for StoreSource {
    async fn wrapped(&self) -> Result<Option<WrappedDataKeys>, Error> {
        let found = self.0.get(KIND, OF_LOG).await?;
        Ok(found.map(|bytes| WrappedDataKeys::from_bytes(&bytes)))
    }
}

impl Ring {
    fn replace(&self, keys: Vec<DataKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn find(&self, find: impl FnOnce(&[DataKey]) -> Option<&DataKey>) -> Option<DataKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        find(&keys).cloned()
    }
}

impl DataKeyring for Ring {
    fn current(&self) -> Option<DataKey> {
        self.find(<[DataKey]>::last)
    }

    fn first(&self) -> Option<DataKey> {
        self.find(<[DataKey]>::first)
    }

    fn key(&self, id: KeyId) -> Option<DataKey> {
        self.find(|keys| keys.iter().find(|key| key.id == id))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_keys = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Ring").field("n_keys", &n_keys).finish()
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKeys")
            .field("log", &self.log)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
