//! What a recorder promises of streams that are deleted.

use boxes_recorder::{
    Append, Deletion, Encoding, Recorder, RecorderError, StoredEvent, StreamRange,
};
use uuid::Uuid;

use crate::recorder_contract::Store;
use crate::recorder_fixture::{
    A, B, C, accepted, append, at, event, events, head, position, record, record_one, step, stream,
    whole_log,
};

async fn delete(recorder: &dyn Recorder, originator_id: Uuid) -> Deletion {
    recorder
        .delete_stream(originator_id)
        .await
        .expect("the store answers")
}

async fn n_redacted_in(recorder: &dyn Recorder, first: u64, last: u64) -> u64 {
    recorder
        .n_redacted_in(first, last)
        .await
        .expect("the store answers")
}

fn is_deleted<T: std::fmt::Debug>(refused: Result<T, RecorderError>, id: Uuid) {
    match refused {
        Err(RecorderError::StreamDeleted { originator_id }) if originator_id == id => {}
        other => panic!("not refused as deleted: {other:?}"),
    }
}

/// Ids stay dense; what stays is who, when and what kind, and nothing of what was said. Others are left as they are.
pub async fn a_deleted_stream_leaves_its_places_in_the_log_redacted(store: impl Store) {
    let recorder = store.open().await;
    for version in 1..=4 {
        let of_both = vec![event(A, version), event(B, version)];
        accepted(&*recorder, Append::new(of_both)).await;
    }
    let before = whole_log(&*recorder).await;
    let deletion = delete(&*recorder, A).await;
    assert_eq!((deletion.n_events, deletion.n_redacted), (4, 4));
    let after = whole_log(&*recorder).await;
    assert_eq!(after.len(), before.len());
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.id, before.id);
        if before.event.originator_id == B {
            assert_eq!(after.event, before.event);
            continue;
        }
        let expected = StoredEvent {
            encoding: Encoding::REDACTED,
            state: b"".as_slice().into(),
            metadata: b"{}".as_slice().into(),
            ..before.event.clone()
        };
        assert_eq!(after.event, expected);
    }
    let found = recorder.select_event(event(A, 2).event_id).await;
    let found = found.expect("the store answers").expect("it has its place");
    assert!(found.id == 3 && found.event.is_redacted(), "{found:?}");
    let again = store.open().await;
    assert_eq!(whole_log(&*again).await, after);
}

/// Whatever the range; and whichever version comes next, in its batch it is refused alone.
pub async fn a_deleted_stream_is_neither_read_nor_written_again(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..4))).await;
    delete(&*recorder, A).await;
    for range in [
        StreamRange::ALL,
        StreamRange::after(3),
        StreamRange::after(u64::MAX),
        StreamRange::newest(1),
        StreamRange {
            after: 1,
            until: 2,
            limit: 1,
            ..StreamRange::ALL
        },
        StreamRange {
            limit: 0,
            ..StreamRange::ALL
        },
        StreamRange {
            before: Some(jiff::Timestamp::UNIX_EPOCH),
            ..StreamRange::newest(1)
        },
    ] {
        is_deleted(recorder.select_events(A, range).await, A);
    }
    for version in [1, 4, 9] {
        let both = Append::new(vec![event(B, version), event(A, version)]);
        is_deleted(record_one(&*recorder, both).await, A);
    }
    let outcomes = record(
        &*recorder,
        &[
            append(B, 1),
            append(A, 4).with_tracking(step(None, 5)),
            append(B, 2),
        ],
    )
    .await;
    assert_eq!(outcomes[0].as_ref().expect("it is accepted").ids, (4..5));
    is_deleted(outcomes[1].clone(), A);
    assert_eq!(outcomes[2].as_ref().expect("it is accepted").ids, (5..6));
    assert_eq!(position(&*recorder, "orders").await, None);
    accepted(&*recorder, append(C, 1).with_tracking(step(None, 5))).await;
    assert_eq!(position(&*recorder, "orders").await, Some(at(5)));
    assert_eq!(head(&*recorder).await, 6);
    is_deleted(
        store.open().await.select_events(A, StreamRange::ALL).await,
        A,
    );
}

