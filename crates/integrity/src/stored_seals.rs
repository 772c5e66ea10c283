//! Seals beside the log that they seal.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_notification_log::{LogError, SectionId};
use boxes_recorder::{KeyValueStore, Recorder, RecorderError};
use bytes::Bytes;

use crate::Seals;

/// The kind under which seals are kept, by the id of the first notification of their page in eight bytes.
const KIND: &str = "seal";

/// The seals that a box keeps beside its log, in the same database.
#[derive(Debug, Clone)]
pub struct StoredSeals {
    store: Arc<dyn KeyValueStore>,
}

impl StoredSeals {
    /// Those of the log that is recorded there; `None` if that engine has no place beside its log.
    #[must_use]
    pub fn of(recorder: &dyn Recorder) -> Option<Self> {
        recorder.key_value_store().map(|store| Self { store })
    }

    /// Keeps a seal, unless the page has one; gives the one that it has if that is another.
    pub(crate) async fn keep(
        &self,
        page: SectionId,
        seal: &[u8],
    ) -> Result<Option<Bytes>, RecorderError> {
        if self.store.put_if_absent(KIND, &key(page), seal).await? {
            return Ok(None);
        }
        let kept = self.store.get(KIND, &key(page)).await?;
        Ok(kept.filter(|kept| kept != seal))
    }
}

fn key(page: SectionId) -> [u8; 8] {
    page.low().to_be_bytes()
}

#[async_trait]
impl Seals for StoredSeals {
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
        let found = self.store.get(KIND, &key(page)).await;
        found.map_err(|error| LogError::Unavailable {
            reason: format!("reading the seal of page {page}: {error}"),
            retry_after: None,
            source: Some(Arc::new(error)),
        })
    }
}
