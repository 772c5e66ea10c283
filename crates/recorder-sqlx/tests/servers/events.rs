//! What is recorded in these tests, and waiting for it.

use std::time::Duration;

use boxes_recorder::{Append, Encoding, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
        originator_id,
        originator_version,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(b"{}"),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn append(originator: u128, version: u64) -> Append {
    Append::new(vec![event(Uuid::from_u128(originator), version)])
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
