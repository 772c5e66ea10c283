//! What every notification log promises, near or far, as tests.
//!
//! A way of reaching a log (in this process, over HTTP, through something of your own) is held to it like this:
//!
//! ```
//! boxes_testing::notification_log_suite!(|log| async move {
//!     log // or a log that reaches this one over HTTP
//! });
//! ```
//!
//! The closure takes an `Arc<dyn NotificationLog>` of this process and returns the same log as it looks through
//! whatever is tested. Each behaviour becomes a test with its name; each makes its own logs.
//!
//! Source of the cases: the rules of the log's HTTP contract, *Cases that must hold*.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use boxes_notification_log::{
    LogError, Navigation, NotificationLog, NotificationLogReader, Section, SectionId,
    SectionIdError, SectionLink,
};
use boxes_recorder::{Encoding, Notification, Position, StoredEvent};
use bytes::Bytes;
use uuid::Uuid;

use crate::log_fixture::{EPOCH, FailingLog, Plan, SmallLog, small_event};

pub use crate::notification_log_slices::{
    a_slice_is_settled_when_it_is_made, slices_are_counted_from_both_ends_and_cross_sections,
};

/// How long something that has to happen may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Makes one test of each promise. See [the module](mod@crate::notification_log_suite).
#[macro_export]
macro_rules! notification_log_suite {
    ($seen:expr) => {
        $crate::notification_log_suite! { @tests $seen;
            an_empty_log_is_one_empty_section,
            thirteen_notifications_lie_in_sections_of_five,
            a_section_is_archived_when_the_log_has_gone_beyond_it,
            walking_the_links_visits_every_section_both_ways,
            an_archived_section_never_changes,
            a_full_section_gains_its_next_with_one_more_notification,
            ids_off_the_grid_are_refused_with_what_would_be_right,
            the_description_says_where_the_log_ends,
            a_reader_gets_everything_after_its_position_once_and_in_order,
            a_reader_ahead_of_the_log_is_told_so,
            a_reader_of_another_history_is_told_so,
            forty_two_notifications_come_in_three_batches_of_twenty,
            slices_are_counted_from_both_ends_and_cross_sections,
            a_slice_is_settled_when_it_is_made,
            a_reader_follows_a_log_that_grows_while_it_reads,
            a_reader_goes_on_after_failures_without_skipping,
            a_hole_stops_the_reader_before_it,
            a_removed_section_stops_the_reader,
            failures_look_the_same_from_near_and_far,
            events_of_every_kind_arrive_byte_for_byte,
            a_redacted_notification_keeps_its_place_and_nobody_stumbles_over_it,
            waiting_ends_with_the_next_notification_or_the_time,
        }
    };
    (@tests $seen:expr; $($behaviour:ident,)+) => {
        $(
            #[::tokio::test]
            async fn $behaviour() {
                $crate::notification_log_suite::$behaviour($seen).await;
            }
        )+
    };
}

/// Through what a log is looked at.
pub trait Seen {
    /// The same log, seen through it.
    fn seen(
        &self,
        log: Arc<dyn NotificationLog>,
    ) -> impl Future<Output = Arc<dyn NotificationLog>> + Send;
}

impl<F, Fut> Seen for F
where
    F: Fn(Arc<dyn NotificationLog>) -> Fut,
    Fut: Future<Output = Arc<dyn NotificationLog>> + Send,
{
    fn seen(
        &self,
        log: Arc<dyn NotificationLog>,
    ) -> impl Future<Output = Arc<dyn NotificationLog>> + Send {
        self(log)
    }
}

/// A section without what only a far log has: where its neighbours are.
fn without_addresses(mut section: Section) -> Section {
    section.previous = section.previous.map(|link| link.id.into());
    section.next = section.next.map(|link| link.id.into());
    section
}

async fn section(log: &dyn NotificationLog, id: &str) -> Section {
    let id: SectionId = id.parse().expect("a well-formed id");
    let section = log.section(&id.into()).await;
    section.expect("a section of the log")
}

/// `id`, number of items, archived, previous, next.
fn outline(section: &Section) -> (String, usize, bool, String, String) {
    let text =
        |link: &Option<SectionLink>| link.as_ref().map(|l| l.id.to_string()).unwrap_or_default();
    let Section {
        id,
        items,
        archived,
        previous,
        next,
        ..
    } = section;
    (
        id.to_string(),
        items.len(),
        *archived,
        text(previous),
        text(next),
    )
}

