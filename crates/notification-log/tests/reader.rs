//! What following a log costs, and that nothing is lost by giving up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_notification_log::{
    LogDescription, LogError, Navigation, NotificationLog, NotificationLogReader, ReaderBounds,
    Section, SectionId, SectionLink,
};
use boxes_recorder::{Notification, Position};
use boxes_testing::log_fixture::{EPOCH, FailingLog, Plan, SmallLog, small_event};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(20);

async fn drain(reader: &mut NotificationLogReader) -> Vec<u64> {
    let mut read = Vec::new();
    loop {
        let batch = reader.next_batch().await.unwrap();
        if batch.is_empty() {
            return read;
        }
        read.extend(batch.iter().map(|notification| notification.id));
    }
}

/// How often sections and descriptions were asked for since the last time.
fn asked(log: &FailingLog) -> (usize, usize) {
    (
        log.sections_read.swap(0, Ordering::Relaxed),
        log.descriptions_read.swap(0, Ordering::Relaxed),
    )
}

#[tokio::test]
async fn catching_up_costs_one_request_for_each_section_and_one_for_the_way() {
    let log = SmallLog::with(5, 103).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let mut reader = NotificationLogReader::new(counting.clone(), None);
    assert_eq!(drain(&mut reader).await.len(), 103);
    // 21 sections, and one more time the last one, which says that there is nothing more.
    assert_eq!(asked(&counting), (22, 1));
    assert!(!reader.has_more());

    // At the end there is one request each time, whether something came or not.
    for grows in [0_usize, 0, 1, 1, 0] {
        log.append(u64::try_from(grows).unwrap()).await;
        assert_eq!(reader.next_batch().await.unwrap().len(), grows);
        assert_eq!(asked(&counting), (1, 0));
    }

    // Falling behind by much costs one more question, not one for each section.
    log.append(500).await;
    assert_eq!(drain(&mut reader).await.len(), 500);
    let (sections, descriptions) = asked(&counting);
    assert!(
        sections <= 103 && descriptions == 1,
        "{sections}, {descriptions}"
    );
}

#[tokio::test]
async fn what_grows_by_a_section_now_and_then_needs_no_description() {
    let log = SmallLog::with(5, 3).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let mut reader = NotificationLogReader::new(counting.clone(), None);
    drain(&mut reader).await;
    asked(&counting);
    for _ in 0..20 {
        log.append(4).await;
        assert_eq!(drain(&mut reader).await.len(), 4);
    }
    let (sections, descriptions) = asked(&counting);
    assert_eq!(descriptions, 0);
    // Each time what is new, the next section where it lies in two, and that there is no more.
    assert!(sections <= 20 * 3, "{sections}");
}

#[tokio::test]
async fn by_links_the_way_back_is_walked_once() {
    let log = SmallLog::with(5, 103).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let mut reader =
        NotificationLogReader::new(counting.clone(), None).with_navigation(Navigation::Links);
    assert_eq!(drain(&mut reader).await.len(), 103);
    // 21 sections back, 20 of them forward again, and that there is no more. Never a description.
    assert_eq!(asked(&counting), (42, 0));
}

/// A log whose sections come one by one, as they are let through.
#[derive(Debug)]
struct Gated {
    inner: Arc<dyn NotificationLog>,
    gate: Semaphore,
    asking: watch::Sender<usize>,
    most: AtomicUsize,
}

#[async_trait]
impl NotificationLog for Gated {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.inner.describe().await
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.inner.current().await
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.asking.send_modify(|asking| *asking += 1);
        self.most
            .fetch_max(*self.asking.borrow(), Ordering::Relaxed);
        let permit = self.gate.acquire().await;
        permit.unwrap().forget();
        self.asking.send_modify(|asking| *asking -= 1);
        self.inner.section(link).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.inner.wait(after, timeout).await
    }
}

impl Gated {
    fn new(log: &SmallLog) -> Arc<Self> {
        Arc::new(Self {
            inner: log.near(),
            gate: Semaphore::new(0),
            asking: watch::Sender::new(0),
            most: AtomicUsize::new(0),
        })
    }

