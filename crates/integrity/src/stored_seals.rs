//! Seals beside the log that they seal.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_notification_log::{LogError, SectionId};
use boxes_recorder::{KeyValueStore, LogIdentity, Recorder, RecorderError};
use bytes::Bytes;
use serde::Deserialize;
use uuid::Uuid;

use crate::{Seals, SignedDeletion};

/// The kind of seals, by the log's epoch and the id of the first notification of their page in eight bytes. At first those of a
/// box's own log had no epoch in front.
const KIND: &str = "seal";

/// The kind of what is signed about deleted aggregates, by their ids.
const DELETION: &str = "deletion";

/// The kind of the reason for which the sealer of a log has stopped, by the log's epoch.
const STOPPED: &str = "sealing-stopped";

/// How many statements are read at a time.
const AT_A_TIME: u64 = 1_000;

/// The seals that a box keeps beside its log, in the same database.
#[derive(Debug, Clone)]
pub struct StoredSeals {
    store: Arc<dyn KeyValueStore>,
    epoch: Uuid,
    is_derived: bool,
}

impl StoredSeals {
    /// Those of the log that is recorded there; `None` if that engine has no place beside its log. A log that gets a new epoch is
    /// sealed again from its first page.
    #[must_use]
    pub fn of(recorder: &dyn Recorder) -> Option<Self> {
        let store = recorder.key_value_store()?;
        Some(Self {
            store,
            epoch: recorder.log().epoch,
            is_derived: false,
        })
    }

    /// Those of `derived`, a log that is made of the one that is recorded there. Another revision of it has another epoch, and
    /// seals of its own.
    #[must_use]
    pub fn of_derived(recorder: &dyn Recorder, derived: &LogIdentity) -> Option<Self> {
        Self::of(recorder).map(|own| Self {
            epoch: derived.epoch,
            is_derived: true,
            ..own
        })
    }

    /// Whether the log is made of another one.
    pub(crate) const fn is_derived(&self) -> bool {
        self.is_derived
    }

    fn key(&self, page: SectionId) -> Vec<u8> {
        [self.epoch.as_bytes(), &page.low().to_be_bytes()[..]].concat()
    }

    async fn kept(&self, page: SectionId) -> Result<Option<Bytes>, RecorderError> {
        let kept = self.store.get(KIND, &self.key(page)).await?;
        if kept.is_some() || self.is_derived {
            return Ok(kept);
        }
        let first_form = self.store.get(KIND, &page.low().to_be_bytes()).await?;
        // Those of an earlier epoch stay, and are of no use; one that can't be read is for the verifier.
        Ok(first_form.filter(|seal| epoch_of(seal).is_none_or(|epoch| epoch == self.epoch)))
    }

    /// Keeps a seal, unless the page has one; gives the one that it has if that is another.
    pub(crate) async fn keep(
        &self,
        page: SectionId,
        seal: &[u8],
    ) -> Result<Option<Bytes>, RecorderError> {
        if let Some(kept) = self.kept(page).await? {
            return Ok((kept != seal).then_some(kept));
        }
        if self
            .store
            .put_if_absent(KIND, &self.key(page), seal)
            .await?
        {
            return Ok(None);
        }
        let kept = self.kept(page).await?;
        Ok(kept.filter(|kept| kept != seal))
    }

    /// Remembers why the sealer has stopped; or that it has not.
    pub(crate) async fn set_stopped(&self, reason: Option<&str>) -> Result<(), RecorderError> {
        let key = self.epoch.as_bytes();
        match reason {
            Some(reason) => self.store.put(STOPPED, key, reason.as_bytes()).await,
            None => match self.store.get(STOPPED, key).await? {
                Some(_) => self.store.delete(STOPPED, key).await,
                None => Ok(()),
            },
        }
    }

    /// Keeps what was signed about a deleted aggregate of this log.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: do it again.
    pub async fn keep_deletion(&self, deletion: &SignedDeletion) -> Result<(), RecorderError> {
        let key = deletion.originator_id.as_bytes();
        self.store.put(DELETION, key, &deletion.to_bytes()).await
    }
}

/// What a seal says of the epoch.
fn epoch_of(seal: &[u8]) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct OfEpoch {
        epoch: Uuid,
    }
    let seal: OfEpoch = serde_json::from_slice(seal).ok()?;
    Some(seal.epoch)
}

fn unavailable(doing: String) -> impl FnOnce(RecorderError) -> LogError {
    move |error| LogError::Unavailable {
        reason: format!("{doing}: {error}"),
        retry_after: None,
        source: Some(Arc::new(error)),
    }
}

#[async_trait]
impl Seals for StoredSeals {
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
        let found = self.kept(page).await;
        found.map_err(unavailable(format!("reading the seal of page {page}")))
    }

    async fn deletions(&self) -> Result<Option<Vec<Bytes>>, LogError> {
        let (mut found, mut after) = (Vec::new(), Vec::new());
        loop {
            let entries = self.store.list(DELETION, &after, AT_A_TIME).await;
            let entries = entries.map_err(unavailable(
                "reading what is signed of deletions".to_owned(),
            ))?;
            let Some(last) = entries.last() else {
                return Ok(Some(found));
            };
            after = last.key.to_vec();
            found.extend(entries.into_iter().map(|entry| entry.value));
        }
    }

    async fn stopped(&self) -> Result<Option<String>, LogError> {
        let reason = self.store.get(STOPPED, self.epoch.as_bytes()).await;
        let reason = reason.map_err(unavailable(
            "reading whether sealing has stopped".to_owned(),
        ))?;
        Ok(reason.map(|reason| String::from_utf8_lossy(&reason).into_owned()))
    }
}
