//! What recorded transactions left to be done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use boxes_notification_log::Backoff;
use boxes_recorder::{KeyValueStore, RecorderError};
use tokio::sync::Mutex;

use crate::duties::Duty;
use crate::{App, Error, Snapshots};

/// The first wait before what could not be finished is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait before it is tried again.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Whether something may be left to do: at the start it may, because of a crash.
#[derive(Debug)]
pub(crate) struct Unfinished {
    is_possible: AtomicBool,
    /// One looks after it at a time, so that who waited finds it done.
    finishing: Mutex<()>,
}

impl Default for Unfinished {
    fn default() -> Self {
        Self {
            is_possible: AtomicBool::new(true),
            finishing: Mutex::default(),
        }
    }
}

/// Copies what a box has decided and not finished, see [`App::finish_all`], for a store that takes the place of `from`: its
/// box finishes it when it starts.
///
/// # Errors
///
/// As those of [`KeyValueStore::put`].
pub async fn copy_unfinished(
    from: &dyn KeyValueStore,
    into: &dyn KeyValueStore,
) -> Result<(), RecorderError> {
    Duty::copy(from, into).await
}

impl App {
    /// Finishes what an earlier run of the box left undone when it ended: subjects that a policy decided to
    /// [forget](Self::forget), and snapshots of deleted aggregates. Followers of the box wait for the former by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store, or that of the keys, can't be used now: do it again.
    pub async fn finish_all(&self) -> Result<(), Error> {
        self.finish().await?;
        let n_swept = Snapshots::sweep(&**self.inner.writer.recorder()).await?;
        if n_swept > 0 {
            tracing::info!(
                name = self.name(),
                n_swept,
                "snapshots of deleted aggregates were erased"
            );
        }
        Ok(())
    }

    /// As [`finish_all`](Self::finish_all), in a task of its own, again until it is done or the box is closed.
    pub fn finish_in_background(&self) {
        let app = Self {
            inner: std::sync::Arc::clone(&self.inner),
            transaction: None,
        };
        tokio::spawn(async move {
            let mut backoff = Backoff::new(FIRST_WAIT, MAX_WAIT);
            while let Err(error) = app.finish_all().await {
                if matches!(error, Error::Store(RecorderError::Closed)) {
                    return;
                }
                let wait = backoff.next_wait(None);
                tracing::warn!(%error, name = app.name(), retry_in = ?wait, "what was left undone can't be finished now");
                tokio::time::sleep(wait).await;
            }
        });
    }

    /// An append that has duties is recorded, or may be.
    pub(crate) fn leave_unfinished(&self) {
        self.inner
            .unfinished
            .is_possible
            .store(true, Ordering::SeqCst);
    }

    /// Does the duties that are recorded and not done.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let unfinished = &self.inner.unfinished;
        let _finishing = unfinished.finishing.lock().await;
        // Before the look, so that what is recorded during it is looked for again.
        if !unfinished.is_possible.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let finished = self.do_duties().await;
        if finished.is_err() {
            self.leave_unfinished();
        }
        finished
    }

    async fn do_duties(&self) -> Result<(), Error> {
        let Some(beside) = self.inner.writer.recorder().key_value_store() else {
            return Ok(());
        };
        let mut after = bytes::Bytes::new();
        loop {
            let (duties, next) = Duty::recorded(&*beside, &after).await?;
            for duty in duties {
                self.inner.subject_keys.forget(&duty.subject).await?;
                self.inner.repository.forget();
                duty.done(&*beside).await?;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}
