//! What a recorder promises of recording.

use boxes_recorder::{Append, Position, RecorderError, StreamRange, Tracking};
use uuid::Uuid;

use crate::recorder_contract::Store;
use crate::recorder_fixture::{
    A, B, C, Outcome, accepted, append, at, event, events, head, ids, position, record, record_one,
    step, stream, versions, whole_log,
};

/// No events, no head, no positions; and an append of nothing leaves it so.
pub async fn an_empty_store_has_nothing_to_read(store: impl Store) {
    let recorder = store.open().await;
    assert_eq!(head(&*recorder).await, 0);
    assert_eq!(whole_log(&*recorder).await, []);
    assert_eq!(stream(&*recorder, A, StreamRange::ALL).await, []);
    assert_eq!(position(&*recorder, "orders").await, None);
    assert!(record(&*recorder, &[]).await.is_empty());
    assert_eq!(accepted(&*recorder, Append::default()).await, 1..1);
    assert_eq!(head(&*recorder).await, 0);
}

/// 1, 2, 3, …, in the order in which requests stand in a batch and events in a request.
pub async fn ids_are_dense_in_the_order_of_requests_and_events(store: impl Store) {
    let recorder = store.open().await;
    let two = Append::new(vec![event(A, 1), event(B, 1)]);
    let outcomes = record(&*recorder, &[two, Append::default(), append(A, 2)]).await;
    let got = outcomes.into_iter().map(|outcome| outcome.unwrap().ids);
    let got: Vec<_> = got.collect();
    assert_eq!(got, [1..3, 3..3, 3..4]);
    assert_eq!(accepted(&*recorder, append(C, 1)).await, 4..5);
    let log = whole_log(&*recorder).await;
    assert_eq!(ids(&log), [1, 2, 3, 4]);
    let events: Vec<_> = log
        .into_iter()
        .map(|notification| notification.event)
        .collect();
    assert_eq!(events, [event(A, 1), event(B, 1), event(A, 2), event(C, 1)]);
    assert_eq!(head(&*recorder).await, 4);
}

/// A request is one piece, whatever part of it is in conflict; and refused ones take no ids.
pub async fn events_of_several_aggregates_and_a_step_are_recorded_together_or_not_at_all(
    store: impl Store,
) {
    let recorder = store.open().await;
    let together =
        Append::new(vec![event(A, 1), event(B, 1), event(A, 2)]).with_tracking(step(None, 7));
    assert_eq!(accepted(&*recorder, together).await, 1..4);
    assert_eq!(position(&*recorder, "orders").await, Some(at(7)));

    // The last event conflicts; then the step does.
    let conflict =
        Append::new(vec![event(A, 3), event(C, 1), event(B, 1)]).with_tracking(step(Some(7), 8));
    record_one(&*recorder, conflict).await.unwrap_err();
    let moved = Append::new(vec![event(A, 3), event(C, 1)]).with_tracking(step(Some(6), 8));
    record_one(&*recorder, moved).await.unwrap_err();
    assert_eq!(head(&*recorder).await, 3);
    assert_eq!(
        versions(&stream(&*recorder, A, StreamRange::ALL).await),
        [1, 2]
    );
    assert_eq!(stream(&*recorder, C, StreamRange::ALL).await, []);
    assert_eq!(position(&*recorder, "orders").await, Some(at(7)));

    let after = Append::new(vec![event(A, 3), event(C, 1)]).with_tracking(step(Some(7), 8));
    assert_eq!(
        accepted(&*recorder, after).await,
        4..6,
        "what was refused took no ids"
    );
    assert_eq!(
        accepted(
            &*recorder,
            Append::default().with_tracking(step(Some(8), 9))
        )
        .await,
        6..6
    );
    assert_eq!(position(&*recorder, "orders").await, Some(at(9)));
}

/// Those beside it in the batch are recorded, without a hole.
pub async fn a_conflict_refuses_its_request_alone(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, append(A, 1)).await;
    let batch = [
        append(B, 1),
        append(A, 1),
        append(C, 1),
        append(A, 3),
        append(A, 2),
    ];
    let outcomes = record(&*recorder, &batch).await;
    let refused = |outcome: &Outcome| {
        matches!(
            outcome,
            Err(RecorderError::VersionConflict {
                originator_id: A,
                ..
            })
        )
    };
    assert!(
        refused(&outcomes[1]) && refused(&outcomes[3]),
        "{outcomes:?}"
    );
    let accepted = outcomes.into_iter().filter_map(Result::ok);
    let ids: Vec<_> = accepted.map(|appended| appended.ids).collect();
    assert_eq!(ids, [2..3, 3..4, 4..5]);
    let log: Vec<_> = whole_log(&*recorder)
        .await
        .into_iter()
        .map(|notification| notification.event)
        .collect();
    assert_eq!(log, [event(A, 1), event(B, 1), event(C, 1), event(A, 2)]);
}

