//! Where the keys of subjects are kept.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use boxes_domain::Subject;
use boxes_mapper::{Key, KeyProvider, MapperError, SubjectKey, SubjectKeyId};
use boxes_recorder::{KeyValueStore, RecorderError};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Edge, Error, SystemEdge};

/// The longest name of a subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 200;

/// How often a key that others take away at the same time is looked for again.
const MAX_ATTEMPTS: u32 = 5;

/// How many ids of one subject are read at a time; there is one, unless several were made at once.
const IDS_PER_READ: usize = 4;

/// How many keys are copied at a time.
const COPIED_AT_A_TIME: u64 = 100;

/// Which ids belong to a subject. The id is part of the entry's key, so that taking one away never takes another, which
/// somebody made meanwhile and which would then be out of reach for ever.
pub(crate) const SUBJECT: &str = "subject";

/// The key of an id, or that it is forgotten.
pub(crate) const SUBJECT_KEY: &str = "subject-key";

/// What changes with each forgetting.
pub(crate) const FORGETTING: &str = "forgetting";
pub(crate) const LAST: &[u8] = b"last";

/// Where the keys of subjects are kept: in the database of the box if nothing else is said, see [`StoredSubjectKeys`].
///
/// It is asked for what is not [at hand](crate::SubjectKeys), so it may wait.
#[async_trait]
pub trait SubjectKeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The key of a subject, made if there is none: also after it was forgotten, then another one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the name can't be one, or keys can't be reached now.
    async fn key_of(&self, subject: &Subject) -> Result<(SubjectKeyId, Key), Error>;

    /// The key of this id, or that it is forgotten; `None` if there never was one here.
    ///
    /// # Errors
    ///
    /// - [`Error::Store`] if keys can't be reached now.
    /// - [`Error::Mapper`] if what is kept of it is of no use.
    async fn key(&self, id: SubjectKeyId) -> Result<Option<SubjectKey>, Error>;

    /// Whether a subject has a key: whether there would be anything to [forget](Self::forget). One that can't tell says yes.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the name can't be one, or keys can't be reached now.
    async fn is_known(&self, subject: &Subject) -> Result<bool, Error> {
        check(subject)?;
        Ok(true)
    }

    /// Deletes the key of a subject for good, and says whether there was one. Remembers of its id that it is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now: do it again, also where a part of it was done.
    async fn forget(&self, subject: &Subject) -> Result<bool, Error>;

    /// Something that is different once any subject was forgotten, by whomever: who keeps keys at hand looks at it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now.
    async fn forgetting(&self) -> Result<Vec<u8>, Error>;
}

/// Keys of subjects in a [`KeyValueStore`], and what other stores have of them.
///
/// Each key is random, made when something is first said about its subject, and encrypted with the current
/// [key](KeyProvider) of the box if it has keys. Several boxes, in several processes, may share one store: a subject has
/// one key then.
#[derive(Clone)]
pub struct StoredSubjectKeys {
    store: Arc<dyn KeyValueStore>,
    /// All stores, this one first.
    all: Arc<RwLock<Vec<Arc<dyn KeyValueStore>>>>,
    wrapping: Option<Arc<dyn KeyProvider>>,
    edge: Arc<dyn Edge>,
}

impl StoredSubjectKeys {
    /// Keys that are made in this store.
    #[must_use]
    pub fn new(store: Arc<dyn KeyValueStore>) -> Self {
        Self {
            all: Arc::new(RwLock::new(vec![Arc::clone(&store)])),
            store,
            wrapping: None,
            edge: Arc::new(SystemEdge),
        }
    }

    /// Encrypts keys with these, where they are kept. What is kept in the clear is read as well.
    #[must_use]
    pub fn wrapped_by(mut self, keys: Arc<dyn KeyProvider>) -> Self {
        self.wrapping = Some(keys);
        self
    }

    /// Takes ids and randomness from there.
    #[must_use]
    pub fn with_edge(mut self, edge: Arc<dyn Edge>) -> Self {
        self.edge = edge;
        self
    }

    /// Looks for keys in these stores, too, and forgets there what is to be forgotten: those of the other boxes of a
    /// program, whose events this one reads. Whoever holds the list may add to it.
    #[must_use]
    pub fn looking_in(mut self, all: Arc<RwLock<Vec<Arc<dyn KeyValueStore>>>>) -> Self {
        self.all = all;
        self
    }

