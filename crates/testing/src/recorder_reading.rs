//! What a recorder promises of reading.

use boxes_recorder::{Append, Encoding, StoredEvent, StreamRange};
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::recorder_contract::Store;
use crate::recorder_fixture::{
    A, B, C, accepted, at, event, events, head, ids, position, step, stream, versions, whole_log,
};

/// Also where the range is empty or ends beyond the newest version.
pub async fn an_aggregate_is_read_by_range_limit_and_order(store: impl Store) {
    let recorder = store.open().await;
    for version in 1..=10 {
        accepted(
            &*recorder,
            Append::new(vec![event(A, version), event(B, version)]),
        )
        .await;
    }
    let all = StreamRange::ALL;
    let cases = [
        (all, (1..=10).collect::<Vec<_>>()),
        (
            StreamRange {
                descending: true,
                ..all
            },
            (1..=10).rev().collect(),
        ),
        (StreamRange::after(7), vec![8, 9, 10]),
        (StreamRange { until: 3, ..all }, vec![1, 2, 3]),
        (
            StreamRange {
                after: 3,
                until: 6,
                ..all
            },
            vec![4, 5, 6],
        ),
        (
            StreamRange {
                after: 3,
                limit: 2,
                ..all
            },
            vec![4, 5],
        ),
        (
            StreamRange {
                limit: 1,
                descending: true,
                ..all
            },
            vec![10],
        ),
        (
            StreamRange {
                after: 2,
                until: 8,
                limit: 3,
                descending: true,
                ..all
            },
            vec![8, 7, 6],
        ),
        (StreamRange { limit: 0, ..all }, vec![]),
        (StreamRange::after(10), vec![]),
        (StreamRange::after(u64::MAX), vec![]),
        (
            StreamRange {
                after: 6,
                until: 6,
                ..all
            },
            vec![],
        ),
        (
            StreamRange {
                after: 8,
                until: 2,
                ..all
            },
            vec![],
        ),
    ];
    for (range, expected) in cases {
        let found = stream(&*recorder, A, range).await;
        assert_eq!(versions(&found), expected, "{range:?}");
        assert!(
            found
                .iter()
                .all(|found| *found == event(A, found.originator_version)),
            "{range:?}"
        );
    }
    assert_eq!(stream(&*recorder, C, all).await, []);
}

/// From a time on, and up to before another one; in the order of versions, also where the clock went back.
pub async fn an_aggregate_is_read_by_the_time_at_which_it_happened(store: impl Store) {
    let recorder = store.open().await;
    let time = |seconds: i64, nanoseconds: i32| Timestamp::new(seconds, nanoseconds).unwrap();
    let times = [10, 20, 20, 30, 15, 40].map(|seconds| time(seconds, 0));
    let happened = (1..).zip(times).map(|(version, occurred_on)| StoredEvent {
        occurred_on,
        ..event(A, version)
    });
    accepted(&*recorder, Append::new(happened.collect())).await;
    accepted(&*recorder, Append::new(events(B, 1..3))).await;
    let all = StreamRange::ALL;
    let between = |since, before| StreamRange {
        since,
        before,
        ..all
    };
    let cases = [
        (between(Some(time(20, 0)), None), vec![2, 3, 4, 6]),
        (between(None, Some(time(20, 0))), vec![1, 5]),
        (between(Some(time(20, 0)), Some(time(30, 0))), vec![2, 3]),
        (between(Some(time(20, 1)), Some(time(30, 1))), vec![4]),
        (between(Some(time(20, 0)), Some(time(20, 0))), vec![]),
        (between(Some(time(41, 0)), None), vec![]),
        (
            between(Some(Timestamp::MIN), Some(Timestamp::MAX)),
            vec![1, 2, 3, 4, 5, 6],
        ),
        (
            StreamRange {
                since: Some(time(15, 0)),
                after: 2,
                limit: 2,
                ..all
            },
            vec![3, 4],
        ),
        (
            StreamRange {
                before: Some(time(40, 0)),
                until: 5,
                ..StreamRange::newest(2)
            },
            vec![5, 4],
        ),
    ];
    for (range, expected) in cases {
        let found = stream(&*recorder, A, range).await;
        assert_eq!(versions(&found), expected, "{range:?}");
    }
}

/// In its place in the log; the oldest one, if somebody gave an id twice.
pub async fn an_event_is_found_by_its_id(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..6))).await;
    accepted(&*recorder, Append::new(events(B, 1..4))).await;
    let find = async |event_id| recorder.select_event(event_id).await.unwrap();
    for (id, expected) in [(1, event(A, 1)), (4, event(A, 4)), (7, event(B, 2))] {
        let found = find(expected.event_id).await.unwrap();
        assert_eq!((found.id, found.event), (id, expected));
    }
    assert_eq!(find(Uuid::from_u128(9)).await, None);
    let twice = StoredEvent {
        event_id: event(A, 2).event_id,
        ..event(C, 1)
    };
    accepted(&*recorder, Append::new(vec![twice])).await;
    assert_eq!(find(event(A, 2).event_id).await.unwrap().id, 2);
}