/// As if each had been a batch of its own.
pub async fn a_request_sees_those_before_it_in_its_batch(store: impl Store) {
    let recorder = store.open().await;
    let tracked = |version, from, to| append(B, version).with_tracking(step(from, to));
    let batch = [
        append(A, 1),
        append(A, 2),
        append(A, 2),
        tracked(1, None, 3),
        tracked(2, None, 4),
        tracked(2, Some(3), 5),
    ];
    let outcomes = record(&*recorder, &batch).await;
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
    assert!(matches!(
        outcomes[2],
        Err(RecorderError::VersionConflict {
            version: 2,
            recorded: 2,
            ..
        })
    ));
    assert!(outcomes[3].is_ok());
    let Err(RecorderError::TrackingMoved { recorded, .. }) = &outcomes[4] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(*recorded, Some(at(3)));
    assert_eq!(outcomes[5].as_ref().unwrap().ids, 4..5);
    assert_eq!(position(&*recorder, "orders").await, Some(at(5)));
}

/// Taken ones and ones that are too far ahead.
pub async fn a_version_that_does_not_follow_is_refused_with_the_recorded_one(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..4))).await;
    for (originator_id, version, recorded) in [(A, 1, 3), (A, 3, 3), (A, 5, 3), (B, 2, 0)] {
        let outcome = record_one(&*recorder, append(originator_id, version)).await;
        let Err(RecorderError::VersionConflict {
            originator_id: id,
            version: refused,
            recorded: found,
        }) = outcome
        else {
            panic!("version {version} after {recorded}: {outcome:?}")
        };
        assert_eq!((id, refused, found), (originator_id, version, recorded));
    }
    assert_eq!(accepted(&*recorder, append(A, 4)).await, 4..5);
}

/// Not from before, not from beyond, not twice, and not from the same id in another history.
pub async fn a_step_is_taken_only_from_where_the_follower_is(store: impl Store) {
    let recorder = store.open().await;
    let take = |from, to| record_one(&*recorder, Append::default().with_tracking(step(from, to)));
    let moved = |outcome: Outcome| {
        let Err(RecorderError::TrackingMoved { follower, recorded }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(follower, "orders");
        recorded
    };
    assert_eq!(
        moved(take(Some(1), 2).await),
        None,
        "there is no position yet"
    );
    take(None, 5).await.unwrap();
    // As if it had none; from before; from beyond; the same step again.
    for (from, to) in [(None, 6), (Some(4), 6), (Some(6), 7), (None, 5)] {
        assert_eq!(
            moved(take(from, to).await),
            Some(at(5)),
            "from {from:?} to {to}"
        );
    }
    let mut other = step(Some(5), 6);
    other.epoch = Uuid::from_u128(9);
    other.from = Some(Position::new(other.epoch, 5));
    let outcome = record_one(&*recorder, Append::default().with_tracking(other)).await;
    assert_eq!(
        moved(outcome),
        Some(at(5)),
        "from the same id in another history"
    );
    take(Some(5), 6).await.unwrap();
    assert_eq!(position(&*recorder, "orders").await, Some(at(6)));
}

/// Ids of two epochs are not on one line.
pub async fn a_step_into_another_history_is_refused(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::default().with_tracking(step(None, 5))).await;
    let mut into = step(Some(5), 6);
    into.epoch = Uuid::from_u128(9);
    let outcome = record_one(&*recorder, append(A, 1).with_tracking(into)).await;
    assert!(
        matches!(outcome, Err(RecorderError::Invalid { .. })),
        "{outcome:?}"
    );
    assert_eq!(position(&*recorder, "orders").await, Some(at(5)));
    assert_eq!(head(&*recorder).await, 0);
}

