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
    Section, SectionLink,
};
use boxes_recorder::Position;
use boxes_testing::log_fixture::{EPOCH, FailingLog, Plan, SmallLog};
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
        let mut reader = NotificationLogReader::new(gated.clone(), None)
            .with_bounds(ReaderBounds { max_prefetch });
        let reading = tokio::spawn(async move { drain(&mut reader).await });
        // Ten are known to be archived: what may still grow is not fetched ahead.
        gated.until_asked(max_prefetch.clamp(1, 10)).await;
        gated.gate.add_permits(1_000);
        assert_eq!(reading.await.unwrap(), (1..=53).collect::<Vec<_>>());
        assert_eq!(
            gated.most.load(Ordering::Relaxed),
            max_prefetch.clamp(1, 10)
        );
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
    assert_eq!(reader.position(), Some(Position::new(epoch, 13)));

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
