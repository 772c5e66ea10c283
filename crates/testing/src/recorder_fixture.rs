//! Events and requests for the recorder contract, and ways to ask a recorder that has to answer.

use std::ops::Range;

use boxes_recorder::{
    Append, Appended, Encoding, Notification, Position, Recorder, RecorderError, StoredEvent,
    StreamRange, Tracking,
};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) const A: Uuid = Uuid::from_u128(0xA);
pub(crate) const B: Uuid = Uuid::from_u128(0xB);
pub(crate) const C: Uuid = Uuid::from_u128(0xC);
/// The epoch of a log that is followed.
pub(crate) const UPSTREAM: Uuid = Uuid::from_u128(0x5b0c_0000_0000_4000_8000_0000_0000_0002);

pub(crate) type Outcome = Result<Appended, RecorderError>;

pub(crate) fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    let state = format!(r#"{{"of":"{originator_id}","version":{originator_version}}}"#);
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
        originator_id,
        originator_version,
        topic: "test.something.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: state.into(),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::from_microsecond(1_700_000_000_123_456).expect("a time"),
    }
}

pub(crate) fn events(originator_id: Uuid, versions: Range<u64>) -> Vec<StoredEvent> {
    versions
        .map(|version| event(originator_id, version))
        .collect()
}

pub(crate) fn append(originator_id: Uuid, version: u64) -> Append {
    Append::new(vec![event(originator_id, version)])
}

pub(crate) fn at(id: u64) -> Position {
    Position::new(UPSTREAM, id)
}

pub(crate) fn step(from: Option<u64>, to: u64) -> Tracking {
    Tracking {
        follower: "orders".to_owned(),
        epoch: UPSTREAM,
        from: from.map(at),
        to,
        event_id: None,
    }
}

pub(crate) async fn record(recorder: &dyn Recorder, batch: &[Append]) -> Vec<Outcome> {
    let outcomes = recorder.record(batch).await.expect("the store answers");
    assert_eq!(outcomes.len(), batch.len(), "each request gets an answer");
    outcomes
}

pub(crate) async fn record_one(recorder: &dyn Recorder, append: Append) -> Outcome {
    record(recorder, &[append]).await.remove(0)
}

/// Records what has to be accepted.
pub(crate) async fn accepted(recorder: &dyn Recorder, append: Append) -> Range<u64> {
    record_one(recorder, append).await.expect("accepted").ids
}

pub(crate) async fn whole_log(recorder: &dyn Recorder) -> Vec<Notification> {
    recorder
        .select_notifications(1, u64::MAX)
        .await
        .expect("the store answers")
}

pub(crate) async fn stream(
    recorder: &dyn Recorder,
    originator_id: Uuid,
    range: StreamRange,
) -> Vec<StoredEvent> {
    recorder
        .select_events(originator_id, range)
        .await
        .expect("the store answers")
}

pub(crate) async fn position(recorder: &dyn Recorder, follower: &str) -> Option<Position> {
    recorder
        .tracking(follower)
        .await
        .expect("the store answers")
}

pub(crate) async fn head(recorder: &dyn Recorder) -> u64 {
    recorder.head().await.expect("the store answers")
}

pub(crate) fn ids(notifications: &[Notification]) -> Vec<u64> {
    notifications
        .iter()
        .map(|notification| notification.id)
        .collect()
}

pub(crate) fn versions(events: &[StoredEvent]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event.originator_version)
        .collect()
}
