//! How far a follower has read in the upstream's log, and how much of it is recorded.

use std::sync::Arc;
use std::time::Duration;

use boxes_notification_log::{LogError, NotificationLog, NotificationLogReader};
use boxes_recorder::{Notification, Position};

/// A reader that starts from the recorded position, and hands out what may share a transaction.
#[derive(Debug)]
pub(crate) struct Reading {
    reader: NotificationLogReader,
    /// Read, and not yet handed out: what did not fit into the last batch.
    rest: Vec<Notification>,
    /// The last notification that was handed out.
    handed_out: u64,
    /// The position that is recorded.
    pub(crate) recorded: Option<Position>,
}

impl Reading {
    pub(crate) fn new(log: Arc<dyn NotificationLog>, recorded: Option<Position>) -> Self {
        Self {
            reader: NotificationLogReader::new(log, recorded),
            rest: Vec::new(),
            handed_out: recorded.map_or(0, |position| position.id),
            recorded,
        }
    }

    /// How far it has read; `None` before the first answer of a log that is read from its beginning.
    pub(crate) const fn position(&self) -> Option<Position> {
        self.reader.position()
    }

    /// Whether more was handed out than is recorded.
    pub(crate) fn is_ahead(&self) -> bool {
        self.handed_out > self.recorded.map_or(0, |position| position.id)
    }

    /// Whether more is known to be there.
    pub(crate) fn has_more(&self) -> bool {
        !self.rest.is_empty() || self.reader.has_more()
    }

    /// What comes next, as far as it may share a transaction: up to `max` notifications and one section more, and up to
    /// about `max_bytes`, but at least one notification; none at the end of the log.
    pub(crate) async fn next_batch(
        &mut self,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<Notification>, LogError> {
        let mut batch = std::mem::take(&mut self.rest);
        if batch.is_empty() {
            batch = self.reader.next_batch().await?;
        }
        let mut bytes: usize = batch.iter().map(Notification::n_bytes).sum();
        while !batch.is_empty() && batch.len() < max && bytes < max_bytes && self.reader.has_more()
        {
            match self.reader.next_batch().await {
                Ok(more) if more.is_empty() => break,
                Ok(more) => {
                    bytes += more.iter().map(Notification::n_bytes).sum::<usize>();
                    batch.extend(more);
                }
                // What is there already is good. The error comes again with the next step.
                Err(_) => break,
            }
        }
        self.rest = batch.split_off(within(&batch, max_bytes));
        if let Some(last) = batch.last() {
            self.handed_out = last.id;
        }
        Ok(batch)
    }

    /// Waits until there is something new, at most `timeout`.
    pub(crate) async fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        if self.has_more() {
            return Ok(true);
        }
        self.reader.wait(timeout).await
    }
}

/// How many of them, from the first on, have about `max_bytes` together: at least one, if there is one.
fn within(batch: &[Notification], max_bytes: usize) -> usize {
    let mut bytes = 0;
    let fitting = batch.iter().take_while(|notification| {
        let fits = bytes < max_bytes;
        bytes += notification.n_bytes();
        fits
    });
    fitting.count().max(1).min(batch.len())
}
