//! What a recorder promises of an append that has more than events: deletions, values, steps with the ids of events.

use std::sync::Arc;

use boxes_recorder::{Append, KeyValueStore, KeyValueWrite, Recorder, RecorderError, StreamRange};
use bytes::Bytes;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::recorder_contract::Store;
use crate::recorder_fixture::{
    A, B, C, Outcome, accepted, append, at, event, events, head, position, record, record_one,
    step, stream, versions, whole_log,
};

const SPACE: &str = "test-value";

/// Writes `new` under the key in the place of `expected`.
fn write(
    key: &'static str,
    expected: Option<&'static str>,
    new: Option<&'static str>,
) -> KeyValueWrite {
    KeyValueWrite {
        space: SPACE.into(),
        key: Bytes::from(key),
        expected: expected.map(Bytes::from),
        new: new.map(Bytes::from),
    }
}

fn values(recorder: &dyn Recorder) -> Arc<dyn KeyValueStore> {
    recorder.key_value_store().expect("it keeps values")
}

async fn value(recorder: &dyn Recorder, key: &str) -> Option<Bytes> {
    let value = values(recorder).get(SPACE, key.as_bytes()).await;
    value.expect("the store answers")
}

fn is_conflict(outcome: &Outcome, key: &str) -> bool {
    matches!(outcome, Err(RecorderError::KeyValueConflict { space, key: of })
        if space == SPACE && of == key.as_bytes())
}

fn is_deleted(outcome: &Outcome, id: Uuid) -> bool {
    matches!(outcome, Err(RecorderError::StreamDeleted { originator_id }) if *originator_id == id)
}

/// Of four parts any one refuses all of them.
pub async fn events_deletions_values_and_a_step_are_recorded_together_or_not_at_all(
    store: impl Store,
) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..4))).await;
    accepted(&*recorder, Append::new(events(B, 1..3))).await;
    let good = Append::new(vec![event(B, 3), event(C, 1)])
        .with_deletion(A)
        .with_key_value(write("1", None, Some("one")))
        .with_tracking(step(None, 7));
    let wrong_version = Append {
        events: vec![event(C, 1), event(B, 4)],
        ..good.clone()
    };
    let wrong_value = good.clone().with_key_value(write("1", None, Some("two")));
    let wrong_step = good.clone().with_tracking(step(Some(6), 7));
    let deleted = Append {
        events: vec![event(A, 5)],
        ..good.clone()
    };
    let refused = record(
        &*recorder,
        &[wrong_version, wrong_value, wrong_step, deleted],
    )
    .await;
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert!(is_conflict(&refused[1], "1"), "{refused:?}");
    for recorder in [&recorder, &store.open().await] {
        assert_eq!(head(&**recorder).await, 5);
        let of_a = stream(&**recorder, A, StreamRange::ALL).await;
        assert_eq!(versions(&of_a), [1, 2, 3], "it is not deleted");
        assert_eq!(recorder.n_redacted().await.expect("an answer"), 0);
        assert_eq!(value(&**recorder, "1").await, None);
        assert_eq!(position(&**recorder, "orders").await, None);
    }

    let appended = record_one(&*recorder, good).await.expect("accepted");
    assert_eq!(appended.ids, 6..8);
    assert_eq!(appended.deletions.len(), 1);
    let deletion = appended.deletions[0];
    assert_eq!((deletion.n_events, deletion.n_redacted), (3, 3));
    for recorder in [&recorder, &store.open().await] {
        let log = whole_log(&**recorder).await;
        let redacted: Vec<_> = log.iter().map(|n| n.event.is_redacted()).collect();
        assert_eq!(redacted, [true, true, true, false, false, false, false]);
        assert_eq!(value(&**recorder, "1").await.as_deref(), Some(&b"one"[..]));
        assert_eq!(position(&**recorder, "orders").await, Some(at(7)));
    }
}

/// Its id is spent, as if it had been deleted later; and what had no events is no aggregate yet.
pub async fn an_aggregate_that_is_created_and_deleted_in_one_append_takes_its_places_redacted(
    store: impl Store,
) {
    let recorder = store.open().await;
    let both = Append::new(vec![event(A, 1), event(B, 1), event(A, 2)])
        .with_deletion(A)
        .with_deletion(C)
        .with_deletion(A);
    let appended = record_one(&*recorder, both).await.expect("accepted");
    assert_eq!(appended.ids, 1..4);
    let told = appended.deletions.iter();
    let told: Vec<_> = told.map(|told| (told.n_events, told.n_redacted)).collect();
    assert_eq!(told, [(2, 2), (0, 2), (2, 2)]);
    let found: Vec<_> = whole_log(&*recorder).await;
    let found: Vec<_> = found.into_iter().map(|found| found.event).collect();
    let expected = [
        event(A, 1).to_redacted(),
        event(B, 1),
        event(A, 2).to_redacted(),
    ];
    assert_eq!(found, expected);
    for recorder in [&recorder, &store.open().await] {
        assert_eq!(recorder.n_redacted().await.expect("an answer"), 2);
        let read = recorder.select_events(A, StreamRange::ALL).await;
        assert!(matches!(read, Err(RecorderError::StreamDeleted { .. })));
        for version in [1, 3] {
            assert!(is_deleted(
                &record_one(&**recorder, append(A, version)).await,
                A
            ));
        }
    }
    assert_eq!(accepted(&*recorder, append(C, 1)).await, 4..5);
    let again = record_one(&*recorder, Append::default().with_deletion(A)).await;
    let again = again.expect("accepted").deletions;
    assert_eq!((again[0].n_events, again[0].n_redacted), (2, 2));
}