    /// Copies the keys of this store into that of `into`, encrypted as they are there, and forgets there who is forgotten
    /// here. Says how many keys there are. May be done again, and goes on with what has changed since.
    ///
    /// For a store that is to take the place of this one; while it is copied nobody should be forgotten.
    ///
    /// # Errors
    ///
    /// - [`Error::Store`] if keys can't be reached now.
    /// - [`Error::Mapper`] if a key that is kept here can't be read.
    pub async fn copy_into(&self, into: &Self) -> Result<u64, Error> {
        let mut n_keys = 0;
        let mut after = Vec::new();
        loop {
            let ids = self
                .store
                .list_keys(SUBJECT_KEY, &after, COPIED_AT_A_TIME)
                .await?;
            let Some(last) = ids.last() else { break };
            after = last.to_vec();
            for entry_key in ids {
                let Ok(id) = Uuid::from_slice(&entry_key).map(SubjectKeyId) else {
                    continue;
                };
                let Some(key) = self.kept(&*self.store, id).await? else {
                    continue;
                };
                let bytes = key
                    .to_bytes(id, into.wrapping())
                    .map_err(MapperError::from)?;
                into.store
                    .put(SUBJECT_KEY, &entry_key, &Zeroizing::new(bytes))
                    .await?;
                n_keys += u64::from(matches!(key, SubjectKey::Key(_)));
            }
        }
        copy_entries(&*self.store, &*into.store).await?;
        drop_entries_that_are_gone(&*self.store, &*into.store).await?;
        if let Some(mark) = self.store.get(FORGETTING, LAST).await? {
            into.store.put(FORGETTING, LAST, &mark).await?;
        }
        Ok(n_keys)
    }

    pub(crate) fn stores(&self) -> Vec<Arc<dyn KeyValueStore>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let others = all.iter().filter(|other| !Arc::ptr_eq(other, &self.store));
        std::iter::once(&self.store)
            .chain(others)
            .cloned()
            .collect()
    }

    pub(crate) fn wrapping(&self) -> Option<&dyn KeyProvider> {
        self.wrapping.as_deref()
    }

    async fn kept(
        &self,
        store: &dyn KeyValueStore,
        id: SubjectKeyId,
    ) -> Result<Option<SubjectKey>, Error> {
        let Some(bytes) = store.get(SUBJECT_KEY, id.0.as_bytes()).await? else {
            return Ok(None);
        };
        // It may be the key itself.
        let bytes = Zeroizing::new(bytes.to_vec());
        let key = SubjectKey::from_bytes(id, &bytes, self.wrapping());
        Ok(Some(key.map_err(MapperError::from)?))
    }

    /// A new key for a subject. When several are made at once, all are the subject's.
    async fn make(&self, subject: &Subject) -> Result<(), Error> {
        let id = SubjectKeyId(self.edge.new_id());
        let secret = Zeroizing::new(self.edge.new_secret().map_err(|error| {
            RecorderError::unavailable("making a key: the system gives no randomness", error)
        })?);
        let key = SubjectKey::Key(Key::new(&secret));
        let bytes = Zeroizing::new(
            key.to_bytes(id, self.wrapping())
                .map_err(MapperError::from)?,
        );
        // The key first: an id that is found must have its key.
        self.store.put(SUBJECT_KEY, id.0.as_bytes(), &bytes).await?;
        self.store
            .put(SUBJECT, &entry_key(subject, id), &[])
            .await?;
        Ok(())
    }

    /// The ids that a subject has in a store, ascending.
    async fn ids_in(
        store: &dyn KeyValueStore,
        subject: &Subject,
    ) -> Result<Vec<SubjectKeyId>, Error> {
        let prefix = entry_prefix(subject);
        let limit = u64::try_from(IDS_PER_READ).unwrap_or(u64::MAX);
        let (mut ids, mut after) = (Vec::new(), prefix.clone());
        loop {
            let keys = store.list_keys(SUBJECT, &after, limit).await?;
            for key in &keys {
                let id = key.strip_prefix(prefix.as_slice());
                let Some(id) = id.and_then(|id| Uuid::from_slice(id).ok()) else {
                    return Ok(ids);
                };
                ids.push(SubjectKeyId(id));
            }
            match keys.last() {
                Some(last) if keys.len() == IDS_PER_READ => after = last.to_vec(),
                _ => return Ok(ids),
            }
        }
    }
}

async fn copy_entries(from: &dyn KeyValueStore, into: &dyn KeyValueStore) -> Result<(), Error> {
    let mut after = Vec::new();
    loop {
        let entries = from.list_keys(SUBJECT, &after, COPIED_AT_A_TIME).await?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        after = last.to_vec();
        for entry in entries {
            into.put(SUBJECT, &entry, &[]).await?;
        }
    }
}