/// Asserts that `id` is so many items, archived or not, with these neighbours (empty for none).
async fn assert_section(
    log: &dyn NotificationLog,
    id: &str,
    n_items: usize,
    archived: bool,
    previous: &str,
    next: &str,
) {
    let expected = (
        id.to_owned(),
        n_items,
        archived,
        previous.to_owned(),
        next.to_owned(),
    );
    assert_eq!(outline(&section(log, id).await), expected);
}

async fn read_all(reader: &mut NotificationLogReader) -> Result<Vec<Vec<Notification>>, LogError> {
    let mut batches = Vec::new();
    loop {
        let batch = reader.next_batch().await?;
        if batch.is_empty() {
            return Ok(batches);
        }
        batches.push(batch);
    }
}

fn ids<'a>(notifications: impl IntoIterator<Item = &'a Notification>) -> Vec<u64> {
    notifications.into_iter().map(|n| n.id).collect()
}

fn reader(log: &Arc<dyn NotificationLog>, after: u64, way: Navigation) -> NotificationLogReader {
    let position = (after > 0).then_some(Position::new(EPOCH, after));
    NotificationLogReader::new(Arc::clone(log), position).with_navigation(way)
}

const WAYS: [Navigation; 2] = [Navigation::Jump, Navigation::Links];

/// An empty log: `1,5`, no items, no neighbours; what follows it is empty too.
pub async fn an_empty_log_is_one_empty_section(through: impl Seen) {
    let log = SmallLog::new(5).await;
    let seen = through.seen(log.near()).await;
    let current = seen.current().await.expect("the log answers");
    assert_eq!(
        outline(&current),
        ("1,5".to_owned(), 0, false, String::new(), String::new())
    );
    assert_eq!(current.last, Some(0));
    assert_section(&*seen, "1,5", 0, false, "", "").await;
    assert_section(&*seen, "6,10", 0, false, "1,5", "").await;
    for way in WAYS {
        let mut reader = reader(&seen, 0, way);
        assert_eq!(reader.position(), None);
        assert_eq!(reader.next_batch().await.expect("nothing is wrong"), []);
        assert_eq!(reader.position(), Some(Position::new(EPOCH, 0)));
        assert!(!reader.has_more());
    }
}

/// The numbers of the contract, before and after the log grows.
pub async fn thirteen_notifications_lie_in_sections_of_five(through: impl Seen) {
    let log = SmallLog::with(5, 13).await;
    let seen = &*through.seen(log.near()).await;
    assert_section(seen, "1,5", 5, true, "", "6,10").await;
    assert_section(seen, "6,10", 5, true, "1,5", "11,15").await;
    assert_section(seen, "11,15", 3, false, "6,10", "").await;
    assert_section(seen, "16,20", 0, false, "11,15", "").await;
    assert_section(seen, "21,25", 0, false, "16,20", "").await;
    let current = seen.current().await.expect("the log answers");
    assert_eq!(
        without_addresses(current.clone()),
        without_addresses(section(seen, "11,15").await)
    );
    assert_eq!(ids(&current.items), [11, 12, 13]);
    assert_eq!(
        (current.last, section(seen, "21,25").await.last),
        (Some(13), Some(13))
    );

    log.append(11).await;
    assert_section(seen, "11,15", 5, true, "6,10", "16,20").await;
    assert_section(seen, "16,20", 5, true, "11,15", "21,25").await;
    assert_section(seen, "21,25", 4, false, "16,20", "").await;
    assert_section(seen, "26,30", 0, false, "21,25", "").await;
}