/// Names are compared byte for byte, whatever characters they have.
pub async fn followers_do_not_know_of_each_other(store: impl Store) {
    let recorder = store.open().await;
    let names = ["orders", "Orders", "órdenes 日本 🦀", "", "a'b\"c"];
    let take = |follower: &str, from: Option<u64>, to| {
        Append::default().with_tracking(Tracking {
            follower: follower.to_owned(),
            ..step(from, to)
        })
    };
    let batch: Vec<_> = (1..)
        .zip(names)
        .map(|(to, name)| take(name, None, to))
        .collect();
    for outcome in record(&*recorder, &batch).await {
        outcome.unwrap();
    }
    accepted(&*recorder, take("orders", Some(1), 100)).await;
    for (to, name) in (1..).zip(names) {
        let expected = if name == "orders" { 100 } else { to };
        assert_eq!(
            position(&*recorder, name).await,
            Some(at(expected)),
            "{name}"
        );
    }
    assert_eq!(position(&*recorder, "payments").await, None);
}

/// Also by an engine that is called without a group commit before it.
pub async fn an_invalid_request_is_refused_alone(store: impl Store) {
    let recorder = store.open().await;
    let invalid = [
        append(A, 0),
        Append::new(vec![event(A, 1), event(A, 3)]),
        Append::new(vec![event(A, 2), event(A, 1)]),
        append(A, 1).with_tracking(step(None, 0)),
        append(A, 1).with_tracking(step(Some(5), 5)),
        append(A, 1).with_tracking(step(Some(5), 4)),
    ];
    for invalid in invalid {
        let number = head(&*recorder).await + 1;
        let outcomes = record(&*recorder, &[invalid.clone(), append(B, number)]).await;
        assert!(
            matches!(outcomes[0], Err(RecorderError::Invalid { .. })),
            "{invalid:?}: {outcomes:?}"
        );
        assert_eq!(outcomes[1].as_ref().unwrap().ids, number..number + 1);
    }
    assert_eq!(stream(&*recorder, A, StreamRange::ALL).await, []);
}

/// Around the sizes at which engines cut their statements.
pub async fn requests_of_any_number_of_events_are_recorded_whole(store: impl Store) {
    let recorder = store.open().await;
    let mut expected = Vec::new();
    let sizes = [
        1_u64, 2, 3, 7, 16, 31, 100, 127, 128, 129, 255, 256, 257, 511, 513, 1_000,
    ];
    for (number, size) in (100_u128..).zip(sizes) {
        let events = events(Uuid::from_u128(number), 1..size + 1);
        expected.extend(events.clone());
        // Once as one request, once each event as a request of its own.
        if number % 2 == 0 {
            accepted(&*recorder, Append::new(events)).await;
        } else {
            let batch: Vec<_> = events
                .into_iter()
                .map(|event| Append::new(vec![event]))
                .collect();
            let outcomes = record(&*recorder, &batch).await;
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
    }
    let log = whole_log(&*recorder).await;
    assert_eq!(ids(&log), (1..=sizes.iter().sum()).collect::<Vec<_>>());
    assert!(
        log.into_iter()
            .map(|notification| notification.event)
            .eq(expected),
        "other events, or another order"
    );
}

/// Kept, or refused as invalid; never kept as another number, and no panic.
pub async fn the_ends_of_the_numbers_are_no_surprise(store: impl Store) {
    let recorder = store.open().await;
    let refused = |outcome: &Outcome| {
        matches!(
            outcome,
            Err(RecorderError::Invalid { .. } | RecorderError::VersionConflict { .. })
        )
    };
    for version in [u64::MAX, 1 << 63, (1 << 63) - 1] {
        let outcomes = record(
            &*recorder,
            &[
                append(A, version),
                Append::new(events(A, version - 1..version)),
            ],
        )
        .await;
        assert!(outcomes.iter().all(refused), "{outcomes:?}");
    }
    for to in [(1 << 63) - 1, u64::MAX] {
        let follower = to.to_string();
        let tracking = Tracking {
            follower: follower.clone(),
            ..step(None, to)
        };
        match record_one(&*recorder, Append::default().with_tracking(tracking)).await {
            Ok(_) => assert_eq!(
                position(&*recorder, &follower).await,
                Some(at(to)),
                "kept, and kept right"
            ),
            Err(RecorderError::Invalid { .. }) => {
                assert_eq!(position(&*recorder, &follower).await, None);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(
        accepted(&*recorder, append(A, 1)).await,
        1..2,
        "the store still works"
    );
}
