//! An event for the unit tests of this crate.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Encoding, StoredEvent};

/// An event of which only the aggregate and the version matter.
pub(crate) fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
        originator_id,
        originator_version,
        topic: Cow::Borrowed("test.happened"),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(b"{}"),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}