/// As if each had been a batch of its own: also where what is deleted was made in the same batch, or partly before.
pub async fn a_request_sees_what_those_before_it_in_its_batch_delete_and_write(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..3))).await;
    let batch = [
        Append::new(vec![event(A, 3), event(B, 1)]),
        Append::default().with_key_value(write("k", None, Some("1"))),
        append(C, 1).with_deletion(A),
        append(A, 4),
        append(C, 2).with_key_value(write("k", None, Some("2"))),
        append(C, 2).with_key_value(write("k", Some("1"), Some("2"))),
        Append::default().with_deletion(A).with_deletion(C),
        append(C, 3),
        append(B, 2).with_key_value(write("k", Some("2"), None)),
        Append::default().with_key_value(write("k", None, Some("3"))),
    ];
    let outcomes = record(&*recorder, &batch).await;
    assert!(is_deleted(&outcomes[3], A), "{outcomes:?}");
    assert!(is_conflict(&outcomes[4], "k"), "{outcomes:?}");
    assert!(is_deleted(&outcomes[7], C), "{outcomes:?}");
    let ids: Vec<_> = outcomes.iter().flatten().map(|a| a.ids.clone()).collect();
    assert_eq!(ids, [3..5, 5..5, 5..6, 6..7, 7..7, 7..8, 8..8]);
    let told = outcomes.iter().flatten().flat_map(|a| &a.deletions);
    let told: Vec<_> = told.map(|told| (told.n_events, told.n_redacted)).collect();
    assert_eq!(told, [(3, 3), (3, 3), (2, 5)]);
    assert_eq!(recorder.n_redacted().await.expect("an answer"), 5);
    let log = whole_log(&*recorder).await;
    let readable = log.iter().filter(|found| !found.event.is_redacted());
    let readable: Vec<_> = readable.map(|found| found.event.clone()).collect();
    assert_eq!((log.len(), readable), (7, events(B, 1..3)));
    assert_eq!(value(&*recorder, "k").await.as_deref(), Some(&b"3"[..]));
    // What this recorder knows without looking is what is there.
    assert!(is_deleted(&record_one(&*recorder, append(A, 4)).await, A));
    assert!(is_deleted(&record_one(&*recorder, append(C, 3)).await, C));
    assert_eq!(accepted(&*recorder, append(B, 3)).await, 8..9);
}

/// Byte for byte: nothing is not the same as an empty value; other entries are left alone; and it is the store of values
/// that others read and write.
pub async fn a_value_is_written_only_in_the_place_of_the_one_that_is_expected(store: impl Store) {
    let recorder = store.open().await;
    let values = values(&*recorder);
    values.put(SPACE, b"0", b"zero").await.expect("an answer");
    values
        .put("other", b"1", b"other")
        .await
        .expect("an answer");
    let try_to = |key, expected, new| {
        let append = Append::default().with_key_value(write(key, expected, new));
        record_one(&*recorder, append)
    };
    assert!(is_conflict(&try_to("1", Some(""), Some("a")).await, "1"));
    try_to("1", None, Some("")).await.expect("there is none");
    assert!(is_conflict(&try_to("1", None, Some("a")).await, "1"));
    assert!(is_conflict(&try_to("1", Some("a"), Some("b")).await, "1"));
    try_to("1", Some(""), Some("\0a'")).await.expect("it is so");
    assert_eq!(value(&*recorder, "1").await.as_deref(), Some(&b"\0a'"[..]));
    assert!(is_conflict(&try_to("1", Some("\0A'"), None).await, "1"));
    // Checked and left.
    try_to("1", Some("\0a'"), Some("\0a'")).await.expect("so");
    try_to("2", None, None).await.expect("there is none");
    assert!(is_conflict(&try_to("2", Some("x"), None).await, "2"));
    try_to("1", Some("\0a'"), None).await.expect("it is so");
    assert_eq!(value(&*recorder, "1").await, None);
    try_to("0", Some("zero"), Some("one")).await.expect("so");
    let other = store.open().await;
    assert_eq!(value(&*other, "0").await.as_deref(), Some(&b"one"[..]));
    let left = values.get("other", b"1").await.expect("an answer");
    assert_eq!(left.as_deref(), Some(&b"other"[..]));

    let too_long = KeyValueWrite {
        key: vec![b'k'; 513].into(),
        ..write("", None, Some("a"))
    };
    let both = [
        Append::default().with_key_value(too_long),
        Append::default().with_key_value(write("3", None, Some("c"))),
    ];
    let outcomes = record(&*recorder, &both).await;
    assert!(matches!(outcomes[0], Err(RecorderError::Invalid { .. })));
    outcomes[1].as_ref().expect("it is refused alone");
}