/// Also from before the first id and from beyond the last one.
pub async fn the_log_is_read_from_any_id_with_a_limit(store: impl Store) {
    let recorder = store.open().await;
    accepted(&*recorder, Append::new(events(A, 1..11))).await;
    let cases = [
        (1, 10, 1..11),
        (1, 3, 1..4),
        (4, 3, 4..7),
        (9, 20, 9..11),
        (10, 1, 10..11),
        (11, 5, 0..0),
        (1, 0, 0..0),
        (0, 2, 1..3),
        (u64::MAX, 5, 0..0),
        (5, u64::MAX, 5..11),
        (u64::MAX, u64::MAX, 0..0),
    ];
    for (first, limit, expected) in cases {
        let found = recorder.select_notifications(first, limit).await.unwrap();
        assert_eq!(
            ids(&found),
            expected.collect::<Vec<_>>(),
            "{limit} from {first}"
        );
        assert!(
            found.iter().all(|found| found.event == event(A, found.id)),
            "{limit} from {first}"
        );
    }
}

/// Byte for byte: any state, 5 MiB of it, any script, and times from the year 1 to 9999.
pub async fn everything_that_an_event_says_comes_back(store: impl Store) {
    let recorder = store.open().await;
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large: Vec<u8> = every_byte
        .iter()
        .copied()
        .cycle()
        .take(5 * 1024 * 1024 + 1)
        .collect();
    let encodings = [
        Encoding::JSON,
        Encoding::new("json+zlib"),
        Encoding::new("json+zlib+aes-256-gcm-siv"),
    ];
    let times = [
        0,
        1,
        999_999,
        -1,
        -62_135_596_800_000_000,
        253_402_207_200_000_000 - 1,
    ];
    let mut expected = Vec::new();
    for (number, state) in [
        b"{}".to_vec(),
        Vec::new(),
        every_byte,
        b"null\0".to_vec(),
        large,
    ]
    .into_iter()
    .enumerate()
    {
        expected.push(StoredEvent {
            event_id: Uuid::from_u128(u128::MAX - u128::try_from(number).unwrap()),
            topic: format!("bücher.заказ.注文.🦀 '\"\\{number}").into(),
            schema_version: [1, 2, u32::MAX][number % 3],
            encoding: encodings[number % 3].clone(),
            state: state.into(),
            metadata: format!(r#"{{"note":"naïve – Ω 🦀 {number}"}}"#).into(),
            ..event(A, 0)
        });
    }
    expected.extend(times.map(|time| StoredEvent {
        occurred_on: Timestamp::from_microsecond(time).unwrap(),
        metadata: Bytes::new(),
        ..event(Uuid::max(), 0)
    }));
    for (version, event) in (1..).zip(&mut expected) {
        event.originator_id = Uuid::nil();
        event.originator_version = version;
    }
    accepted(&*recorder, Append::new(expected.clone())).await;
    let found = stream(&*recorder, Uuid::nil(), StreamRange::ALL).await;
    assert!(found == expected, "{found:#?}\nshould be\n{expected:#?}");
    let log: Vec<_> = whole_log(&*recorder)
        .await
        .into_iter()
        .map(|notification| notification.event)
        .collect();
    assert!(log == expected, "{log:#?}\nshould be\n{expected:#?}");
}

/// So that an event is the same in every store.
pub async fn a_finer_time_is_cut_to_microseconds(store: impl Store) {
    let recorder = store.open().await;
    let fine = Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap();
    accepted(
        &*recorder,
        Append::new(vec![StoredEvent {
            occurred_on: fine,
            ..event(A, 1)
        }]),
    )
    .await;
    let found = stream(&*recorder, A, StreamRange::ALL).await;
    assert_eq!(
        found[0].occurred_on.as_nanosecond(),
        1_700_000_000_123_456_000
    );
}

/// As far as the store can tell its contents.
pub async fn reading_changes_nothing(store: impl Store) {
    let recorder = store.open().await;
    accepted(
        &*recorder,
        Append::new(events(A, 1..50)).with_tracking(step(None, 3)),
    )
    .await;
    let log = whole_log(&*recorder).await;
    let before = store.contents();
    let reader = store.open().await;
    for recorder in [&*recorder, &*reader] {
        for _ in 0..20 {
            assert_eq!(whole_log(recorder).await, log);
            assert_eq!(stream(recorder, A, StreamRange::ALL).await.len(), 49);
            assert_eq!(stream(recorder, B, StreamRange::ALL).await, []);
            assert_eq!(position(recorder, "orders").await, Some(at(3)));
            assert_eq!(position(recorder, "nobody").await, None);
            assert_eq!(head(recorder).await, 49);
        }
    }
    assert!(
        store.contents() == before,
        "the store is not as it was before it was read"
    );
}
