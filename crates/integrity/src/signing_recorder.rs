//! A recorder that signs what is deleted.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, Deletion, KeyValueStore, LogIdentity, Notification, Position, Recorder,
    RecorderError, StoredEvent, StreamRange,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{SignedDeletion, SigningKey, StoredSeals};

/// A recorder that keeps a [`SignedDeletion`] beside its log for each stream that is deleted through it.
///
/// It is kept after the deletion is recorded: a statement about a stream that has its events would accuse the box itself. One
/// that is missing, because the process was killed in between, is made up for by deleting again.
#[derive(Debug)]
pub struct SigningRecorder {
    inner: Arc<dyn Recorder>,
    seals: StoredSeals,
    key: Arc<SigningKey>,
}

impl SigningRecorder {
    /// Signs what is deleted in `inner`; gives that itself if it has no place for statements.
    #[must_use]
    pub fn wrap(inner: Arc<dyn Recorder>, key: Arc<SigningKey>) -> Arc<dyn Recorder> {
        match StoredSeals::of(&*inner) {
            Some(seals) => Arc::new(Self { inner, seals, key }),
            None => inner,
        }
    }

    async fn sign(&self, originator_id: Uuid, deletion: Deletion) -> Result<(), RecorderError> {
        if deletion.n_events == 0 {
            return Ok(());
        }
        let statement = SignedDeletion::new(&self.log().name, originator_id, &self.key);
        self.seals.keep_deletion(&statement).await
    }
}

// What the port provides by itself is the inner recorder's to do.
#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl Recorder for SigningRecorder {
    fn log(&self) -> &LogIdentity {
        self.inner.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let outcomes = self.inner.record(batch).await?;
        for (append, outcome) in batch.iter().zip(&outcomes) {
            let Ok(appended) = outcome else { continue };
            for (originator_id, deletion) in append.deletions.iter().zip(&appended.deletions) {
                // What is recorded is recorded, whatever becomes of the statement.
                if let Err(error) = self.sign(*originator_id, *deletion).await {
                    tracing::error!(%originator_id, %error, "a deletion is not signed: delete again, or verify finds it");
                }
            }
        }
        Ok(outcomes)
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.inner.select_events(originator_id, range).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.inner.select_event(event_id).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.inner.select_notifications(first, limit).await
    }

    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        let deletion = self.inner.delete_stream(originator_id).await?;
        self.sign(originator_id, deletion).await?;
        Ok(deletion)
    }

    async fn erase_deleted(&self) -> Result<(), RecorderError> {
        self.inner.erase_deleted().await
    }

    async fn check_writable(&self) -> Result<(), RecorderError> {
        self.inner.check_writable().await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.inner.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.inner.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.inner.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.inner.tracking(follower).await
    }

    async fn close(&self) -> Result<(), RecorderError> {
        self.inner.close().await
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        self.inner.key_value_store()
    }

    fn head_hints(&self) -> Option<watch::Receiver<u64>> {
        self.inner.head_hints()
    }
}
