//! The newest id, and how much is redacted, watched.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::catch_panic::catch_panic;
use crate::{Recorder, RecorderError};

/// The newest id, and the number of redacted notifications, that this process knows of. Both only grow. Clones are
/// the same.
#[derive(Clone)]
pub(crate) struct Head {
    newest: Arc<watch::Sender<u64>>,
    n_redacted: Arc<watch::Sender<u64>>,
    /// Somebody began to watch.
    watched: Arc<Notify>,
}

impl Head {
    pub(crate) fn new(head: u64, n_redacted: u64) -> Self {
        Self {
            newest: Arc::new(watch::Sender::new(head)),
            n_redacted: Arc::new(watch::Sender::new(n_redacted)),
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

    pub(crate) fn watch_redacted(&self) -> watch::Receiver<u64> {
        let receiver = self.n_redacted.subscribe();
        self.watched.notify_one();
        receiver
    }

    /// Somebody saw that `head` is recorded.
    pub(crate) fn advance(&self, head: u64) {
        raise(&self.newest, head);
    }

    /// Somebody saw that so many notifications are redacted.
    pub(crate) fn redact(&self, n_redacted: u64) {
        raise(&self.n_redacted, n_redacted);
    }

    fn is_watched(&self) -> bool {
        self.newest.receiver_count() > 0 || self.n_redacted.receiver_count() > 0
    }

    /// Asks the store, at once, then after each `interval` and at each hint, while somebody watches. Never ends.
    pub(crate) async fn poll(self, recorder: Arc<dyn Recorder>, interval: Duration) {
        let mut failing = false;
        let mut hints = recorder.head_hints();
        loop {
            while !self.is_watched() {
                self.watched.notified().await;
            }
            let answer = catch_panic("reading the head", async {
                Ok((recorder.n_redacted().await?, recorder.head().await?))
            });
            self.hear(answer.await, &mut failing, &recorder.log().name);
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

    fn hear(&self, answer: Result<(u64, u64), RecorderError>, failing: &mut bool, log: &str) {
        match answer {
            Ok((n_redacted, head)) => {
                *failing = false;
                self.redact(n_redacted);
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

fn raise(known: &watch::Sender<u64>, to: u64) {
    known.send_if_modified(|known| {
        let grows = to > *known;
        if grows {
            *known = to;
        }
        grows
    });
}
