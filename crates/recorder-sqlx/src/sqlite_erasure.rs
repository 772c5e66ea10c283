//! Taking what was deleted out of the files.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use boxes_recorder::RecorderError;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::sqlite_writer::Writer;

/// How long who deleted something waits until it is out of the files.
const WAIT: Duration = Duration::from_secs(15);

/// How long is waited between two attempts, from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Takes what was deleted out of the files, as soon as no one reads what was there before.
///
/// SQLite overwrites what is deleted, in the write-ahead log first. It is out of the files when that is moved into the
/// database and cut, which has to wait for each read that began before. Appends do not wait: an attempt that finds a reader
/// in the way is over at once, and the next one comes later. It goes on until it is done, also when nobody waits.
#[derive(Debug)]
pub(crate) struct Erasure {
    writer: Arc<Writer>,
    requested: watch::Sender<u64>,
    progress: watch::Sender<Progress>,
    task: OnceLock<AbortHandle>,
}

/// How far it is.
#[derive(Debug, Default)]
struct Progress {
    /// The last request that is done.
    done: u64,
    /// Why the next one is not.
    obstacle: Option<RecorderError>,
}

impl Erasure {
    pub(crate) fn new(writer: Arc<Writer>) -> Self {
        Self {
            writer,
            requested: watch::Sender::new(0),
            progress: watch::Sender::default(),
            task: OnceLock::new(),
        }
    }

    /// Something was deleted and committed: it is to be erased.
    pub(crate) fn request(&self) {
        self.requested
            .send_modify(|requested| *requested = requested.saturating_add(1));
        self.task.get_or_init(|| {
            let erasing = erase(
                Arc::clone(&self.writer),
                self.requested.subscribe(),
                self.progress.clone(),
            );
            tokio::spawn(erasing).abort_handle()
        });
    }

    /// Waits until all is done that was requested before.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if somebody reads for too long what was there before.
    pub(crate) async fn wait(&self) -> Result<(), RecorderError> {
        let requested = *self.requested.borrow();
        let mut progress = self.progress.subscribe();
        let is_over = |progress: &Progress| {
            progress.done >= requested
                || matches!(
                    progress.obstacle,
                    Some(RecorderError::Closed | RecorderError::Broken { .. })
                )
        };
        // Not to be waited for any longer, or not at all: what it says now counts.
        drop(timeout(WAIT, progress.wait_for(is_over)).await);
        let progress = progress.borrow();
        if progress.done >= requested {
            return Ok(());
        }
        Err(progress.obstacle.clone().unwrap_or_else(|| {
            RecorderError::Unavailable {
                reason: "it is deleted, but not yet erased from the write-ahead log: a connection reads what was there before, such as \
                         a backup"
                    .to_owned(),
                source: None,
            }
        }))
    }
}

impl Drop for Erasure {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn erase(
    writer: Arc<Writer>,
    mut requested: watch::Receiver<u64>,
    progress: watch::Sender<Progress>,
) {
    loop {
        let done = progress.borrow().done;
        let Ok(now) = requested
            .wait_for(|requested| *requested > done)
            .await
            .map(|now| *now)
        else {
            return;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let obstacle = match writer.try_to_cut_the_log().await {
                Ok(true) => break,
                Ok(false) => None,
                Err(error) => Some(error),
            };
            let is_final = matches!(
                obstacle,
                Some(RecorderError::Closed | RecorderError::Broken { .. })
            );
            progress.send_modify(|progress| progress.obstacle = obstacle);
            if is_final {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
        progress.send_replace(Progress {
            done: now,
            obstacle: None,
        });
    }
}
