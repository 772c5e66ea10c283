//! The log of a box in this process keeps what every log promises.
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
    LocalNotificationLog, LogError, NotificationLog, SectionId, SectionLink,
};
use boxes_recorder::{
    Append, Appended, Deletion, GroupCommit, GroupCommitBounds, LogIdentity, Notification,
    Position, Recorder, RecorderError, StoredEvent, StreamRange,
};
use boxes_testing::log_fixture::SmallLog;
use uuid::Uuid;

boxes_testing::notification_log_suite!(|log| async move { log });

/// A store that counts how often it is read, never learns of its head by asking for it now and then, and can't
/// be written to.
#[derive(Debug)]
struct ReadOnly {
    store: Arc<dyn Recorder>,
    ranges_read: AtomicUsize,
    heads_read: AtomicUsize,
}

#[async_trait]
impl Recorder for ReadOnly {
    fn log(&self) -> &LogIdentity {
        self.store.log()
    }

    async fn record(
        &self,
        _: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        panic!("reading writes")
    }

    async fn select_events(
        &self,
        _: Uuid,
        _: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        panic!("a log is not read by its aggregates")
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.ranges_read.fetch_add(1, Ordering::Relaxed);
        self.store.select_notifications(first, limit).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        panic!("a log is not read by its events, such as {event_id}")
    }

    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        panic!("reading deletes {originator_id}")
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.store.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.store.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.heads_read.fetch_add(1, Ordering::Relaxed);
        self.store.head().await
    }

    async fn tracking(&self, _: &str) -> Result<Option<Position>, RecorderError> {
        panic!("a log has no positions")
    }
}

impl ReadOnly {
    /// Ranges and heads that were read since the last time.
    fn reads(&self) -> (usize, usize) {
        let taken = |counter: &AtomicUsize| counter.swap(0, Ordering::Relaxed);
        (taken(&self.ranges_read), taken(&self.heads_read))
    }
}

/// The log as another process has it, on the same store, and that store.
async fn in_another_process(log: &SmallLog) -> (LocalNotificationLog, GroupCommit, Arc<ReadOnly>) {
    let store = Arc::new(ReadOnly {
        store: Arc::clone(log.writer().recorder()),
        ranges_read: AtomicUsize::new(0),
        heads_read: AtomicUsize::new(0),
    });
    let bounds = GroupCommitBounds {
        head_poll_interval: Duration::from_secs(10_000),
        ..GroupCommitBounds::default()
    };
    let writer = GroupCommit::start(store.clone(), bounds).await.unwrap();
    let local = LocalNotificationLog::new(&writer);
    // The poll asks once when it begins.
    while store.heads_read.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    store.reads();
    (local, writer, store)
}

fn section_of(id: u64) -> SectionLink {
    SectionId::containing(id, 5.try_into().unwrap()).into()
}

#[tokio::test]
async fn reading_costs_one_range_and_describing_nothing() {
    let log = SmallLog::with(5, 13).await;
    let (local, _writer, store) = in_another_process(&log).await;
    local.describe().await.unwrap();
    assert!(!local.wait(13, Duration::ZERO).await.unwrap());
    assert_eq!(store.reads(), (0, 0));
    for id in [1, 6, 11] {
        local.section(&section_of(id)).await.unwrap();
        assert_eq!(store.reads(), (1, 0), "{id}");
    }
    local.current().await.unwrap();
    assert_eq!(store.reads(), (1, 0));
    // Beyond what is known the store is asked how far it goes, and not for what it has not.
    local.section(&section_of(16)).await.unwrap();
    assert_eq!(store.reads(), (0, 1));
    let off_the_grid: SectionId = "2,6".parse().unwrap();
    local.section(&off_the_grid.into()).await.unwrap_err();
    assert_eq!(store.reads(), (0, 0));
}

#[tokio::test]
async fn what_another_process_wrote_is_seen_by_reading_and_never_unseen() {
    let log = SmallLog::with(5, 13).await;
    let (local, _writer, _store) = in_another_process(&log).await;
    log.append(1).await;
    assert_eq!(local.section(&section_of(11)).await.unwrap().last, Some(14));
    assert_eq!(local.describe().await.unwrap().last, 14);
    log.append(20).await;
    // The section that was the current one is archived, and the current one is where the log ends.
    assert_eq!(local.current().await.unwrap().id, section_of(34).id);
    assert_eq!(local.describe().await.unwrap().last, 34);
    assert!(local.section(&section_of(11)).await.unwrap().archived);
    log.append(20).await;
    assert_eq!(local.section(&section_of(54)).await.unwrap().last, Some(54));
    assert!(local.section(&section_of(31)).await.unwrap().archived);
}

#[tokio::test]
async fn a_log_whose_writer_is_gone_is_not_waited_for() {
    let log = SmallLog::with(5, 13).await;
    let (local, writer, _store) = in_another_process(&log).await;
    let waiting = tokio::spawn({
        let local = local.clone();
        async move { local.wait(13, Duration::from_secs(600)).await }
    });
    tokio::task::yield_now().await;
    writer.close().await;
    drop(writer);
    let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let ended = ended.expect("it ends").unwrap();
    assert!(
        matches!(ended, Err(LogError::Unavailable { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_is_redacted_is_counted_without_reading_events() {
    let log = SmallLog::with(5, 13).await;
    log.delete(7).await;
    let (local, _writer, store) = in_another_process(&log).await;
    assert_eq!(local.describe().await.unwrap().n_redacted, 1);
    assert_eq!(local.n_redacted_in(section_of(7).id).await.unwrap(), 1);
    assert_eq!(local.n_redacted_in(section_of(1).id).await.unwrap(), 0);
    let off_the_grid = "2,6".parse().unwrap();
    local.n_redacted_in(off_the_grid).await.unwrap_err();
    assert_eq!(store.reads(), (0, 0));
}
