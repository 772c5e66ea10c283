//! A store whose process dies before or after it records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, Deletion, KeyValueStore, LogIdentity, Notification, Position, Recorder,
    RecorderError, StoredEvent, StreamRange,
};
use uuid::Uuid;

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is recorded.
    Recorded,
    /// The process dies before.
    Lost,
    /// The process dies after it, before it hears of it.
    Unanswered,
}

/// A store that meets these fates, one for each transaction, and then none any more. It is shared by all processes.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) store: Arc<dyn Recorder>,
    pub(crate) fates: Arc<Mutex<VecDeque<Fate>>>,
}

const DIED: &str = "the process died";

#[async_trait]
impl Recorder for Faulty {
    fn log(&self) -> &LogIdentity {
        self.store.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let fate = self.fates.lock().unwrap().pop_front();
        match fate.unwrap_or(Fate::Recorded) {
            Fate::Recorded => self.store.record(batch).await,
            Fate::Lost => Err(RecorderError::unavailable(DIED, std::fmt::Error)),
            Fate::Unanswered => {
                self.store.record(batch).await?;
                Err(RecorderError::outcome_unknown(DIED, std::fmt::Error))
            }
        }
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.store.select_events(originator_id, range).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.store.select_event(event_id).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.store.select_notifications(first, limit).await
    }

    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        self.store.delete_stream(originator_id).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.store.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.store.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.store.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.store.tracking(follower).await
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        self.store.key_value_store()
    }
}