/// And one that was never there may begin later.
pub async fn deleting_again_changes_nothing_and_says_the_same(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..4))).await;
    accepted(&*recorder, Append::new(events(B, 1..3))).await;
    let never = delete(&*recorder, C).await;
    assert_eq!((never.n_events, never.n_redacted), (0, 0));
    let first = delete(&*recorder, A).await;
    assert_eq!((first.n_events, first.n_redacted), (3, 3));
    let log = whole_log(&*recorder).await;
    assert_eq!(delete(&*recorder, A).await, first);
    assert_eq!(delete(&*store.open().await, A).await, first);
    assert_eq!(whole_log(&*recorder).await, log);
    let second = delete(&*recorder, B).await;
    assert_eq!((second.n_events, second.n_redacted), (2, 5));
    let again = delete(&*recorder, A).await;
    assert_eq!((again.n_events, again.n_redacted), (3, 5));
    accepted(&*recorder, append(C, 1)).await;
    assert_eq!(stream(&*recorder, C, StreamRange::ALL).await.len(), 1);
}

/// As a whole, and in any range, so that a page is known by how many of it are.
pub async fn redacted_notifications_are_counted(store: impl Store) {
    let recorder = store.open().await;
    for version in 1..=5 {
        let of_both = vec![event(A, version), event(B, version)];
        accepted(&*recorder, Append::new(of_both)).await;
    }
    let other = store.open().await;
    for recorder in [&*recorder, &*other] {
        assert_eq!(recorder.n_redacted().await.expect("an answer"), 0);
        assert_eq!(n_redacted_in(recorder, 1, 10).await, 0);
    }
    delete(&*recorder, A).await;
    accepted(&*recorder, append(B, 6)).await;
    for recorder in [&*recorder, &*other, &*store.open().await] {
        assert_eq!(recorder.n_redacted().await.expect("an answer"), 5);
        for (first, last, n_redacted) in [
            (1, 10, 5),
            (0, u64::MAX, 5),
            (1, 1, 1),
            (2, 2, 0),
            (2, 5, 2),
            (9, 11, 1),
            (10, 11, 0),
            (12, 20, 0),
            (7, 6, 0),
            (u64::MAX, u64::MAX, 0),
        ] {
            let counted = n_redacted_in(recorder, first, last).await;
            assert_eq!(counted, n_redacted, "{first} to {last}");
        }
    }
}

/// Also one that has written to it a moment ago, and so knows its version without looking.
pub async fn a_deletion_counts_for_every_recorder_on_the_store(store: impl Store) {
    let (one, other) = (store.open().await, store.open().await);
    accepted(&*one, Append::new(vec![event(A, 1), event(B, 1)])).await;
    delete(&*other, A).await;
    is_deleted(record_one(&*one, append(A, 2)).await, A);
    is_deleted(one.select_events(A, StreamRange::ALL).await, A);
    accepted(&*one, append(B, 2)).await;
    // And one that deletes what it wrote itself.
    delete(&*one, B).await;
    is_deleted(record_one(&*one, append(B, 3)).await, B);
    is_deleted(record_one(&*other, append(B, 3)).await, B);
}

/// Whoever is first: in the end all of the stream is redacted, and nothing follows.
pub async fn a_stream_that_is_deleted_while_others_write_to_it_ends_there(store: impl Store) {
    let (writer, deleter) = (store.open().await, store.open().await);
    accepted(&*writer, Append::new(vec![event(A, 1), event(B, 1)])).await;
    let writing = tokio::spawn(async move {
        for version in 2.. {
            match record_one(&*writer, append(A, version)).await {
                Ok(_) => {}
                Err(RecorderError::StreamDeleted { .. }) => return version - 1,
                Err(error) => panic!("{error}"),
            }
        }
        0
    });
    while head(&*deleter).await < 10 {
        tokio::task::yield_now().await;
    }
    let deletion = delete(&*deleter, A).await;
    let n_written = writing.await.expect("it writes");
    assert_eq!(deletion.n_events, n_written);
    let log = whole_log(&*deleter).await;
    let ids = (1..).zip(&log).all(|(id, found)| found.id == id);
    assert!(ids, "the log has holes");
    let redacted = log.iter().filter(|found| found.event.is_redacted());
    assert_eq!(u64::try_from(redacted.count()), Ok(n_written));
    assert_eq!(u64::try_from(log.len()), Ok(n_written + 1));
}
