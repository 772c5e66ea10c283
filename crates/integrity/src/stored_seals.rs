//! Seals beside the log that they seal.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_notification_log::{LogError, SectionId};
use boxes_recorder::{KeyValueStore, LogIdentity, Recorder, RecorderError};
use bytes::Bytes;

use crate::Seals;

/// The kind under which seals are kept, by the id of the first notification of their page in eight bytes; before them those of
/// a derived log have its epoch.
const KIND: &str = "seal";

/// The seals that a box keeps beside its log, in the same database.
#[derive(Debug, Clone)]
pub struct StoredSeals {
    store: Arc<dyn KeyValueStore>,
    prefix: Vec<u8>,
}

impl StoredSeals {
    /// Those of the log that is recorded there; `None` if that engine has no place beside its log.
    #[must_use]
    pub fn of(recorder: &dyn Recorder) -> Option<Self> {
        let store = recorder.key_value_store()?;
        Some(Self {
            store,
            prefix: Vec::new(),
        })
    }

    /// Those of `derived`, a log that is made of the one that is recorded there. Another revision of it has another epoch, and
    /// seals of its own.
    #[must_use]
    pub fn of_derived(recorder: &dyn Recorder, derived: &LogIdentity) -> Option<Self> {
        let prefix = derived.epoch.as_bytes().to_vec();
        Self::of(recorder).map(|own| Self { prefix, ..own })
    }

    fn key(&self, page: SectionId) -> Vec<u8> {
        [self.prefix.as_slice(), &page.low().to_be_bytes()].concat()
    }

    /// Keeps a seal, unless the page has one; gives the one that it has if that is another.
    pub(crate) async fn keep(
        &self,
        page: SectionId,
        seal: &[u8],
    ) -> Result<Option<Bytes>, RecorderError> {
        if self
            .store
            .put_if_absent(KIND, &self.key(page), seal)
            .await?
        {
            return Ok(None);
        }
        let kept = self.store.get(KIND, &self.key(page)).await?;
        Ok(kept.filter(|kept| kept != seal))
    }
}

#[async_trait]
impl Seals for StoredSeals {
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
        let found = self.store.get(KIND, &self.key(page)).await;
        found.map_err(|error| LogError::Unavailable {
            reason: format!("reading the seal of page {page}: {error}"),
            retry_after: None,
            source: Some(Arc::new(error)),
        })
    }
}
