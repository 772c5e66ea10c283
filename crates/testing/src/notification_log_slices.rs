//! What every notification log promises of its slices.

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::sync::Arc;

use boxes_notification_log::LogSlice;

use crate::log_fixture::SmallLog;
use crate::notification_log_suite::Seen;

/// A slice counts from 0, or from the end, over as many sections as it takes.
pub async fn slices_are_counted_from_both_ends_and_cross_sections(seen: impl Seen) {
    let small = SmallLog::with(5, 13).await;
    let log = seen.seen(small.near()).await;
    let ids = async |range: (Bound<i64>, Bound<i64>)| -> Vec<u64> {
        let slice = LogSlice::of(Arc::clone(&log), range)
            .await
            .expect("a slice");
        let length = slice.len();
        let notifications = slice.collect().await.expect("its notifications");
        let ids: Vec<u64> = notifications.iter().map(|found| found.id).collect();
        assert_eq!(ids.len(), usize::try_from(length).expect("a small slice"));
        ids
    };
    let cases = [
        (Unbounded, Unbounded, 1..=13),
        (Included(0), Excluded(1), 1..=1),
        (Included(3), Excluded(11), 4..=11),
        (Included(5), Excluded(10), 6..=10),
        (Included(4), Included(5), 5..=6),
        (Included(-3), Unbounded, 11..=13),
        (Unbounded, Excluded(-3), 1..=10),
        (Included(-9), Excluded(-7), 5..=6),
        (Included(-99), Excluded(99), 1..=13),
    ];
    for (start, end, expected) in cases {
        assert_eq!(ids((start, end)).await, expected.collect::<Vec<_>>());
    }
    for (start, end) in [
        (Included(13), Unbounded),
        (Included(7), Excluded(7)),
        (Included(7), Excluded(2)),
        (Included(-1), Excluded(-2)),
        (Unbounded, Excluded(-13)),
    ] {
        assert_eq!(ids((start, end)).await, Vec::<u64>::new());
    }
    let empty = seen.seen(SmallLog::new(5).await.near()).await;
    let slice = LogSlice::of(empty, ..).await.expect("a slice");
    assert!(slice.is_empty() && slice.collect().await.expect("nothing").is_empty());
}

/// What is appended later does not move a slice.
pub async fn a_slice_is_settled_when_it_is_made(seen: impl Seen) {
    let small = SmallLog::with(5, 7).await;
    let log = seen.seen(small.near()).await;
    let mut slice = LogSlice::of(log, -3..).await.expect("a slice");
    small.append(6).await;
    let mut ids = Vec::new();
    loop {
        let batch = slice.next_batch().await.expect("a batch");
        if batch.is_empty() {
            break;
        }
        ids.push(batch.iter().map(|found| found.id).collect::<Vec<_>>());
    }
    assert_eq!(ids, [vec![5], vec![6, 7]]);
}
