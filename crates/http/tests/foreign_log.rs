//! Logs of the Python library, as its services give them, read as logs of the kit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use boxes_http::{ForeignDialect, ForeignNotificationLog, MISSING_TOPIC, RemoteOptions};
use boxes_notification_log::{
    LogError, Navigation, NotificationLog, NotificationLogReader, SectionId,
};
use boxes_recorder::Position;
use serde_json::{Value, json};
use support::{DEADLINE, serve_router};

/// An application whose log has these ids, and how often it was asked.
#[derive(Debug, Default)]
struct Application {
    ids: Mutex<Vec<u64>>,
    /// What is special of the items of some ids: members that replace those that all have.
    special: Mutex<HashMap<u64, Value>>,
    n_asked: AtomicUsize,
}

impl Application {
    fn with(ids: impl IntoIterator<Item = u64>) -> Arc<Self> {
        let application = Self::default();
        *application.ids.lock().unwrap() = ids.into_iter().collect();
        Arc::new(application)
    }

    fn make_special(&self, id: u64, members: Value) {
        self.special.lock().unwrap().insert(id, members);
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u64>)) {
        change(&mut self.ids.lock().unwrap());
    }

    /// As `LocalNotificationLog` of version 9 does it.
    fn section_9(&self, id: &str, section_size: u64) -> Value {
        let (first, last) = id.split_once(',').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let first = first.max(1);
        let limit = (last + 1).saturating_sub(first).min(section_size);
        let limit = usize::try_from(limit).unwrap();
        let ids = self.ids.lock().unwrap();
        let found = ids.iter().copied().filter(|id| *id >= first).take(limit);
        let found: Vec<_> = found.collect();
        let special = self.special.lock().unwrap();
        let item = |id: &u64| {
            let mut item = json!({ "id": id, "originator_id": format!("{id:032x}"), "originator_version": 1, "topic": "kennel:Dog.Registered", "state": "e30=" });
            let members = special.get(id).and_then(Value::as_object);
            for (name, value) in members.into_iter().flatten() {
                item[name] = value.clone();
            }
            item
        };
        let next = found
            .last()
            .filter(|_| found.len() == limit)
            .map(|last| format!("{},{}", last + 1, last + u64::try_from(limit).unwrap()));
        json!({ "id": "…", "next_id": next, "items": found.iter().map(item).collect::<Vec<_>>() })
    }

    /// As `LocalNotificationLog` of version 8 does it.
    fn section_8(&self, id: &str, section_size: u64) -> Value {
        let first: u64 = id.split_once(',').unwrap().0.parse().unwrap();
        let start = (first - 1) / section_size * section_size;
        let ids = self.ids.lock().unwrap();
        let found = ids
            .iter()
            .filter(|id| (start + 1..=start + section_size).contains(*id));
        let item = |id: &u64| json!({ "id": id, "originator_id": { "UUID": format!("{id:032x}") }, "originator_version": 0, "topic": "kennel#Dog.Created", "state": { "__bytes__": "e30=" }, "causal_dependencies": null });
        json!({ "section_id": "…", "items": found.map(item).collect::<Vec<_>>() })
    }
}

/// Its log, in which every gap is taken for one at once.
async fn followed(
    application: &Arc<Application>,
    dialect: ForeignDialect,
    section_size: u64,
) -> Arc<dyn NotificationLog> {
    waiting_for_gaps(application, dialect, section_size, Duration::ZERO).await
}

async fn waiting_for_gaps(
    application: &Arc<Application>,
    dialect: ForeignDialect,
    section_size: u64,
    max_gap_wait: Duration,
) -> Arc<dyn NotificationLog> {
    let asked = Arc::clone(application);
    let answer = move |Path(id): Path<String>| async move {
        asked.n_asked.fetch_add(1, Ordering::Relaxed);
        Json(match dialect {
            ForeignDialect::Eventsourcing9 => asked.section_9(&id, section_size),
            ForeignDialect::Eventsourcing8 if id == "section_size" => json!(section_size),
            _ => asked.section_8(&id, section_size),
        })
    };
    let slash = if dialect == ForeignDialect::Eventsourcing8 {
        "/"
    } else {
        ""
    };
    let router = Router::new().route(&format!("/notifications/{{id}}{slash}"), get(answer));
    let url = serve_router(router).await.join("/notifications").unwrap();
    let options = RemoteOptions {
        poll_interval: Duration::from_millis(10),
        max_gap_wait,
        ..RemoteOptions::default()
    };
    Arc::new(ForeignNotificationLog::new("kennel", url, dialect, options).unwrap())
}