    async fn until_asked(&self, n: usize) {
        let mut asking = self.asking.subscribe();
        let reached = asking.wait_for(|asking| *asking == n);
        tokio::time::timeout(DEADLINE, reached)
            .await
            .expect("it asks")
            .unwrap();
    }
}

#[tokio::test]
async fn sections_are_fetched_ahead_up_to_the_bound_and_handed_out_in_order() {
    for max_prefetch in [0, 1, 4, 100] {
        let log = SmallLog::with(5, 53).await;
        let gated = Gated::new(&log);
        let mut reader =
            NotificationLogReader::new(gated.clone(), None).with_bounds(ReaderBounds {
                max_prefetch,
                ..ReaderBounds::default()
            });
        let reading = tokio::spawn(async move { drain(&mut reader).await });
        // Nothing is known of the size of sections before the first one. Nine more are known to be archived: what may
        // still grow is not fetched ahead.
        gated.until_asked(1).await;
        gated.gate.add_permits(1);
        gated.until_asked(max_prefetch.clamp(1, 9)).await;
        gated.gate.add_permits(1_000);
        assert_eq!(reading.await.unwrap(), (1..=53).collect::<Vec<_>>());
        assert_eq!(gated.most.load(Ordering::Relaxed), max_prefetch.clamp(1, 9));
    }
}

