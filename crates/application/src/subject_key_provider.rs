//! Where the keys of subjects are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use boxes_domain::Subject;
use boxes_mapper::{Key, KeyProvider, MapperError, SubjectKey, SubjectKeyError, SubjectKeyId};
use boxes_recorder::{KeyValueStore, RecorderError};
use bytes::Bytes;
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
    takes_plain: bool,
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
            takes_plain: false,
            edge: Arc::new(SystemEdge),
        }
    }

    /// Encrypts keys with these, where they are kept. One that is kept in plaintext is refused then: anyone who can write to the
    /// store could have put it there.
    #[must_use]
    pub fn wrapped_by(mut self, keys: Arc<dyn KeyProvider>) -> Self {
        self.wrapping = Some(keys);
        self
    }

    /// Takes keys in plaintext as well: to [encrypt](Self::rewrap) those from before there were keys to do so.
    #[must_use]
    pub const fn taking_plain_keys(mut self) -> Self {
        self.takes_plain = true;
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
        let subjects = subjects_by_id(&*self.store).await?;
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
                    .to_bytes(id, subjects.get(&id), into.wrapping())
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

    /// What changes with each forgetting, in the store of these keys alone.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now.
    pub async fn forgetting_mark(&self) -> Result<Vec<u8>, Error> {
        let mark = self.store.get(FORGETTING, LAST).await?;
        Ok(mark.map(|mark| mark.to_vec()).unwrap_or_default())
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
        let bytes = self.bytes_of(store, id).await?;
        bytes.map(|bytes| self.key_in(id, &bytes)).transpose()
    }

    async fn bytes_of(
        &self,
        store: &dyn KeyValueStore,
        id: SubjectKeyId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let bytes = store.get(SUBJECT_KEY, id.0.as_bytes()).await?;
        // It may be the key itself.
        Ok(bytes.map(|bytes| Zeroizing::new(bytes.to_vec())))
    }

    pub(crate) fn key_in(&self, id: SubjectKeyId, bytes: &[u8]) -> Result<SubjectKey, Error> {
        let read = match SubjectKey::from_bytes(id, bytes, self.wrapping()) {
            Err(SubjectKeyError::Plain { .. }) if self.takes_plain => {
                SubjectKey::from_bytes(id, bytes, None)
            }
            read => read,
        };
        Ok(read.map_err(MapperError::from)?)
    }

    /// The key of this id, which `subject` is said to have.
    async fn kept_of(
        &self,
        subject: &Subject,
        id: SubjectKeyId,
    ) -> Result<Option<SubjectKey>, Error> {
        let Some(bytes) = self.bytes_of(&*self.store, id).await? else {
            return Ok(None);
        };
        let is_of = SubjectKey::is_of(id, &bytes, subject, self.wrapping());
        if is_of.map_err(MapperError::from)? == Some(false) {
            return Err(MapperError::from(SubjectKeyError::OtherSubject { id }).into());
        }
        self.key_in(id, &bytes).map(Some)
    }

    /// A new key for a subject. When several are made at once, all are the subject's.
    async fn make(&self, subject: &Subject) -> Result<(), Error> {
        let id = SubjectKeyId(self.edge.new_id());
        let secret = Zeroizing::new(self.edge.new_secret().map_err(|error| {
            RecorderError::unavailable("making a key: the system gives no randomness", error)
        })?);
        let key = SubjectKey::Key(Key::new(&secret));
        let bytes = Zeroizing::new(
            key.to_bytes(id, Some(subject), self.wrapping())
                .map_err(MapperError::from)?,
        );
        // The key first: an id that is found must have its key.
        self.store.put(SUBJECT_KEY, id.0.as_bytes(), &bytes).await?;
        self.store
            .put(SUBJECT, &entry_key(subject, id), &[])
            .await?;
        Ok(())
    }

    /// The ids of the keys that are forgotten, in all stores: they say nothing about the subjects. Whoever keeps this list apart from
    /// the backups of the stores can [forget again](Self::forget_again) after a restore.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now.
    pub async fn forgotten(&self) -> Result<BTreeSet<SubjectKeyId>, Error> {
        let mut forgotten = BTreeSet::new();
        for store in self.stores() {
            let mut after = Vec::new();
            loop {
                let entries = store.list(SUBJECT_KEY, &after, COPIED_AT_A_TIME).await?;
                let Some(last) = entries.last() else { break };
                after = last.key.to_vec();
                let marks = entries
                    .iter()
                    .filter(|entry| SubjectKey::secret_part(&entry.value).is_none());
                forgotten.extend(
                    marks.filter_map(|entry| Uuid::from_slice(&entry.key).ok().map(SubjectKeyId)),
                );
            }
        }
        Ok(forgotten)
    }

    /// Deletes the keys of these ids wherever they are, and says how many were there: after a restore from a backup that has them
    /// still.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if keys can't be reached now: do it again.
    pub async fn forget_again(&self, ids: &BTreeSet<SubjectKeyId>) -> Result<u64, Error> {
        let mut n_deleted = 0;
        for store in self.stores() {
            let mut entries = Vec::new();
            let mut after = Vec::new();
            loop {
                let listed = store.list_keys(SUBJECT, &after, COPIED_AT_A_TIME).await?;
                let Some(last) = listed.last() else { break };
                after = last.to_vec();
                let found = listed.into_iter().map(|entry| (id_in(&entry), entry));
                entries.extend(found.filter(|(id, _)| id.is_some_and(|id| ids.contains(&id))));
            }
            let mut keys = Vec::new();
            for id in ids {
                if store.get(SUBJECT_KEY, id.0.as_bytes()).await?.is_some() {
                    keys.push(*id);
                }
            }
            n_deleted += self.erase(&*store, &keys, entries).await?;
        }
        Ok(n_deleted)
    }

    /// Replaces these keys by marks, takes them out of the files, and then the entries that lead to them; says how many keys
    /// were there. Done again after it was cut short, it finishes the work: the entries go last.
    async fn erase(
        &self,
        store: &dyn KeyValueStore,
        ids: &[SubjectKeyId],
        entries: Vec<(Option<SubjectKeyId>, Bytes)>,
    ) -> Result<u64, Error> {
        let (mut n_deleted, mut secrets) = (0, Vec::new());
        for id in ids {
            let kept = store.get(SUBJECT_KEY, id.0.as_bytes()).await?;
            let secret = kept.as_deref().and_then(SubjectKey::secret_part);
            if let Some(secret) = secret {
                n_deleted += 1;
                secrets.push(Zeroizing::new(secret.to_vec()));
            }
            let forgotten = SubjectKey::Forgotten
                .to_bytes(*id, None, None)
                .map_err(MapperError::from)?;
            store.put(SUBJECT_KEY, id.0.as_bytes(), &forgotten).await?;
            let mark = self.edge.new_id();
            store.put(FORGETTING, LAST, mark.as_bytes()).await?;
        }
        if !ids.is_empty() && (!secrets.is_empty() || !entries.is_empty()) {
            // What an earlier try replaced is not known any more, and may be anywhere.
            let is_all_known = secrets.len() == ids.len();
            let secrets: Vec<&[u8]> = match is_all_known {
                true => secrets.iter().map(|secret| secret.as_slice()).collect(),
                false => Vec::new(),
            };
            store.scrub(&secrets).await?;
        }
        for (_, entry) in &entries {
            store.delete(SUBJECT, entry).await?;
        }
        // The names, too; also those that an earlier try left in the files.
        store.erase(SUBJECT, &[0]).await?;
        Ok(n_deleted)
    }

    /// What leads from a subject to its keys in a store, ascending. An entry that is none, because somebody put it there, is
    /// listed without an id, and hides no other.
    async fn entries_in(
        store: &dyn KeyValueStore,
        subject: &Subject,
    ) -> Result<Vec<(Option<SubjectKeyId>, Bytes)>, Error> {
        let prefix = entry_prefix(subject);
        let limit = u64::try_from(IDS_PER_READ).unwrap_or(u64::MAX);
        let (mut entries, mut after) = (Vec::new(), prefix.clone());
        loop {
            let keys = store.list_keys(SUBJECT, &after, limit).await?;
            let n_read = keys.len();
            for key in keys {
                if !key.starts_with(&prefix) {
                    return Ok(entries);
                }
                after = key.to_vec();
                let id = key.get(prefix.len()..).unwrap_or_default();
                entries.push((Uuid::from_slice(id).ok().map(SubjectKeyId), key));
            }
            if n_read < IDS_PER_READ {
                return Ok(entries);
            }
        }
    }
}

