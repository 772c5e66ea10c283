//! Appends while the store does not answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Accepted, Append, DEFAULT_PAGE_SIZE, Deletion, Encoding, GroupCommit, GroupCommitBounds,
    LogIdentity, MemoryRecorder, Notification, Position, Recorder, RecorderError, Spool,
    SpoolBounds, SpoolError, StoredEvent, StreamRange,
};
use jiff::Timestamp;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);

/// A store that can be away, or answer that it is while it records.
#[derive(Debug)]
struct Store {
    memory: MemoryRecorder,
    mood: AtomicU8,
}

const ANSWERS: u8 = 0;
const AWAY: u8 = 1;
const RECORDS_AND_SAYS_IT_IS_AWAY: u8 = 2;

impl Store {
    fn new() -> Arc<Self> {
        let log = LogIdentity {
            name: "test".to_owned(),
            epoch: Uuid::from_u128(1),
            page_size: DEFAULT_PAGE_SIZE,
        };
        Arc::new(Self {
            memory: MemoryRecorder::new(log),
            mood: AtomicU8::new(ANSWERS),
        })
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    async fn events(&self) -> Vec<StoredEvent> {
        let log = self.memory.select_notifications(1, u64::MAX).await.unwrap();
        assert!(log.iter().map(|n| n.id).eq((1..).take(log.len())));
        log.into_iter().map(|n| n.event).collect()
    }
}

fn away() -> RecorderError {
    RecorderError::Unavailable {
        reason: "it is away".to_owned(),
        source: None,
    }
}

#[async_trait]
impl Recorder for Store {
    fn log(&self) -> &LogIdentity {
        self.memory.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Range<u64>, RecorderError>>, RecorderError> {
        let mood = self.mood.load(Ordering::SeqCst);
        if mood == AWAY {
            return Err(away());
        }
        let recorded = self.memory.record(batch).await;
        if mood == RECORDS_AND_SAYS_IT_IS_AWAY {
            return Err(away());
        }
        recorded
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.memory.select_events(originator_id, range).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.memory.select_notifications(first, limit).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.memory.select_event(event_id).await
    }

    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        self.memory.delete_stream(originator_id).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.memory.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.memory.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.memory.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.memory.tracking(follower).await
    }
}

fn event(originator: u128, version: u64) -> StoredEvent {
    let originator_id = Uuid::from_u128(originator);
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &version.to_be_bytes()),
        originator_id,
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: format!("{{\"version\":{version}}}").into(),
        metadata: "{}".into(),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.spool");
    (folder, file)
}

const BOUNDS: SpoolBounds = SpoolBounds {
    max_bytes: 1024 * 1024,
    retry_interval: Duration::from_millis(5),
};

async fn commit(store: &Arc<Store>) -> GroupCommit {
    let recorder: Arc<dyn Recorder> = Arc::<Store>::clone(store);
    GroupCommit::start(recorder, GroupCommitBounds::default())
        .await
        .unwrap()
}

async fn spool(file: &Path, store: &Arc<Store>) -> Spool {
    Spool::open(file, commit(store).await, BOUNDS)
        .await
        .unwrap()
}

async fn is_drained(spool: &Spool) {
    let mut state = spool.watch();
    let drained = state.wait_for(|state| state.waiting == 0);
    tokio::time::timeout(DEADLINE, drained)
        .await
        .expect("it is drained in time")
        .unwrap();
}