/// Counts around full sections: archived, previous and next are as defined, near and far alike.
pub async fn a_section_is_archived_when_the_log_has_gone_beyond_it(through: impl Seen) {
    for n in [1_u64, 2, 5] {
        let page_size = NonZeroU32::new(u32::try_from(n).expect("it is small")).expect("not 0");
        for last in BTreeSet::from([0, 1, n - 1, n, n + 1, 2 * n, 2 * n + 1]) {
            let log = SmallLog::with(page_size.get(), last).await;
            let (near, seen) = (log.near(), through.seen(log.near()).await);
            let current = seen.current().await.expect("the log answers");
            assert_eq!(
                current.id,
                SectionId::containing(last, page_size),
                "{last} by {n}"
            );
            let mut id = SectionId::first(page_size);
            while id.low() <= last + 2 * n {
                let section = seen.section(&id.into()).await.expect("it is on the grid");
                assert_eq!(section.archived, id.high() < last, "{id} of {last} by {n}");
                let here = id.low()..=id.high().min(last);
                assert_eq!(ids(&section.items), here.collect::<Vec<_>>());
                assert_eq!(section.last, (!section.archived).then_some(last));
                let as_near = near.section(&id.into()).await.expect("it is on the grid");
                assert_eq!(without_addresses(section), as_near);
                id = id.next();
            }
        }
    }
}

/// From current by previous down to 1, and from there by next up to current.
pub async fn walking_the_links_visits_every_section_both_ways(through: impl Seen) {
    for last in [0, 1, 4, 5, 6, 10, 11, 43] {
        let log = SmallLog::with(5, last).await;
        let seen = through.seen(log.near()).await;
        let mut section = seen.current().await.expect("the log answers");
        let mut down = vec![section.id.low()];
        while let Some(link) = section.previous {
            section = seen.section(&link).await.expect("the link leads on");
            down.push(section.id.low());
        }
        let mut up = vec![section.id.low()];
        while let Some(link) = section.next {
            section = seen.section(&link).await.expect("the link leads on");
            up.push(section.id.low());
        }
        let all: Vec<u64> = (1..=last.max(1)).step_by(5).collect();
        assert_eq!(up, all);
        down.reverse();
        assert_eq!(down, all);
    }
}

/// Whatever is appended later.
pub async fn an_archived_section_never_changes(through: impl Seen) {
    let log = SmallLog::with(5, 6).await;
    let seen = through.seen(log.near()).await;
    let before = section(&*seen, "1,5").await;
    assert!(before.archived);
    for _ in 0..10 {
        log.append(1_000).await;
        assert_eq!(section(&*seen, "1,5").await, before);
    }
    let fresh = through.seen(log.near()).await;
    assert_eq!(
        without_addresses(section(&*fresh, "1,5").await),
        without_addresses(before)
    );
}

/// A full last section is not archived: its next is not due before there is something in it.
pub async fn a_full_section_gains_its_next_with_one_more_notification(through: impl Seen) {
    let log = SmallLog::with(5, 5).await;
    let seen = &*through.seen(log.near()).await;
    assert_section(seen, "1,5", 5, false, "", "").await;
    assert_eq!(
        seen.current()
            .await
            .expect("the log answers")
            .id
            .to_string(),
        "1,5"
    );
    log.append(1).await;
    assert_section(seen, "1,5", 5, true, "", "6,10").await;
    assert_eq!(
        seen.current()
            .await
            .expect("the log answers")
            .id
            .to_string(),
        "6,10"
    );
}

/// The error says the page size, and where the notification would be.
pub async fn ids_off_the_grid_are_refused_with_what_would_be_right(through: impl Seen) {
    let log = SmallLog::with(5, 13).await;
    let seen = through.seen(log.near()).await;
    let page_size = NonZeroU32::new(5).expect("not 0");
    let wrong_size = |length| SectionIdError::WrongSize { page_size, length };
    let misaligned = |low| SectionIdError::Misaligned {
        page_size,
        low,
        enclosing: SectionId::containing(low, page_size),
    };
    for (id, expected) in [
        ("1,2", wrong_size(2)),
        ("1,10", wrong_size(10)),
        ("1,1", wrong_size(1)),
        ("1,18446744073709551615", wrong_size(u64::MAX)),
        ("2,6", misaligned(2)),
        ("13,17", misaligned(13)),
        (
            "18446744073709551610,18446744073709551614",
            misaligned(u64::MAX - 5),
        ),
    ] {
        let id: SectionId = id.parse().expect("a well-formed id");
        match seen.section(&id.into()).await {
            Err(LogError::SectionId(error)) => assert_eq!(error, expected, "{id}"),
            other => panic!("{id}: {other:?}"),
        }
    }
    // The last section that can be: on the grid, far beyond the end.
    let far = "18446744073709551611,18446744073709551615";
    let end = section(&*seen, far).await;
    assert_eq!(
        (end.items.len(), end.archived, end.last),
        (0, false, Some(13))
    );
}

