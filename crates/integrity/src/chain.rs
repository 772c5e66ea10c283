//! The hash that covers all that came before.

use boxes_recorder::LogIdentity;

use crate::digest::{Parts, Sink};
use crate::{Digest, Fingerprint};

/// Where the chain of a log is: at a notification, whose hash covers that of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The notification, 0 for none yet.
    pub id: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Chain {
    /// Before the first notification: the hash is of the log's name, epoch and page size, so no part of one
    /// log's chain fits another's.
    #[must_use]
    pub fn of(log: &LogIdentity) -> Self {
        let hash = identity(Parts::hashed("boxes.log.1"), log).digest();
        Self { id: 0, hash }
    }

    /// At the next notification.
    #[must_use]
    pub fn next(self, fingerprint: &Fingerprint) -> Self {
        let id = self.id.saturating_add(1);
        let hash = Parts::hashed("boxes.chain.1")
            .fixed(self.hash.as_bytes())
            .u64(id)
            .fixed(fingerprint.event.as_bytes())
            .digest();
        Self { id, hash }
    }
}

/// What makes a log that log, as part of what is hashed or signed.
pub(crate) fn identity<W: Sink>(parts: Parts<W>, log: &LogIdentity) -> Parts<W> {
    parts
        .bytes(log.name.as_bytes())
        .fixed(log.epoch.as_bytes())
        .u32(log.page_size.get())
}