/// Each of several that read a value, and write another in its place with an event, counts once; also where one of them writes
/// without an append.
pub async fn of_several_that_write_one_value_at_a_time_each_counts_once(store: impl Store) {
    const N_EACH: u32 = 20;
    let mut writers = JoinSet::new();
    for writer in 0..4_u128 {
        let recorder = store.open().await;
        writers.spawn(async move {
            let mut done = 0;
            while done < N_EACH {
                let before = value(&*recorder, "n").await;
                let n = before.as_ref().map_or(0, number);
                let after = Bytes::from((n + 1).to_string());
                let is_done = if writer == 0 {
                    replace(&*recorder, before.as_ref(), &after).await
                } else {
                    let append = Append {
                        events: vec![event(Uuid::from_u128(writer), u64::from(done) + 1)],
                        ..Append::default()
                    };
                    let write = KeyValueWrite {
                        space: SPACE.into(),
                        key: "n".into(),
                        expected: before,
                        new: Some(after),
                    };
                    match record_one(&*recorder, append.with_key_value(write)).await {
                        Err(RecorderError::KeyValueConflict { .. }) => false,
                        outcome => outcome.map(|_| true).expect("nothing else conflicts"),
                    }
                };
                done += u32::from(is_done);
            }
        });
    }
    writers.join_all().await;
    let recorder = store.open().await;
    let last = value(&*recorder, "n").await.expect("it was written");
    assert_eq!(number(&last), 4 * N_EACH);
    assert_eq!(head(&*recorder).await, u64::from(3 * N_EACH));
}

fn number(value: &Bytes) -> u32 {
    let text = str::from_utf8(value).expect("a text");
    text.parse().expect("a number")
}

async fn replace(recorder: &dyn Recorder, before: Option<&Bytes>, after: &Bytes) -> bool {
    let values = values(recorder);
    let done = match before {
        None => values.put_if_absent(SPACE, b"n", after).await,
        Some(before) => values.replace(SPACE, b"n", before, after).await,
    };
    done.expect("the store answers")
}

/// And one that has none takes that of the step before away. Steps are taken from epoch and id alone.
pub async fn the_event_of_a_position_is_kept_with_it(store: impl Store) {
    let recorder = store.open().await;
    let mut first = step(None, 3);
    first.event_id = Some(Uuid::from_u128(30));
    accepted(&*recorder, append(A, 1).with_tracking(first)).await;
    let recorded = at(3).with_event_id(Some(Uuid::from_u128(30)));
    for recorder in [&recorder, &store.open().await] {
        assert_eq!(position(&**recorder, "orders").await, Some(recorded));
    }
    let moved = record_one(&*recorder, Append::default().with_tracking(step(None, 4))).await;
    let Err(RecorderError::TrackingMoved { recorded: told, .. }) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(told, Some(recorded));
    let mut second = step(Some(3), 5);
    second.event_id = Some(Uuid::from_u128(50));
    let third = step(Some(5), 6);
    let mut from_another_event = step(Some(6), 7);
    from_another_event.from = Some(at(6).with_event_id(Some(Uuid::from_u128(60))));
    for (step, event_id) in [
        (second, Some(Uuid::from_u128(50))),
        (third, None),
        (from_another_event, None),
    ] {
        let to = at(step.to).with_event_id(event_id);
        accepted(&*recorder, Append::default().with_tracking(step)).await;
        assert_eq!(position(&*recorder, "orders").await, Some(to));
    }
}

/// Around the sizes at which engines cut their statements.
pub async fn any_number_of_streams_is_deleted_in_one_append(store: impl Store) {
    let recorder = store.open().await;
    let streams: Vec<_> = (100..400).map(Uuid::from_u128).collect();
    let stored = streams.iter().take(200).map(|id| event(*id, 1));
    accepted(&*recorder, Append::new(stored.collect())).await;
    let mut append = Append::new(Vec::new());
    append.events.extend(streams.iter().skip(100).map(|id| {
        let is_stored = *id < Uuid::from_u128(300);
        event(*id, if is_stored { 2 } else { 1 })
    }));
    append.deletions.clone_from(&streams);
    let appended = record_one(&*recorder, append).await.expect("accepted");
    assert_eq!(appended.ids, 201..401);
    let last = appended.deletions.last().expect("as many as there are");
    assert_eq!((appended.deletions.len(), last.n_redacted), (300, 400));
    let log = whole_log(&*recorder).await;
    assert!(log.iter().all(|found| found.event.is_redacted()));
    assert_eq!(
        recorder.n_redacted_in(1, 400).await.expect("an answer"),
        400
    );
}