/// Name, epoch and page size, the first notification and the last, as the log grows.
pub async fn the_description_says_where_the_log_ends(through: impl Seen) {
    let log = SmallLog::new(5).await;
    let seen = through.seen(log.near()).await;
    for last in [0, 1, 5, 6] {
        log.append(last - seen.describe().await.expect("the log answers").last)
            .await;
        let description = seen.describe().await.expect("the log answers");
        assert_eq!(
            description,
            log.near().describe().await.expect("the log answers")
        );
        assert_eq!((description.first_available, description.last), (1, last));
        assert_eq!(
            (description.log.name.as_str(), description.log.epoch),
            ("orders", EPOCH)
        );
        assert_eq!(description.log.page_size.get(), 5);
    }
}

/// Over 13: 13; over 21: after 1, 20; after 2, 19; after 19, 2; after 20, 1; after 21, none.
pub async fn a_reader_gets_everything_after_its_position_once_and_in_order(through: impl Seen) {
    for (last, after) in [
        (13, 0),
        (21, 0),
        (21, 1),
        (21, 2),
        (21, 19),
        (21, 20),
        (21, 21),
        (20, 20),
        (0, 0),
    ] {
        let log = SmallLog::with(5, last).await;
        let seen = through.seen(log.near()).await;
        for way in WAYS {
            let mut reader = reader(&seen, after, way);
            let batches = read_all(&mut reader).await.expect("nothing is wrong");
            let expected: Vec<u64> = (after + 1..=last).collect();
            assert_eq!(
                ids(batches.iter().flatten()),
                expected,
                "{after} of {last}, {way:?}"
            );
            let at_end = Position::new(EPOCH, last);
            let at = reader.position().expect("it has read");
            assert!(at.is_same_place(&at_end), "{at:?}");
            let newest = batches.last().and_then(|batch| batch.last());
            let known = newest.map(|newest| newest.event.event_id);
            assert_eq!(at.event_id, known, "the event is known where one was read");
            let identity = log.near().describe().await.expect("the log answers").log;
            assert_eq!(reader.log_identity(), Some(&identity));
        }
    }
}

/// A log that ends before the reader's position was cut: that is not the same as nothing new.
pub async fn a_reader_ahead_of_the_log_is_told_so(through: impl Seen) {
    for (last, position) in [
        (21, 22),
        (21, 25),
        (21, 26),
        (21, 1_000_000),
        (0, 1),
        (20, 21),
        (20, 25),
    ] {
        let log = SmallLog::with(5, last).await;
        let seen = through.seen(log.near()).await;
        for way in WAYS {
            let mut reader = reader(&seen, position, way);
            // It says so as often as it is asked.
            for _ in 0..2 {
                match reader.next_batch().await {
                    Err(LogError::AheadOfLog {
                        position: p,
                        last: l,
                    }) => {
                        assert_eq!((p, l), (position, last), "{way:?}");
                    }
                    other => panic!("{position} of {last}, {way:?}: {other:?}"),
                }
                assert_eq!(reader.position().map(|p| p.id), Some(position));
            }
        }
    }
}

/// A position is valid only in the history of its epoch.
pub async fn a_reader_of_another_history_is_told_so(through: impl Seen) {
    let log = SmallLog::with(5, 13).await;
    let seen = through.seen(log.near()).await;
    let position = Position::new(Uuid::from_u128(99), 3);
    for way in WAYS {
        let mut reader =
            NotificationLogReader::new(Arc::clone(&seen), Some(position)).with_navigation(way);
        for _ in 0..2 {
            let answer = reader.next_batch().await;
            let Err(LogError::EpochChanged {
                log,
                expected,
                found,
            }) = answer
            else {
                panic!("{way:?}: {answer:?}");
            };
            assert_eq!(
                (log.as_str(), expected, found),
                ("orders", position.epoch, EPOCH)
            );
            assert_eq!(reader.position(), Some(position));
        }
    }
    let answer = seen
        .section_after(
            &SectionId::first(NonZeroU32::new(5).expect("not 0")).into(),
            position,
        )
        .await;
    assert!(
        matches!(answer, Err(LogError::EpochChanged { .. })),
        "{answer:?}"
    );

    // A reader that is under way notices as well, and stays where it is.
    let mut under_way = reader(&seen, 0, Navigation::Jump);
    under_way.next_batch().await.expect("nothing is wrong");
    let other: Arc<dyn NotificationLog> = Arc::new(FailingLog::new(
        log.near(),
        Plan::Epoch(Uuid::from_u128(77)),
    ));
    let other = through.seen(other).await;
    let mut rewritten = NotificationLogReader::new(other, under_way.position());
    let answer = rewritten.next_batch().await;
    assert!(
        matches!(answer, Err(LogError::EpochChanged { .. })),
        "{answer:?}"
    );
    assert_eq!(rewritten.position(), under_way.position());
}

