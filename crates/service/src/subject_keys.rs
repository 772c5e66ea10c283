//! Where the keys of subjects are, for the boxes of a program.

use std::sync::{Arc, PoisonError, RwLock};

use boxes_application::{StoredSubjectKeys, SubjectKeys};
use boxes_recorder::{KeyValueStore, RecorderError};

use crate::{Config, StartError};

/// As what the store of `--subject-keys` is opened: it is a store like that of a box, whose log stays empty.
pub(crate) const NAME: &str = "subject-keys";

/// The stores that have keys of subjects: that of all boxes, if one is set, and that of each box.
#[derive(Debug, Default)]
pub(crate) struct KeyStores {
    shared: Option<Arc<dyn KeyValueStore>>,
    all: Arc<RwLock<Vec<Arc<dyn KeyValueStore>>>>,
}

impl KeyStores {
    /// Opens the store that is set for all boxes, if one is.
    pub(crate) async fn open(config: &Config) -> Result<Self, StartError> {
        let mut stores = Self::default();
        if let Some(store) = &config.subject_keys {
            let recorder = store.open(NAME, None, None).await?;
            let shared = recorder
                .key_value_store()
                .ok_or_else(|| StartError::Store {
                    name: NAME.to_owned(),
                    store: store.to_string(),
                    source: RecorderError::Mismatch {
                        reason: "it has no place for keys of subjects".to_owned(),
                    },
                })?;
            stores.add(&shared);
            stores.shared = Some(shared);
        }
        Ok(stores)
    }

    /// Looks for keys in the store of a box, too.
    pub(crate) fn add(&self, store: &Arc<dyn KeyValueStore>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(store));
    }

    /// The keys of all stores, where new ones are made in the store that is set for all boxes, or in that of the box; `None`
    /// if there is neither.
    pub(crate) fn stored(&self, own: Option<Arc<dyn KeyValueStore>>) -> Option<StoredSubjectKeys> {
        let store = self.shared.clone().or(own)?;
        Some(StoredSubjectKeys::new(store).looking_in(Arc::clone(&self.all)))
    }

    /// The keys of a box, which begins to be one of those in which all look.
    pub(crate) fn of_box(
        &self,
        own: Option<Arc<dyn KeyValueStore>>,
        config: &Config,
    ) -> Option<SubjectKeys> {
        if let Some(own) = &own {
            self.add(own);
        }
        let keys = self.stored(own)?;
        let keys = match config.mapper.keys() {
            Some(wrapping) => keys.wrapped_by(wrapping),
            None => keys,
        };
        Some(SubjectKeys::new(Arc::new(keys)).forgotten_within(config.poll_interval))
    }
}