/// The id at the end of an entry's key.
fn id_in(entry: &[u8]) -> Option<SubjectKeyId> {
    let (name, id) = entry.split_last_chunk::<16>()?;
    (name.last() == Some(&0)).then(|| SubjectKeyId(Uuid::from_bytes(*id)))
}

/// Whose key each id is, as the entries of a store say.
///
/// # Errors
///
/// [`MapperError::SubjectKey`] if two subjects are said to have one key, which the kit never writes.
pub(crate) async fn subjects_by_id(
    store: &dyn KeyValueStore,
) -> Result<BTreeMap<SubjectKeyId, Subject>, Error> {
    let mut subjects = BTreeMap::new();
    let mut after = Vec::new();
    loop {
        let entries = store.list_keys(SUBJECT, &after, COPIED_AT_A_TIME).await?;
        let Some(last) = entries.last() else {
            return Ok(subjects);
        };
        after = last.to_vec();
        for entry in &entries {
            let name = entry.get(..entry.len().saturating_sub(17));
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            let (Some(id), Some(name)) = (id_in(entry), name) else {
                continue;
            };
            if subjects.insert(id, Subject::from(name)).is_some() {
                return Err(MapperError::from(SubjectKeyError::OtherSubject { id }).into());
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
            for (id, _) in Self::entries_in(&*self.store, subject).await? {
                let Some(id) = id else { continue };
                if let Some(SubjectKey::Key(key)) = self.kept_of(subject, id).await? {
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
            if !Self::entries_in(&*store, subject).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn forget(&self, subject: &Subject) -> Result<bool, Error> {
        check(subject)?;
        let mut was_known = false;
        for store in self.stores() {
            let entries = Self::entries_in(&*store, subject).await?;
            let ids: Vec<_> = entries.iter().filter_map(|(id, _)| *id).collect();
            was_known |= !ids.is_empty();
            self.erase(&*store, &ids, entries).await?;
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