#[tokio::test]
async fn who_gives_up_on_a_batch_gets_it_the_next_time() {
    let log = SmallLog::with(5, 23).await;
    for navigation in [Navigation::Jump, Navigation::Links] {
        let gated = Gated::new(&log);
        let mut reader =
            NotificationLogReader::new(gated.clone(), None).with_navigation(navigation);
        let mut read = Vec::new();
        let mut given_up = 0;
        while read.last() != Some(&23) {
            let position = reader.position();
            // It is polled once, and dropped where it waits.
            match polled_once(reader.next_batch()).await {
                Some(batch) => read.extend(batch.unwrap().iter().map(|n| n.id)),
                None => {
                    given_up += 1;
                    assert_eq!(reader.position(), position);
                    assert!(given_up < 1_000, "it gets nowhere");
                    gated.gate.add_permits(1);
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(given_up > 0);
        assert_eq!(read, (1..=23).collect::<Vec<_>>(), "{navigation:?}");
    }
}

/// What a future gives when it is polled once, if it gives something.
async fn polled_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}

/// A log that is made anew after it was described.
#[derive(Debug)]
struct MadeAnew {
    before: Arc<dyn NotificationLog>,
    anew: FailingLog,
    described: AtomicUsize,
}

#[async_trait]
impl NotificationLog for MadeAnew {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        match self.described.fetch_add(1, Ordering::Relaxed) {
            0 => self.before.describe().await,
            _ => self.anew.describe().await,
        }
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.anew.current().await
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.anew.section(link).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.anew.wait(after, timeout).await
    }
}

#[tokio::test]
async fn a_reader_that_has_read_nothing_yet_may_begin_with_a_new_history() {
    let log = SmallLog::with(5, 13).await;
    let epoch = Uuid::from_u128(77);
    let made_anew = || {
        Arc::new(MadeAnew {
            before: log.near(),
            anew: FailingLog::new(log.near(), Plan::Epoch(epoch)),
            described: AtomicUsize::new(0),
        })
    };
    let mut reader = NotificationLogReader::new(made_anew(), None);
    let answer = reader.next_batch().await;
    assert!(
        matches!(answer, Err(LogError::EpochChanged { .. })),
        "{answer:?}"
    );
    assert_eq!(reader.position(), None);
    assert_eq!(drain(&mut reader).await.len(), 13);
    let at_end = Position::new(epoch, 13);
    assert!(
        reader
            .position()
            .is_some_and(|at| at.is_same_place(&at_end))
    );

    // One that has read something stays where it is, however often it is asked.
    let position = Some(Position::new(EPOCH, 3));
    let mut reader = NotificationLogReader::new(made_anew(), position);
    for _ in 0..3 {
        let answer = reader.next_batch().await;
        assert!(
            matches!(answer, Err(LogError::EpochChanged { .. })),
            "{answer:?}"
        );
        assert_eq!(reader.position(), position);
    }
}

#[tokio::test]
async fn fewer_sections_are_fetched_ahead_of_large_ones() {
    let log = SmallLog::with(5, 53).await;
    let id: SectionId = "1,5".parse().unwrap();
    let first = log.near().section(&id.into()).await.unwrap();
    let bytes: usize = first.items.iter().map(Notification::n_bytes).sum();
    for (max_prefetch_bytes, expected) in [(0, 1), (bytes * 3 + bytes / 2, 3)] {
        let gated = Gated::new(&log);
        gated.gate.add_permits(1_000);
        let mut reader =
            NotificationLogReader::new(gated.clone(), None).with_bounds(ReaderBounds {
                max_prefetch_bytes,
                ..ReaderBounds::default()
            });
        assert_eq!(drain(&mut reader).await.len(), 53);
        assert!(gated.most.load(Ordering::Relaxed) <= expected);
    }
}

/// A log that is asked for sections that skip something, or for those of another history.
#[tokio::test]
async fn a_log_that_skips_something_is_not_read_on() {
    for missing in [1, 3, 5, 6, 8, 13] {
        for navigation in [Navigation::Jump, Navigation::Links] {
            let log = SmallLog::with(5, 13).await;
            let skipping = FailingLog::new(log.near(), Plan::WithoutItem(missing));
            let mut reader =
                NotificationLogReader::new(Arc::new(skipping), None).with_navigation(navigation);
            let mut read = Vec::new();
            let error = loop {
                match reader.next_batch().await {
                    Ok(batch) => read.extend(batch.iter().map(|item| item.id)),
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(error, LogError::Gap { expected, .. } if expected == missing),
                "{missing} {navigation:?}: {error:?}"
            );
            // Up to the section before; by links it may not have found the way to that.
            let n_read = u64::try_from(read.len()).unwrap();
            let before = (missing - 1) / 5 * 5;
            assert!(read.iter().copied().eq(1..=n_read), "{read:?}");
            assert!(n_read == before || navigation == Navigation::Links && n_read == 0);
        }
    }
}

/// A log that can't hand over whole sections, and skips a notification on request.
#[derive(Debug)]
struct Oversized {
    inner: Arc<dyn NotificationLog>,
    /// This one is another one in its place.
    swapped: Option<u64>,
}

#[async_trait]
impl NotificationLog for Oversized {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.inner.describe().await
    }

    async fn current(&self) -> Result<Section, LogError> {
        Err(LogError::TooLarge {
            reason: "too large".to_owned(),
        })
    }

    async fn section(&self, _: &SectionLink) -> Result<Section, LogError> {
        self.current().await
    }

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        let id = if self.swapped == Some(id) { id + 1 } else { id };
        self.inner.notification(id, epoch).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.inner.wait(after, timeout).await
    }
}

