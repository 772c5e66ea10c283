//! What recorders on one store promise.

use boxes_recorder::{Append, GroupCommit, GroupCommitBounds, RecorderError, StreamRange};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::LiveReading;
use crate::recorder_contract::Store;
use crate::recorder_fixture::{
    A, B, accepted, append, at, event, events, head, ids, position, record_one, step, stream,
    versions, whole_log,
};

/// Events, positions, head and identity; and it goes on where it was.
pub async fn a_store_that_is_opened_again_has_everything_and_the_same_epoch(store: impl Store) {
    let recorder = store.open().await;
    let log = recorder.log().clone();
    for version in 1..=30 {
        let from = (version > 1).then_some(version - 1);
        let both = Append::new(vec![event(A, version), event(B, version)])
            .with_tracking(step(from, version));
        accepted(&*recorder, both).await;
    }
    let before = whole_log(&*recorder).await;
    drop(recorder);

    let recorder = store.open().await;
    assert_eq!(*recorder.log(), log);
    assert_eq!(whole_log(&*recorder).await, before);
    assert_eq!(
        (head(&*recorder).await, position(&*recorder, "orders").await),
        (60, Some(at(30)))
    );
    record_one(&*recorder, append(A, 30)).await.unwrap_err();
    assert_eq!(accepted(&*recorder, append(A, 31)).await, 61..62);
}

/// Whatever an engine remembers of what it wrote itself.
pub async fn recorders_on_one_store_see_and_check_what_the_others_record(store: impl Store) {
    let [one, other] = [store.open().await, store.open().await];
    assert_eq!(one.log(), other.log());
    for round in 0..5 {
        let (a, b) = (2 * round + 1, 2 * round + 2);
        assert_eq!(accepted(&*one, append(A, a)).await, a..a + 1);
        assert_eq!(head(&*other).await, a);
        let late = record_one(&*other, append(A, a)).await;
        assert!(
            matches!(late, Err(RecorderError::VersionConflict { recorded, .. }) if recorded == a),
            "{late:?}"
        );
        let from = (round > 0).then_some(b - 2);
        assert_eq!(
            accepted(&*other, append(A, b).with_tracking(step(from, b))).await,
            b..b + 1
        );
        let late = record_one(&*one, append(A, b)).await;
        assert!(
            matches!(late, Err(RecorderError::VersionConflict { recorded, .. }) if recorded == b),
            "{late:?}"
        );
        let late = record_one(&*one, Append::default().with_tracking(step(from, b))).await;
        assert!(
            matches!(late, Err(RecorderError::TrackingMoved { .. })),
            "{late:?}"
        );
    }
    assert_eq!(
        versions(&stream(&*one, A, StreamRange::ALL).await),
        (1..=10).collect::<Vec<_>>()
    );
}

/// Three recorders race for the versions of one aggregate.
pub async fn rivals_write_each_version_once(store: impl Store) {
    const VERSIONS: u64 = 40;
    let mut rivals = JoinSet::new();
    for _ in 0..3 {
        let recorder = store.open().await;
        rivals.spawn(async move {
            let mut written = Vec::new();
            let mut version = 0;
            while version < VERSIONS {
                match record_one(&*recorder, append(A, version + 1)).await {
                    Ok(_) => {
                        version += 1;
                        written.push(version);
                    }
                    Err(RecorderError::VersionConflict { recorded, .. }) => version = recorded,
                    Err(other) => panic!("{other:?}"),
                }
                tokio::task::yield_now().await;
            }
            written
        });
    }
    let mut written = rivals.join_all().await.concat();
    written.sort_unstable();
    assert_eq!(written, (1..=VERSIONS).collect::<Vec<_>>());
    let recorder = store.open().await;
    assert_eq!(
        versions(&stream(&*recorder, A, StreamRange::ALL).await),
        written
    );
    assert_eq!(ids(&whole_log(&*recorder).await), written);
}

/// Four recorders with four writers each, as four processes; what was read is what was acknowledged.
pub async fn a_live_reader_reads_everything_once_in_order_while_sixteen_write(store: impl Store) {
    const PROCESSES: u128 = 4;
    const WRITERS: u128 = 4;
    const REQUESTS: u64 = 150;
    let mut writers = JoinSet::new();
    for process in 0..PROCESSES {
        let commit = GroupCommit::start(store.open().await, GroupCommitBounds::default())
            .await
            .unwrap();
        for writer in 0..WRITERS {
            let commit = commit.clone();
            writers.spawn(write(
                commit,
                Uuid::from_u128(1_000 + process * WRITERS + writer),
                REQUESTS,
            ));
        }
    }
    let reader = store.open().await;
    let (ended, writing) = tokio::sync::watch::channel(());
    let reading = tokio::spawn(async move {
        let mut reading = LiveReading::default();
        let ended = || writing.has_changed().is_err();
        let read = reading.read_until(&*reader, ended).await;
        read.expect("the store answers");
        reading
    });
    let acknowledged: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    drop(ended);

    // REQUESTS requests of 1, 2, 3, 1, 2, 3, … events each.
    let n_events = u64::try_from(PROCESSES * WRITERS).unwrap() * REQUESTS * 2;
    assert_eq!(u64::try_from(acknowledged.len()), Ok(n_events));
    let reading = reading.await.unwrap();
    reading
        .check(&acknowledged)
        .unwrap_or_else(|flaw| panic!("{flaw}"));
    assert_eq!(reading.seen().len(), acknowledged.len());
}

/// Appends requests of one to three events of one aggregate, with a conflict before each; says what got which id.
async fn write(commit: GroupCommit, originator_id: Uuid, n_requests: u64) -> Vec<(u64, Uuid)> {
    let mut acknowledged = Vec::new();
    let mut next = 1;
    for request in 0..n_requests {
        let conflict = commit.append(append(originator_id, next + 1)).await;
        assert!(
            matches!(conflict, Err(RecorderError::VersionConflict { .. })),
            "{conflict:?}"
        );
        let events = events(originator_id, next..next + 1 + request % 3);
        next += 1 + request % 3;
        let event_ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
        let appended = commit.append(Append::new(events)).await.expect("accepted");
        acknowledged.extend(appended.ids.zip(event_ids));
    }
    acknowledged
}
