//! The newest id, watched.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::catch_panic::catch_panic;
use crate::{Recorder, RecorderError};

/// The newest id that this process knows of. It only grows. Clones are the same.
#[derive(Clone)]
pub(crate) struct Head {
    newest: Arc<watch::Sender<u64>>,
    /// Somebody began to watch.
    watched: Arc<Notify>,
}

impl Head {
    pub(crate) fn new(head: u64) -> Self {
        Self {
            newest: Arc::new(watch::Sender::new(head)),
            watched: Arc::default(),
        }
    }

    pub(crate) fn known(&self) -> u64 {
        *self.newest.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        let receiver = self.newest.subscribe();
        self.watched.notify_one();
        receiver
    }

    /// Somebody saw that `head` is recorded.
    pub(crate) fn advance(&self, head: u64) {
        self.newest.send_if_modified(|newest| {
            let grows = head > *newest;
            if grows {
                *newest = head;
            }
            grows
        });
    }

    /// Asks the store, at once, then after each `interval` and at each hint, while somebody watches. Never ends.
    pub(crate) async fn poll(self, recorder: Arc<dyn Recorder>, interval: Duration) {
        let mut failing = false;
        let mut hints = recorder.head_hints();
        loop {
            while self.newest.receiver_count() == 0 {
                self.watched.notified().await;
            }
            let answer = catch_panic("reading the head", async { recorder.head().await }).await;
            self.hear(answer, &mut failing, &recorder.log().name);
            // A hint cuts the waiting short; without one, the interval is all there is.
            drop(tokio::time::timeout(interval, self.hint(&mut hints)).await);
        }
    }

    /// Waits until another process says that it has committed more than is known here.
    async fn hint(&self, hints: &mut Option<watch::Receiver<u64>>) {
        while let Some(receiver) = hints {
            if receiver.changed().await.is_err() {
                *hints = None;
            } else if *receiver.borrow_and_update() > self.known() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    fn hear(&self, answer: Result<u64, RecorderError>, failing: &mut bool, log: &str) {
        match answer {
            Ok(head) => {
                *failing = false;
                self.advance(head);
            }
            // Once for each time that it begins to fail, not once for each try.
            Err(error) if !*failing => {
                *failing = true;
                tracing::warn!(log, %error, "the head of the log can't be read: commits of other processes go unnoticed");
            }
            Err(_) => {}
        }
    }
}