/// Of those who were forgotten since an earlier copy.
async fn drop_entries_that_are_gone(
    from: &dyn KeyValueStore,
    into: &dyn KeyValueStore,
) -> Result<(), Error> {
    let mut after = Vec::new();
    loop {
        let entries = into.list_keys(SUBJECT, &after, COPIED_AT_A_TIME).await?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        after = last.to_vec();
        for entry in entries {
            if from.get(SUBJECT, &entry).await?.is_none() {
                into.erase(SUBJECT, &entry).await?;
            }
        }
    }
}

/// What the keys of a subject's entries begin with. Names have no zeros, so none of another subject begins so.
fn entry_prefix(subject: &Subject) -> Vec<u8> {
    [subject.as_str().as_bytes(), &[0]].concat()
}

fn entry_key(subject: &Subject, id: SubjectKeyId) -> Vec<u8> {
    [&entry_prefix(subject), id.0.as_bytes().as_slice()].concat()
}

#[async_trait]
impl SubjectKeyProvider for StoredSubjectKeys {
    async fn key_of(&self, subject: &Subject) -> Result<(SubjectKeyId, Key), Error> {
        check(subject)?;
        for _ in 0..MAX_ATTEMPTS {
            for id in Self::ids_in(&*self.store, subject).await? {
                if let Some(SubjectKey::Key(key)) = self.kept(&*self.store, id).await? {
                    return Ok((id, key));
                }
            }
            self.make(subject).await?;
        }
        Err(RecorderError::Unavailable {
            reason: "making a key: its subject is forgotten again and again meanwhile".to_owned(),
            source: None,
        }
        .into())
    }

    async fn key(&self, id: SubjectKeyId) -> Result<Option<SubjectKey>, Error> {
        for store in self.stores() {
            if let Some(key) = self.kept(&*store, id).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn is_known(&self, subject: &Subject) -> Result<bool, Error> {
        check(subject)?;
        for store in self.stores() {
            if !Self::ids_in(&*store, subject).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn forget(&self, subject: &Subject) -> Result<bool, Error> {
        check(subject)?;
        let mut was_known = false;
        for store in self.stores() {
            for id in Self::ids_in(&*store, subject).await? {
                was_known = true;
                let forgotten = SubjectKey::Forgotten
                    .to_bytes(id, None)
                    .map_err(MapperError::from)?;
                store.put(SUBJECT_KEY, id.0.as_bytes(), &forgotten).await?;
                let mark = self.edge.new_id();
                store.put(FORGETTING, LAST, mark.as_bytes()).await?;
                // Last, so that what was cut short is found and done again. It takes the key out of the files, too.
                store.erase(SUBJECT, &entry_key(subject, id)).await?;
            }
        }
        Ok(was_known)
    }

    async fn forgetting(&self) -> Result<Vec<u8>, Error> {
        let mut marks = BTreeSet::new();
        for store in self.stores() {
            marks.extend(store.get(FORGETTING, LAST).await?);
        }
        Ok(marks.into_iter().flatten().collect())
    }
}

// Written out: the stores hold keys.
impl fmt::Debug for StoredSubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSubjectKeys")
            .field("wrapped", &self.wrapping.is_some())
            .finish_non_exhaustive()
    }
}

/// For a box whose store has no place for keys.
#[derive(Debug)]
pub(crate) struct NoSubjectKeys;

impl NoSubjectKeys {
    fn refuse<T>() -> Result<T, Error> {
        Err(RecorderError::Mismatch {
            reason: "the store of this box has no place for keys of subjects: give it a provider of them".to_owned(),
        }
        .into())
    }
}

#[async_trait]
impl SubjectKeyProvider for NoSubjectKeys {
    async fn key_of(&self, _: &Subject) -> Result<(SubjectKeyId, Key), Error> {
        Self::refuse()
    }

    async fn key(&self, _: SubjectKeyId) -> Result<Option<SubjectKey>, Error> {
        Self::refuse()
    }

    async fn is_known(&self, _: &Subject) -> Result<bool, Error> {
        Self::refuse()
    }

    async fn forget(&self, _: &Subject) -> Result<bool, Error> {
        Self::refuse()
    }

    async fn forgetting(&self) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }
}

fn check(subject: &Subject) -> Result<(), RecorderError> {
    let name = subject.as_str();
    if name.is_empty() || name.len() > MAX_SUBJECT_BYTES || name.contains(char::is_control) {
        return Err(RecorderError::Invalid {
            reason: format!(
                "the name of a subject has {} bytes: it can have 1 to {MAX_SUBJECT_BYTES}, and no control characters",
                name.len()
            ),
        });
    }
    Ok(())
}