#[tokio::test]
async fn sections_that_are_too_large_are_read_by_their_notifications() {
    for (navigation, max_batch_bytes) in [
        (Navigation::Jump, usize::MAX),
        (Navigation::Jump, 0),
        (Navigation::Links, usize::MAX),
    ] {
        let log = SmallLog::with(5, 13).await;
        let (inner, swapped) = (log.near(), None);
        let oversized = Arc::new(Oversized { inner, swapped });
        let bounds = ReaderBounds {
            max_batch_bytes,
            ..ReaderBounds::default()
        };
        let mut reader = NotificationLogReader::new(oversized.clone(), None)
            .with_navigation(navigation)
            .with_bounds(bounds);
        assert_eq!(drain(&mut reader).await, (1..=13).collect::<Vec<_>>());
        assert!(!reader.has_more());
        log.append(9).await;
        assert!(reader.wait(DEADLINE).await.unwrap());
        assert_eq!(drain(&mut reader).await, (14..=22).collect::<Vec<_>>());
        let at = reader.position();
        // From where it was, also at the end of a section.
        let mut resumed = NotificationLogReader::new(oversized, at).with_bounds(bounds);
        log.append(4).await;
        assert_eq!(drain(&mut resumed).await, (23..=26).collect::<Vec<_>>());
    }
    let log = SmallLog::with(5, 13).await;
    let (inner, swapped) = (log.near(), Some(8));
    let mut reader = NotificationLogReader::new(Arc::new(Oversized { inner, swapped }), None);
    assert_eq!(reader.next_batch().await.unwrap().len(), 5);
    let error = reader.next_batch().await.unwrap_err();
    assert!(
        matches!(
            error,
            LogError::Gap {
                expected: 8,
                found: 9
            }
        ),
        "{error:?}"
    );
}

/// Another history under the same epoch, with other events at the same places.
async fn other_history(count: u64) -> SmallLog {
    let log = SmallLog::new(5).await;
    log.append_events((1_001..=1_000 + count).map(small_event).collect())
        .await;
    log
}

#[tokio::test]
async fn a_history_that_was_replaced_is_noticed_however_long_it_is() {
    // In the middle of a section, and at the end of one.
    for position in [13, 15] {
        let log = SmallLog::with(5, position).await;
        let mut reader = NotificationLogReader::new(log.near(), None);
        drain(&mut reader).await;
        let at = reader.position().unwrap();
        assert_eq!(at.event_id, Some(small_event(position).event_id));
        for length in [position, position + 1, position + 100] {
            for navigation in [Navigation::Jump, Navigation::Links] {
                let other = other_history(length).await;
                let mut resumed =
                    NotificationLogReader::new(other.near(), Some(at)).with_navigation(navigation);
                let error = resumed.next_batch().await.unwrap_err();
                assert!(
                    matches!(error, LogError::HistoryReplaced { id, .. } if id == position),
                    "{length}: {error:?}"
                );
                assert!(error.is_contradiction() && resumed.position() == Some(at));
                // A position of the past does not say which event it was.
                let unknown = Position::new(at.epoch, position);
                let mut resumed = NotificationLogReader::new(other.near(), Some(unknown));
                let read = drain(&mut resumed).await;
                assert!(read.into_iter().eq(position + 1..=length));
            }
        }
        // The same history, of which something was deleted.
        log.append(3).await;
        log.delete(position).await;
        let mut resumed = NotificationLogReader::new(log.near(), Some(at));
        let read = drain(&mut resumed).await;
        assert!(read.into_iter().eq(position + 1..=position + 3));
    }
}

/// A log that says that it has news, and has none.
#[derive(Debug)]
struct Announcing(Arc<dyn NotificationLog>, AtomicUsize);

#[async_trait]
impl NotificationLog for Announcing {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.0.describe().await
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.0.current().await
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.0.section(link).await
    }

    async fn wait(&self, _: u64, _: Duration) -> Result<bool, LogError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

#[tokio::test]
async fn a_log_that_announces_what_it_does_not_have_is_asked_with_pauses_and_is_an_error() {
    let log = Arc::new(Announcing(
        SmallLog::with(5, 13).await.near(),
        AtomicUsize::new(0),
    ));
    let mut reader = NotificationLogReader::new(log.clone(), None);
    drain(&mut reader).await;
    assert!(reader.wait(DEADLINE).await.unwrap());
    assert!(reader.next_batch().await.unwrap().is_empty());
    // After a false alarm it is not asked at once.
    assert_eq!(polled_once(reader.wait(DEADLINE)).await.map(drop), None);
    let error = loop {
        assert!(reader.wait(DEADLINE).await.unwrap());
        match reader.next_batch().await {
            Ok(batch) => assert!(batch.is_empty()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Garbage { .. }), "{error:?}");
    assert_eq!(log.1.load(Ordering::Relaxed), 5);
}
