//! Group commit. (To be written.)

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;

use crate::{Append, Recorder, RecorderError};

/// How much one transaction may gather.
#[derive(Debug, Clone, Copy)]
pub struct GroupCommitBounds {
    /// Requests in one transaction, at most.
    pub max_requests: usize,
    /// Events in one transaction, at most (a single larger request is still taken alone).
    pub max_events: usize,
    /// Bytes of state in one transaction, at most (likewise).
    pub max_bytes: usize,
    /// Requests that may wait; further callers are held until there is room.
    pub max_waiting: usize,
}

/// Appends of many callers, gathered into one transaction.
#[derive(Debug, Clone)]
pub struct GroupCommit {
    recorder: Arc<dyn Recorder>,
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::todo, clippy::unused_async)]
impl GroupCommit {
    pub fn start(_recorder: Arc<dyn Recorder>, _bounds: GroupCommitBounds) -> Self {
        todo!()
    }
    #[must_use]
    pub fn recorder(&self) -> &Arc<dyn Recorder> {
        &self.recorder
    }
    pub async fn append(&self, _request: Append) -> Result<Range<u64>, RecorderError> {
        todo!()
    }
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<u64> {
        todo!()
    }
    pub async fn close(&self) {
        todo!()
    }
}