/// And after 20, 22 in two.
pub async fn forty_two_notifications_come_in_three_batches_of_twenty(through: impl Seen) {
    let log = SmallLog::with(20, 42).await;
    let seen = through.seen(log.near()).await;
    for way in WAYS {
        for (after, expected) in [(0, vec![20, 20, 2]), (20, vec![20, 2]), (30, vec![10, 2])] {
            let batches = read_all(&mut reader(&seen, after, way))
                .await
                .expect("nothing is wrong");
            assert_eq!(
                batches.iter().map(Vec::len).collect::<Vec<_>>(),
                expected,
                "after {after}, {way:?}"
            );
            assert_eq!(
                ids(batches.iter().flatten()),
                (after + 1..=42).collect::<Vec<_>>()
            );
        }
    }
}

/// Waiting where there is nothing new, and reading on where there is.
pub async fn a_reader_follows_a_log_that_grows_while_it_reads(through: impl Seen) {
    const TOTAL: u64 = 400;
    for way in WAYS {
        let log = Arc::new(SmallLog::new(5).await);
        let seen = through.seen(log.near()).await;
        let writing = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                let mut written = 0;
                for size in (1..=13).cycle() {
                    let size = size.min(TOTAL - written);
                    if size == 0 {
                        break;
                    }
                    log.append(size).await;
                    written += size;
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut reader = reader(&seen, 0, way);
        let mut read = Vec::new();
        let following = async {
            while ids(&read).last() != Some(&TOTAL) {
                read.extend(reader.next_batch().await?);
                if !reader.has_more() && ids(&read).last() != Some(&TOTAL) {
                    reader.wait(DEADLINE).await?;
                }
            }
            Ok::<_, LogError>(())
        };
        let followed = tokio::time::timeout(DEADLINE, following).await;
        followed
            .expect("everything arrives")
            .expect("nothing is wrong");
        writing.await.expect("everything is written");
        assert_eq!(ids(&read), (1..=TOTAL).collect::<Vec<_>>(), "{way:?}");
    }
}

/// Each failure leaves the position where it was.
pub async fn a_reader_goes_on_after_failures_without_skipping(through: impl Seen) {
    let log = SmallLog::with(5, 43).await;
    for way in WAYS {
        let failing = FailingLog::new(log.near(), Plan::EverySecondTime);
        let seen = through.seen(Arc::new(failing)).await;
        let mut reader = reader(&seen, 0, way);
        let (mut read, mut failures) = (Vec::new(), 0);
        while ids(&read).last() != Some(&43) {
            assert!(failures < 1_000, "it gets nowhere");
            let position = reader.position();
            match reader.next_batch().await {
                Ok(batch) => read.extend(batch),
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    assert_eq!(reader.position(), position);
                    failures += 1;
                }
            }
        }
        assert!(failures > 0);
        assert_eq!(ids(&read), (1..=43).collect::<Vec<_>>());
    }
}

/// What is before the hole is handed out by sections; the section with the hole is not.
pub async fn a_hole_stops_the_reader_before_it(through: impl Seen) {
    let log = SmallLog::with(5, 13).await;
    for (missing, read_before, expected) in [(6, 5, 6), (8, 5, 8), (10, 5, 10), (13, 10, 13)] {
        for way in WAYS {
            let holed = FailingLog::new(log.near(), Plan::WithoutItem(missing));
            let seen = through.seen(Arc::new(holed)).await;
            let mut reader = reader(&seen, 0, way);
            let mut read = Vec::new();
            let error = loop {
                match reader.next_batch().await {
                    Ok(batch) if batch.is_empty() => break None,
                    Ok(batch) => read.extend(batch),
                    Err(error) => break Some(error),
                }
            };
            let Some(LogError::Gap { expected: gap, .. }) = error else {
                panic!("without {missing}, {way:?}: {error:?}");
            };
            assert_eq!(gap, expected, "without {missing}, {way:?}");
            // By links it comes from the end, and may find the hole on its way back.
            let expected = if way == Navigation::Links && read.is_empty() {
                0
            } else {
                read_before
            };
            assert_eq!(reader.position().map_or(0, |p| p.id), expected);
        }
    }
}