#[tokio::test]
async fn what_the_store_takes_is_recorded_and_what_it_can_not_take_is_kept_and_recorded_in_order() {
    let (_folder, file) = folder();
    let store = Store::new();
    let spool = spool(&file, &store).await;
    let recorded = spool.append(vec![event(1, 1)]).await.unwrap();
    assert_eq!(recorded, Accepted::Recorded(1..2));

    store.is(AWAY);
    for version in 2..=5 {
        let kept = spool
            .append(vec![event(1, version), event(2, version - 1)])
            .await;
        assert_eq!(kept.unwrap(), Accepted::Spooled);
    }
    assert_eq!(spool.state().waiting, 4);
    assert_eq!(store.events().await.len(), 1);

    store.is(ANSWERS);
    // What comes now comes behind what waits.
    let last = spool.append(vec![event(1, 6)]).await.unwrap();
    is_drained(&spool).await;
    let versions: Vec<_> = store
        .events()
        .await
        .iter()
        .map(|e| e.originator_version)
        .collect();
    assert_eq!(versions, [1, 2, 1, 3, 2, 4, 3, 5, 4, 6], "{last:?}");
    let recorded = spool.append(vec![event(1, 7)]).await.unwrap();
    assert_eq!(recorded, Accepted::Recorded(11..12));
    assert_eq!(spool.state().set_aside, 0);
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[tokio::test]
async fn what_was_kept_when_a_process_ended_is_recorded_by_the_next_one() {
    let (_folder, file) = folder();
    let store = Store::new();
    store.is(AWAY);
    let first = spool(&file, &store).await;
    for version in 1..=3 {
        assert_eq!(
            first.append(vec![event(1, version)]).await.unwrap(),
            Accepted::Spooled
        );
    }
    let second = Spool::open(&file, commit(&store).await, BOUNDS).await;
    assert!(
        matches!(second, Err(SpoolError::InUse { .. })),
        "{second:?}"
    );
    first.stop();
    drop(first);

    store.is(ANSWERS);
    // What is aborted lets go of the file a moment later.
    let opening = async {
        loop {
            match Spool::open(&file, commit(&store).await, BOUNDS).await {
                Ok(spool) => return spool,
                Err(SpoolError::InUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let second = tokio::time::timeout(DEADLINE, opening).await.unwrap();
    is_drained(&second).await;
    assert_eq!(
        store.events().await,
        [1, 2, 3].map(|version| event(1, version))
    );
}

#[tokio::test]
async fn what_was_recorded_though_the_store_did_not_say_so_is_not_recorded_twice() {
    let (_folder, file) = folder();
    let store = Store::new();
    let spool = spool(&file, &store).await;
    store.is(RECORDS_AND_SAYS_IT_IS_AWAY);
    assert_eq!(
        spool.append(vec![event(1, 1)]).await.unwrap(),
        Accepted::Spooled
    );
    assert_eq!(
        spool.append(vec![event(1, 2)]).await.unwrap(),
        Accepted::Spooled
    );
    store.is(ANSWERS);
    is_drained(&spool).await;
    assert_eq!(store.events().await, [event(1, 1), event(1, 2)]);
    assert_eq!(spool.state().set_aside, 0);
}

#[tokio::test]
async fn what_conflicts_is_set_aside_and_kept_and_the_rest_goes_on() {
    let (_folder, file) = folder();
    let store = Store::new();
    let spool = spool(&file, &store).await;
    store.is(AWAY);
    assert_eq!(
        spool.append(vec![event(1, 1)]).await.unwrap(),
        Accepted::Spooled
    );
    assert_eq!(
        spool.append(vec![event(2, 1)]).await.unwrap(),
        Accepted::Spooled
    );
    // Somebody else writes to the first aggregate.
    let mut other = event(1, 1);
    other.event_id = Uuid::from_u128(99);
    let outcomes = store
        .memory
        .record(&[Append::new(vec![other.clone()])])
        .await;
    assert!(outcomes.unwrap()[0].is_ok());
    store.is(ANSWERS);
    is_drained(&spool).await;
    assert_eq!(store.events().await, [other, event(2, 1)]);
    assert_eq!(spool.state().set_aside, 1);
    assert_eq!(spool.set_aside().await.unwrap(), [vec![event(1, 1)]]);
}

#[tokio::test]
async fn a_full_spool_accepts_nothing() {
    let (_folder, file) = folder();
    let store = Store::new();
    let bounds = SpoolBounds {
        max_bytes: 400,
        ..BOUNDS
    };
    let spool = Spool::open(&file, commit(&store).await, bounds)
        .await
        .unwrap();
    store.is(AWAY);
    let mut kept = 0;
    let refused = loop {
        match spool.append(vec![event(1, kept + 1)]).await {
            Ok(accepted) => assert_eq!(accepted, Accepted::Spooled),
            Err(error) => break error.to_string(),
        }
        kept += 1;
    };
    assert!(refused.contains("of at most 400"), "{refused}");
    assert!((1..10).contains(&kept));
    store.is(ANSWERS);
    is_drained(&spool).await;
    assert_eq!(u64::try_from(store.events().await.len()).unwrap(), kept);
}

/// A file with the requests of versions 1 to 3, as a crash leaves it.
async fn left_behind(file: &Path, store: &Arc<Store>) -> Vec<u8> {
    store.is(AWAY);
    let spool = spool(file, store).await;
    for version in 1..=3 {
        assert_eq!(
            spool.append(vec![event(1, version)]).await.unwrap(),
            Accepted::Spooled
        );
    }
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn a_request_that_a_crash_cut_short_is_cut_off_and_one_that_is_damaged_stops_it_all() {
    let (folder, file) = folder();
    let store = Store::new();
    let whole = left_behind(&file, &store).await;
    store.is(ANSWERS);

    let torn = folder.path().join("torn.spool");
    std::fs::write(&torn, &whole[..whole.len() - 1]).unwrap();
    let spool = spool(&torn, &store).await;
    is_drained(&spool).await;
    assert_eq!(
        store.events().await,
        [1, 2].map(|version| event(1, version))
    );

    let damaged = folder.path().join("damaged.spool");
    let mut bytes = whole.clone();
    bytes[20] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    let refused = Spool::open(&damaged, commit(&store).await, BOUNDS).await;
    assert!(
        matches!(refused, Err(SpoolError::Damaged { at: 0, .. })),
        "{refused:?}"
    );
    // Nothing is taken out of it.
    assert_eq!(std::fs::read(&damaged).unwrap(), bytes);
}