/// The ids of the events of the application, in the order in which the reader gives them, and where it is then.
async fn read_on(reader: &mut NotificationLogReader) -> Result<(Vec<u64>, u64), LogError> {
    let mut found = Vec::new();
    loop {
        let batch = reader.next_batch().await?;
        let real = batch
            .iter()
            .filter(|item| item.event.topic != MISSING_TOPIC);
        found.extend(real.map(|item| item.id));
        if batch.is_empty() {
            return Ok((found, reader.position().map_or(0, |position| position.id)));
        }
    }
}

#[tokio::test]
async fn all_that_there_is_is_read_once_in_order_whatever_the_gaps() {
    let shapes: [Vec<u64>; 9] = [
        vec![],
        (1..=10).collect(),
        (1..=11).collect(),
        (1..=57).collect(),
        vec![3],
        vec![1, 2, 10, 11, 20, 21],
        vec![1, 9, 10, 31, 32, 60],
        (1..=200).filter(|id| id % 7 != 0 && id % 3 != 1).collect(),
        vec![5, 250],
    ];
    for ids in shapes {
        for section_size in [10, 4, 25] {
            for navigation in [Navigation::Jump, Navigation::Links] {
                let application = Application::with(ids.clone());
                let dialect = ForeignDialect::Eventsourcing9;
                let log = followed(&application, dialect, section_size).await;
                let reader = NotificationLogReader::new(log, None);
                let mut reader = reader.with_navigation(navigation);
                let last = ids.last().copied().unwrap_or(0);
                let found = read_on(&mut reader).await.unwrap();
                assert_eq!(found, (ids.clone(), last), "{section_size} {navigation:?}");
                // It goes on after what comes later, a gap before it or not.
                for next in [last + 1, last + 2, last + 25] {
                    application.change(|ids| ids.push(next));
                    let found = read_on(&mut reader).await.unwrap();
                    assert_eq!(found, (vec![next], next), "{ids:?} {section_size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_reader_goes_on_from_any_position_also_one_in_a_gap() {
    let ids: Vec<u64> = (1..=90).filter(|id| !(35..=61).contains(id)).collect();
    let application = Application::with(ids.clone());
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let epoch = log.describe().await.unwrap().log.epoch;
    for id in 0..=90 {
        let position = Some(Position::new(epoch, id));
        let mut reader = NotificationLogReader::new(Arc::clone(&log), position);
        let (found, end) = read_on(&mut reader).await.unwrap();
        let expected: Vec<_> = ids.iter().copied().filter(|found| *found > id).collect();
        assert_eq!((found, end), (expected, 90), "after {id}");
    }
}

#[tokio::test]
async fn version_8_is_read_in_sections_of_its_own_size_and_may_have_no_gaps() {
    for n in [0_u64, 1, 7, 20, 21, 40, 45] {
        let application = Application::with(1..=n);
        let log = followed(&application, ForeignDialect::Eventsourcing8, 20).await;
        let mut reader = NotificationLogReader::new(log, None);
        let found = read_on(&mut reader).await.unwrap();
        assert_eq!(found, ((1..=n).collect(), n));
        application.change(|ids| ids.push(n + 1));
        assert_eq!(read_on(&mut reader).await.unwrap(), (vec![n + 1], n + 1));
    }
    let application = Application::with([1, 2, 4]);
    let log = followed(&application, ForeignDialect::Eventsourcing8, 20).await;
    let gap = read_on(&mut NotificationLogReader::new(log, None)).await;
    assert!(
        matches!(
            gap,
            Err(LogError::Gap {
                expected: 3,
                found: 4
            })
        ),
        "{gap:?}"
    );
}

#[tokio::test]
async fn a_log_that_ends_before_the_position_is_not_read_on() {
    for position in [20, 23, 27, 30] {
        for left in [0, 5, 19] {
            let application = Application::with(1..=30);
            let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
            let epoch = log.describe().await.unwrap().log.epoch;
            let at = Position::new(epoch, position);
            let mut reader = NotificationLogReader::new(log, Some(at));
            read_on(&mut reader).await.unwrap();
            application.change(|ids| ids.truncate(left));
            let read = reader.next_batch().await;
            let last = u64::try_from(left).unwrap();
            match read {
                Err(LogError::AheadOfLog {
                    position: 30,
                    last: l,
                }) => assert_eq!(l, last),
                other => panic!("{position} {left}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_gap_that_no_failure_explains_is_an_error() {
    let application = Application::with([1, 5_000_000]);
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let read = read_on(&mut NotificationLogReader::new(log, None)).await;
    assert!(matches!(read, Err(LogError::Gap { .. })), "{read:?}");
}

#[tokio::test]
async fn what_it_asks_is_little() {
    let application = Application::with((1..=3_000).chain([53_000]));
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let described = log.describe().await.unwrap();
    assert_eq!(described.last, 53_000);
    let n_asked = || application.n_asked.swap(0, Ordering::Relaxed);
    let n = n_asked();
    assert!(n < 40, "{n} questions to find the end of a log");
    let mut reader = NotificationLogReader::new(log, None);
    assert_eq!(read_on(&mut reader).await.unwrap().1, 53_000);
    // One for each section of events, and for the wide gap as good as none.
    let n = n_asked();
    assert!((300..340).contains(&n), "{n} questions for 300 sections");
    for _ in 0..10 {
        assert!(reader.next_batch().await.unwrap().is_empty());
    }
    let n = n_asked();
    assert!(n <= 20, "{n} questions at the end of the log");
}

#[tokio::test]
async fn a_wait_ends_with_news() {
    let application = Application::with(1..=10);
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    assert!(!log.wait(10, Duration::from_millis(30)).await.unwrap());
    assert!(log.wait(9, Duration::ZERO).await.unwrap());
    let waiting = log.wait(10, DEADLINE);
    let (woken, ()) = tokio::join!(waiting, async {
        application.change(|ids| ids.push(12));
    });
    assert!(woken.unwrap());
}

#[tokio::test]
async fn what_is_off_the_grid_is_refused_as_everywhere() {
    let application = Application::with(1..=30);
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let id: SectionId = "2,11".parse().unwrap();
    assert!(matches!(
        log.section(&id.into()).await,
        Err(LogError::SectionId(_))
    ));
    assert_eq!(log.current().await.unwrap().id.to_string(), "21,30");
}

#[tokio::test]
async fn an_id_that_appears_late_behind_a_higher_one_is_read_in_its_place() {
    let application = Application::with((1..=7).chain([9, 10, 11, 23]));
    let log = waiting_for_gaps(
        &application,
        ForeignDialect::Eventsourcing9,
        10,
        Duration::from_secs(3_600),
    )
    .await;
    let mut reader = NotificationLogReader::new(Arc::clone(&log), None);
    assert_eq!(read_on(&mut reader).await.unwrap(), ((1..=7).collect(), 7));
    assert!(!reader.has_more() && !log.wait(7, Duration::from_millis(30)).await.unwrap());
    // What commits late is read, up to the next gap, wherever in a section that begins.
    application.change(|ids| ids.insert(7, 8));
    assert!(reader.wait(DEADLINE).await.unwrap());
    assert_eq!(
        read_on(&mut reader).await.unwrap(),
        ((8..=11).collect(), 11)
    );
    application.change(|ids| ids.extend(12..=22));
    application.change(|ids| ids.sort_unstable());
    assert!(reader.wait(DEADLINE).await.unwrap());
    assert_eq!(
        read_on(&mut reader).await.unwrap(),
        ((12..=23).collect(), 23)
    );
}

#[tokio::test]
async fn a_gap_that_stays_is_passed_over_after_its_time() {
    for ids in [vec![1, 2, 5], vec![3], (1..=10).chain([45, 46]).collect()] {
        let application = Application::with(ids.clone());
        let wait = Duration::from_millis(100);
        let log = waiting_for_gaps(&application, ForeignDialect::Eventsourcing9, 10, wait).await;
        let mut reader = NotificationLogReader::new(log, None);
        let mut found = Vec::new();
        let reading = async {
            loop {
                found.extend(read_on(&mut reader).await.unwrap().0);
                if found.len() >= ids.len() {
                    break;
                }
                reader.wait(DEADLINE).await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap();
        assert_eq!(found, ids);
    }
}

#[tokio::test]
async fn an_item_that_can_not_be_read_holds_up_no_one_else() {
    let application = Application::with(1..=12);
    application.make_special(2, json!({ "originator_id": "Ann" }));
    application.make_special(3, json!({ "originator_version": -1 }));
    application.make_special(4, json!({ "state": 7 }));
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let mut reader = NotificationLogReader::new(log, None);
    let batch = reader.next_batch().await.unwrap();
    let marks = batch.iter().map(|item| item.event.encoding.as_str());
    let marks: Vec<_> = marks.collect();
    assert_eq!((marks[0], marks[4]), ("json", "json"));
    for (mark, expected) in marks[1..4]
        .iter()
        .zip(["originator_id", "version", "state"])
    {
        assert!(mark.starts_with("unreadable: its "), "{mark}");
        assert!(mark.contains(expected) && !mark.contains("Ann"), "{mark}");
    }
    assert_eq!(read_on(&mut reader).await.unwrap(), (vec![11, 12], 12));
}

#[tokio::test]
async fn a_log_that_was_cut_is_noticed_while_it_is_waited_for() {
    let application = Application::with(1..=30);
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let mut reader = NotificationLogReader::new(log, None);
    read_on(&mut reader).await.unwrap();
    application.change(|ids| ids.truncate(7));
    assert!(reader.wait(DEADLINE).await.unwrap());
    let read = reader.next_batch().await;
    assert!(
        matches!(
            read,
            Err(LogError::AheadOfLog {
                position: 30,
                last: 7
            })
        ),
        "{read:?}"
    );
}

#[tokio::test]
async fn another_history_is_noticed_although_it_is_longer() {
    for position in [17, 20] {
        let application = Application::with(1..=position);
        let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
        let mut reader = NotificationLogReader::new(Arc::clone(&log), None);
        read_on(&mut reader).await.unwrap();
        let at = reader.position();
        assert!(at.is_some_and(|at| at.event_id.is_some()));
        // The same aggregate at the same version, with something else to say.
        application.make_special(position, json!({ "state": "eyJhIjoxfQ==" }));
        application.change(|ids| ids.extend(position + 1..=40));
        for mut reader in [reader, NotificationLogReader::new(log, at)] {
            // The first one has waited, and the second one resumes.
            assert!(reader.wait(DEADLINE).await.unwrap());
            let read = reader.next_batch().await;
            assert!(
                matches!(read, Err(LogError::HistoryReplaced { id, .. }) if id == position),
                "{read:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_position_in_a_gap_is_bound_to_nothing() {
    let application = Application::with((1..=5).chain([33]));
    let log = followed(&application, ForeignDialect::Eventsourcing9, 10).await;
    let mut reader = NotificationLogReader::new(Arc::clone(&log), None);
    assert_eq!(reader.next_batch().await.unwrap().len(), 10);
    let at = reader.position().unwrap();
    assert_eq!((at.id, at.event_id), (10, None));
    // Something appears there too late: that is no other history.
    application.change(|ids| ids.insert(5, 10));
    let mut resumed = NotificationLogReader::new(log, Some(at));
    assert_eq!(read_on(&mut resumed).await.unwrap(), (vec![33], 33));
}