/// A reader that needs what retention removed is told what is left, and skips nothing.
pub async fn a_removed_section_stops_the_reader(through: impl Seen) {
    let log = SmallLog::with(5, 23).await;
    let pruned = FailingLog::new(log.near(), Plan::PrunedBefore(11));
    let seen = through.seen(Arc::new(pruned)).await;
    assert_eq!(
        seen.describe()
            .await
            .expect("the log answers")
            .first_available,
        11
    );
    for way in WAYS {
        for after in [0, 3, 5, 9] {
            let answer = reader(&seen, after, way).next_batch().await;
            let pruned = matches!(
                answer,
                Err(LogError::Pruned {
                    first_available: 11
                })
            );
            assert!(pruned, "after {after}, {way:?}: {answer:?}");
        }
        let batches = read_all(&mut reader(&seen, 10, way)).await;
        assert_eq!(
            ids(batches.expect("it is all there").iter().flatten()),
            (11..=23).collect::<Vec<_>>()
        );
    }
}

/// The same variant with the same fields, whatever it went through.
pub async fn failures_look_the_same_from_near_and_far(through: impl Seen) {
    let log = SmallLog::with(5, 13).await;
    let failures = [
        FailingLog::unavailable(),
        LogError::Pruned {
            first_available: 11,
        },
        LogError::Gap {
            expected: 3,
            found: 4,
        },
        LogError::AheadOfLog {
            position: 17,
            last: 13,
        },
        LogError::EpochChanged {
            log: "orders".to_owned(),
            expected: Uuid::from_u128(5),
            found: EPOCH,
        },
    ];
    for failure in failures {
        let failing = FailingLog::new(log.near(), Plan::Sections(failure.clone()));
        let seen = through.seen(Arc::new(failing)).await;
        let id = SectionId::first(NonZeroU32::new(5).expect("not 0"));
        for error in [
            seen.section(&id.into()).await.expect_err("it fails"),
            seen.current().await.expect_err("it fails"),
        ] {
            assert_eq!(
                std::mem::discriminant(&error),
                std::mem::discriminant(&failure),
                "{failure:?} became {error:?}"
            );
            assert_eq!(error.retry_after(), failure.retry_after());
            if !matches!(error, LogError::Unavailable { .. }) {
                assert_eq!(error.to_string(), failure.to_string());
            }
        }
    }
}

