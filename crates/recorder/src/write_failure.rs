//! Whether the store took the last write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::RecorderError;

/// How often a store that did not take the last write is asked whether it takes writes again.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why the store did not take the last write, if it did not.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteFailure(Arc<Mutex<Option<RecorderError>>>);

impl WriteFailure {
    pub(crate) fn get(&self) -> Option<RecorderError> {
        self.lock().clone()
    }

    /// What came of a write. To refuse one request is no failure of the store.
    pub(crate) fn saw<T>(&self, outcome: &Result<T, RecorderError>) {
        let failure = match outcome {
            Ok(_) => None,
            Err(
                error @ (RecorderError::Unavailable { .. }
                | RecorderError::OutcomeUnknown { .. }
                | RecorderError::Broken { .. }),
            ) => Some(error.clone()),
            Err(_) => return,
        };
        *self.lock() = failure;
    }

    /// Waits until the store is to be asked; for ever if it took the last write.
    pub(crate) async fn is_due(&self) {
        let has_failed = self.lock().is_some();
        if has_failed {
            tokio::time::sleep(CHECK_INTERVAL).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<RecorderError>> {
        // A value is whole between two assignments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_last_write_counts_and_a_refused_request_does_not() {
        let last = WriteFailure::default();
        let outcome: Result<(), _> = Err(RecorderError::Unavailable {
            reason: "the disk is full".to_owned(),
            source: None,
        });
        last.saw(&outcome);
        let deleted: Result<(), _> = Err(RecorderError::StreamDeleted {
            originator_id: Uuid::nil(),
        });
        last.saw(&deleted);
        assert!(last.get().unwrap().to_string().contains("disk is full"));
        last.saw(&Ok(()));
        assert!(last.get().is_none());
        last.saw(&deleted);
        assert!(last.get().is_none());
    }
}
