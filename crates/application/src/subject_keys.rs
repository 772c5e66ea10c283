//! The keys of subjects that are at hand.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use boxes_domain::Subject;
use boxes_mapper::{
    Key, MapperError, MissingSubjectKeys, SubjectKey, SubjectKeyId, SubjectKeyring,
};
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::{DataKeys, Error, SubjectKeyProvider};

/// Keys of subjects that are kept at hand, at most.
pub const MAX_SUBJECT_KEYS: usize = 10_000;

/// How long somebody forgotten elsewhere may still be known here, if nothing else is said.
pub const DEFAULT_FORGOTTEN_WITHIN: Duration = Duration::from_secs(1);

/// How often the keys of one event are fetched before it is given up: others may push them out again meanwhile.
const MAX_FETCHES: u32 = 5;

/// The keys of subjects that a box has at hand, from a [`SubjectKeyProvider`]. Clones are the same.
///
/// Mapping an event must not wait for keys, so they are fetched before, and kept: at most [`MAX_SUBJECT_KEYS`]. Before what
/// is kept is used, the provider is asked whether somebody was forgotten, unless it was asked a moment ago
/// ([`DEFAULT_FORGOTTEN_WITHIN`]): then everything that is kept is thrown away, with the aggregates that were made with
/// it. If the provider does not answer, nothing is read.
#[derive(Clone)]
pub struct SubjectKeys {
    provider: Arc<dyn SubjectKeyProvider>,
    forgotten_within: Duration,
    ring: Arc<Ring>,
    seen: Arc<Mutex<Vec<u8>>>,
    asked: Arc<RwLock<Option<Instant>>>,
    /// Those of the logs that are read here.
    data_keys: Arc<RwLock<Vec<DataKeys>>>,
}

/// What is at hand, each thing with the generation in which it was fetched. With each forgetting that is heard of a
/// generation ends, and what is of an older one is not there any more, even if it is put here late.
struct Ring {
    generation: AtomicU64,
    /// Whether anything was ever fetched: boxes without personal data ask for nothing.
    in_use: AtomicBool,
    of_subjects: Cache<Subject, (u64, SubjectKeyId, Key)>,
    by_id: Cache<SubjectKeyId, (u64, SubjectKey)>,
}

impl SubjectKeys {
    /// Keys from there.
    #[must_use]
    pub fn new(provider: Arc<dyn SubjectKeyProvider>) -> Self {
        let ring = Ring {
            generation: AtomicU64::new(0),
            in_use: AtomicBool::new(false),
            of_subjects: Cache::new(MAX_SUBJECT_KEYS),
            by_id: Cache::new(MAX_SUBJECT_KEYS),
        };
        Self {
            provider,
            forgotten_within: DEFAULT_FORGOTTEN_WITHIN,
            ring: Arc::new(ring),
            seen: Arc::default(),
            asked: Arc::default(),
            data_keys: Arc::default(),
        }
    }

    /// The same, and somebody who is forgotten elsewhere is so here within this time; zero asks the provider each time.
    #[must_use]
    pub const fn forgotten_within(mut self, time: Duration) -> Self {
        self.forgotten_within = time;
        self
    }

    /// For the mapper.
    pub(crate) fn ring(&self) -> Arc<dyn SubjectKeyring> {
        Arc::<Ring>::clone(&self.ring)
    }

    /// What grows with each forgetting that was heard of: what was read before is not to be used any more.
    pub(crate) fn generation(&self) -> u64 {
        self.ring.generation.load(Ordering::SeqCst)
    }

    /// Hears of those who were forgotten, if it is time to ask.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        if !self.ring.in_use.load(Ordering::SeqCst) || self.was_asked_lately() {
            return Ok(());
        }
        let seen = self.seen.lock().await;
        // Somebody else has asked meanwhile.
        if self.was_asked_lately() {
            return Ok(());
        }
        self.ask(seen).await
    }

    /// Does `map` with all the keys that it needs, fetching them first if they are not at hand.
    pub(crate) async fn map<T>(
        &self,
        map: impl Fn() -> Result<T, MapperError> + Send,
    ) -> Result<T, Error> {
        self.refresh().await?;
        let mut fetches = 0..MAX_FETCHES;
        loop {
            match map() {
                Err(MapperError::MissingSubjectKeys(missing)) if fetches.next().is_some() => {
                    self.fetch(missing).await?;
                }
                Err(error @ MapperError::UnknownDataKey { .. }) => {
                    let data_keys = self.data_keys();
                    if data_keys.is_empty() || fetches.next().is_none() {
                        return Err(error.into());
                    }
                    for keys in data_keys {
                        keys.refresh().await?;
                    }
                }
                done => return Ok(done?),
            }
        }
    }

    /// Fetches these, too, when something is encrypted with a data key that is not at hand.
    pub(crate) fn look_in(&self, data_keys: DataKeys) {
        let mut all = self
            .data_keys
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(data_keys);
    }

    fn data_keys(&self) -> Vec<DataKeys> {
        let all = self
            .data_keys
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    /// Forgets a subject everywhere, and here at once. Says whether there was anything to forget.
    pub(crate) async fn forget(&self, subject: &Subject) -> Result<bool, Error> {
        let was_known = self.provider.forget(subject).await?;
        self.ask(self.seen.lock().await).await?;
        Ok(was_known)
    }

    /// Whether a subject has a key.
    pub(crate) async fn is_known(&self, subject: &Subject) -> Result<bool, Error> {
        self.provider.is_known(subject).await
    }

    fn was_asked_lately(&self) -> bool {
        let asked = self.asked.read().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| asked.elapsed() < self.forgotten_within)
    }

    /// Asks whether somebody was forgotten.
    async fn ask(&self, mut seen: MutexGuard<'_, Vec<u8>>) -> Result<(), Error> {
        let asking = Instant::now();
        let forgetting = self.provider.forgetting().await?;
        if *seen != forgetting {
            *seen = forgetting;
            self.ring.begin_generation();
        }
        *self.asked.write().unwrap_or_else(PoisonError::into_inner) = Some(asking);
        Ok(())
    }

    async fn fetch(&self, missing: MissingSubjectKeys) -> Result<(), Error> {
        if !self.ring.in_use.swap(true, Ordering::SeqCst) {
            self.ask(self.seen.lock().await).await?;
        }
        // Before anything is read: what is forgotten in between is of an older generation then.
        let generation = self.generation();
        for subject in missing.subjects {
            let (id, key) = self.provider.key_of(&subject).await?;
            self.ring.of_subjects.insert(subject, (generation, id, key));
        }
        for id in missing.ids {
            let key = self.provider.key(id).await?;
            let key = key.ok_or(MapperError::UnknownSubjectKey { id })?;
            self.ring.by_id.insert(id, (generation, key));
        }
        Ok(())
    }
}

impl Ring {
    fn begin_generation(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.of_subjects.clear();
        self.by_id.clear();
    }

    fn is_current(&self, generation: u64) -> bool {
        generation == self.generation.load(Ordering::SeqCst)
    }
}

impl SubjectKeyring for Ring {
    fn of_subject(&self, subject: &Subject) -> Option<(SubjectKeyId, Key)> {
        let (generation, id, key) = self.of_subjects.get(subject)?;
        self.is_current(generation).then_some((id, key))
    }

    fn by_id(&self, id: SubjectKeyId) -> Option<SubjectKey> {
        let (generation, key) = self.by_id.get(&id)?;
        self.is_current(generation).then_some(key)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("n_keys", &self.by_id.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKeys")
            .field("provider", &self.provider)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