/// State, metadata, names and times: nothing is lost or changed on the way.
pub async fn events_of_every_kind_arrive_byte_for_byte(through: impl Seen) {
    let binary: Vec<u8> = (0..=255).collect();
    let large = format!(r#"{{"text":"{}"}}"#, "ü".repeat(200_000));
    let of = |n, change: &dyn Fn(&mut StoredEvent)| {
        let mut event = small_event(n);
        change(&mut event);
        event
    };
    let states: [(&str, Bytes); 12] = [
        (
            "json",
            Bytes::from_static(br#"{"a": [1 ,2.50, -0e1],"a":null}"#),
        ),
        (
            "json",
            Bytes::from_static("{\"é\\u00e9\":\"\\\"\\\\ 😀\u{2028}</script>\"}".as_bytes()),
        ),
        ("json", Bytes::from_static(b"18446744073709551616.000")),
        ("json", Bytes::from_static(b"null")),
        ("json", Bytes::from_static(br#""text""#)),
        ("json", Bytes::from_static(b" {} ")),
        ("json", Bytes::new()),
        ("json", Bytes::from(large)),
        ("json+zlib", Bytes::from(binary.clone())),
        ("json+zlib+aes-256-gcm-siv", Bytes::from_static(b"\0\xff")),
        ("cbor", Bytes::from_static(b"one")),
        ("cbor", Bytes::new()),
    ];
    let mut events: Vec<_> = (1..)
        .zip(states)
        .map(|(n, (encoding, state))| {
            of(n, &|event| {
                event.encoding = Encoding::new(encoding);
                event.state = state.clone();
            })
        })
        .collect();
    events.push(of(100, &|event| {
        event.topic = Cow::Borrowed("a \"topic\"\\ with\n\u{1}\u{7f}, ünïcode 😀 and </script>");
        event.schema_version = u32::MAX;
        event.occurred_on = "1969-12-31T23:59:59.000001Z".parse().expect("a time");
        event.metadata = Bytes::from_static(br#"{"traceparent": "00-4bf9", "nested":{"n":[1.0]}}"#);
    }));
    events.push(of(101, &|event| {
        event.occurred_on = "2026-11-23T15:00:00Z".parse().expect("a time");
    }));
    let log = SmallLog::new(5).await;
    log.append_events(events.clone()).await;
    let seen = through.seen(log.near()).await;
    let batches = read_all(&mut reader(&seen, 0, Navigation::Jump)).await;
    let read: Vec<_> = batches
        .expect("nothing is wrong")
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(read.len(), events.len());
    for (notification, event) in read.iter().zip(events) {
        assert!(
            notification.event.state == event.state,
            "state of {}: {:?}…",
            notification.id,
            notification
                .event
                .state
                .slice(..notification.event.state.len().min(80))
        );
        assert_eq!(notification.event, event);
    }
}

/// Sections that hold none are as they were; readers go over it; what is left says who, when and what kind.
pub async fn a_redacted_notification_keeps_its_place_and_nobody_stumbles_over_it(
    through: impl Seen,
) {
    let log = SmallLog::with(5, 13).await;
    let seen = through.seen(log.near()).await;
    let id = |low| SectionId::containing(low, NonZeroU32::new(5).expect("not 0"));
    let before = section(&*seen, "1,5").await;
    assert_eq!(seen.n_redacted_in(id(1)).await.expect("an answer"), 0);
    for n in [2, 4, 12] {
        log.delete(n).await;
    }
    let after = section(&*seen, "1,5").await.items;
    for (after, before) in after.iter().zip(&before.items) {
        let expected = match after.id {
            2 | 4 => before.event.to_redacted(),
            _ => before.event.clone(),
        };
        assert_eq!((after.id, &after.event), (before.id, &expected));
    }
    let described = seen.describe().await.expect("the log answers");
    assert_eq!(described.n_redacted, 3);
    for (low, n_redacted) in [(1, 2), (6, 0), (11, 1), (16, 0)] {
        let counted = seen.n_redacted_in(id(low)).await;
        assert_eq!(counted.expect("an answer"), n_redacted, "from {low}");
    }
    for way in WAYS {
        let batches = read_all(&mut reader(&seen, 0, way)).await;
        let read: Vec<_> = batches.expect("nothing is wrong").concat();
        assert_eq!(ids(&read), (1..=13).collect::<Vec<_>>());
        let redacted = read.iter().filter(|read| read.event.is_redacted());
        assert_eq!(ids(redacted), [2, 4, 12]);
    }
}

/// It ends at the commit, not at the time-out; it does not miss one that came before; it is bounded.
pub async fn waiting_ends_with_the_next_notification_or_the_time(through: impl Seen) {
    for last in [0, 3, 5] {
        let log = SmallLog::with(5, last).await;
        let seen = through.seen(log.near()).await;
        assert!(
            !seen
                .wait(last, Duration::ZERO)
                .await
                .expect("the log answers")
        );
        assert!(
            !seen
                .wait(last, Duration::from_millis(20))
                .await
                .expect("the log answers")
        );
        let waiting = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move { seen.wait(last, Duration::from_secs(600)).await }
        });
        tokio::task::yield_now().await;
        log.append(1).await;
        let woken = tokio::time::timeout(DEADLINE, waiting).await;
        let woken = woken.expect("it ends at the commit").expect("it runs");
        assert!(woken.expect("the log answers"));
        // What is there already needs no waiting.
        for after in 0..=last {
            let waited = tokio::time::timeout(DEADLINE, seen.wait(after, Duration::from_secs(600)));
            assert!(
                waited
                    .await
                    .expect("it ends at once")
                    .expect("the log answers")
            );
        }
        assert!(
            !seen
                .wait(last + 1, Duration::ZERO)
                .await
                .expect("the log answers")
        );
    }
}
