//! What callers of a group commit may rely on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, DEFAULT_PAGE_SIZE, Encoding, GroupCommit, GroupCommitBounds, LogIdentity,
    MemoryRecorder, Notification, Position, Recorder, RecorderError, StoredEvent, StreamRange,
};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long something that has to happen may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// An engine in memory that can be held, made to fail and to panic, and that tells what it was asked.
#[derive(Debug)]
struct Engine {
    store: MemoryRecorder,
    /// One permit lets one transaction through.
    gate: Semaphore,
    /// How many requests each transaction had, in order, noted before the gate.
    transactions: Mutex<Vec<usize>>,
    unavailable: AtomicBool,
    panics: AtomicBool,
    head_reads: AtomicUsize,
}

impl Engine {
    fn held() -> Arc<Self> {
        let log = LogIdentity {
            name: "test".to_owned(),
            epoch: Uuid::from_u128(7),
            page_size: DEFAULT_PAGE_SIZE,
        };
        Arc::new(Self {
            store: MemoryRecorder::new(log),
            gate: Semaphore::new(0),
            transactions: Mutex::default(),
            unavailable: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            head_reads: AtomicUsize::new(0),
        })
    }

    fn open() -> Arc<Self> {
        let engine = Self::held();
        engine.let_through(Semaphore::MAX_PERMITS / 2);
        engine
    }

    fn let_through(&self, n_transactions: usize) {
        self.gate.add_permits(n_transactions);
    }

    fn transactions(&self) -> Vec<usize> {
        self.transactions.lock().unwrap().clone()
    }

    async fn head(&self) -> u64 {
        self.store.head().await.unwrap()
    }
}

#[async_trait]
impl Recorder for Engine {
    fn log(&self) -> &LogIdentity {
        self.store.log()
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        self.transactions.lock().unwrap().push(batch.len());
        self.gate.acquire().await.unwrap().forget();
        assert!(
            !self.panics.swap(false, Ordering::SeqCst),
            "the engine was told to panic"
        );
        if self.unavailable.swap(false, Ordering::SeqCst) {
            return Err(RecorderError::Unavailable {
                reason: "told to fail".to_owned(),
                source: None,
            });
        }
        self.store.record(batch).await
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.store.select_events(originator_id, range).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.store.select_notifications(first, limit).await
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        self.store.select_event(event_id).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.store.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.store.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        self.head_reads.fetch_add(1, Ordering::SeqCst);
        self.store.head().await
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        self.store.tracking(follower).await
    }
}

fn event(originator: u128, version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128(originator << 64 | u128::from(version)),
        originator_id: Uuid::from_u128(originator),
        originator_version: version,
        topic: Cow::Borrowed("test.happened"),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(b"{\"n\":1}"),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

fn one(originator: u128) -> Append {
    Append::new(vec![event(originator, 1)])
}

async fn start(engine: &Arc<Engine>, bounds: GroupCommitBounds) -> GroupCommit {
    let recorder: Arc<dyn Recorder> = Arc::<Engine>::clone(engine);
    GroupCommit::start(recorder, bounds).await.unwrap()
}

type Outcome = Result<Appended, RecorderError>;

/// Asks without waiting for the answer.
fn ask(commit: &GroupCommit, append: Append) -> JoinHandle<Outcome> {
    let commit = commit.clone();
    tokio::spawn(async move { commit.append(append).await })
}

async fn answer(asked: JoinHandle<Outcome>) -> Outcome {
    tokio::time::timeout(DEADLINE, asked)
        .await
        .expect("no answer")
        .unwrap()
}

/// Runs what is ready to run, until nothing is: on the one thread of a test, after some rounds.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("did not happen: {what}"));
}

#[tokio::test]
async fn a_lone_caller_gets_the_ids_of_its_events() {
    let commit = start(&Engine::open(), GroupCommitBounds::default()).await;
    assert_eq!(
        commit
            .append(Append::new(vec![event(1, 1), event(1, 2)]))
            .await
            .unwrap()
            .ids,
        1..3
    );
    assert_eq!(commit.append(Append::default()).await.unwrap().ids, 3..3);
    assert_eq!(commit.append(one(2)).await.unwrap().ids, 3..4);
}

#[tokio::test]
async fn what_waits_during_a_commit_shares_the_next_transaction() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let first = ask(&commit, one(1));
    until("the first transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    let others: Vec<_> = (2..=50).map(|n| ask(&commit, one(n))).collect();
    settle().await;
    engine.let_through(2);
    assert_eq!(answer(first).await.unwrap().ids, 1..2);
    for (id, other) in (2..).zip(others) {
        assert_eq!(answer(other).await.unwrap().ids, id..id + 1);
    }
    assert_eq!(engine.transactions(), [1, 49]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn callers_that_were_just_answered_get_into_the_next_transaction() {
    let engine = Engine::open();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let callers: Vec<_> = (1..=20)
        .map(|n| {
            let commit = commit.clone();
            tokio::spawn(async move {
                for version in 1..=10 {
                    commit
                        .append(Append::new(vec![event(n, version)]))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        tokio::time::timeout(DEADLINE, caller)
            .await
            .unwrap()
            .unwrap();
    }
    // Of 200 requests: without giving way the writer is woken by each alone and makes 200 transactions.
    let transactions = engine.transactions();
    assert!(transactions.len() < 50, "{transactions:?}");
}

#[tokio::test]
async fn a_transaction_is_cut_at_each_of_its_bounds() {
    let by_requests = GroupCommitBounds {
        max_requests: 3,
        ..GroupCommitBounds::default()
    };
    let by_events = GroupCommitBounds {
        max_events: 6,
        ..GroupCommitBounds::default()
    };
    let by_bytes = GroupCommitBounds {
        max_bytes: 3 * 2 * (7 + 2),
        ..GroupCommitBounds::default()
    };
    for bounds in [by_requests, by_events, by_bytes] {
        let engine = Engine::held();
        let commit = start(&engine, bounds).await;
        let pair = |n| Append::new(vec![event(n, 1), event(n, 2)]);
        let asked: Vec<_> = (1..=7).map(|n| ask(&commit, pair(n))).collect();
        settle().await;
        engine.let_through(7);
        for (n, asked) in (0..).zip(asked) {
            assert_eq!(answer(asked).await.unwrap().ids, 2 * n + 1..2 * n + 3);
        }
        assert_eq!(engine.transactions(), [3, 3, 1], "{bounds:?}");
    }
}

#[tokio::test]
async fn a_request_larger_than_a_transaction_is_recorded_alone() {
    let engine = Engine::held();
    let commit = start(
        &engine,
        GroupCommitBounds {
            max_events: 2,
            ..GroupCommitBounds::default()
        },
    )
    .await;
    let small = ask(&commit, one(1));
    let large = ask(
        &commit,
        Append::new((1..=5).map(|version| event(2, version)).collect()),
    );
    let last = ask(&commit, one(3));
    settle().await;
    engine.let_through(3);
    assert_eq!(answer(small).await.unwrap().ids, 1..2);
    assert_eq!(answer(large).await.unwrap().ids, 2..7);
    assert_eq!(answer(last).await.unwrap().ids, 7..8);
    assert_eq!(engine.transactions(), [1, 1, 1]);
}

#[tokio::test]
async fn a_conflict_is_answered_to_the_caller_that_has_it() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let (good, bad, other) = (
        ask(&commit, one(1)),
        ask(&commit, one(1)),
        ask(&commit, one(2)),
    );
    settle().await;
    engine.let_through(1);
    assert_eq!(answer(good).await.unwrap().ids, 1..2);
    assert!(matches!(
        answer(bad).await,
        Err(RecorderError::VersionConflict {
            version: 1,
            recorded: 1,
            ..
        })
    ));
    assert_eq!(answer(other).await.unwrap().ids, 2..3);
}

#[tokio::test]
async fn a_failed_transaction_fails_each_of_its_callers_and_the_next_one_is_tried() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    engine.unavailable.store(true, Ordering::SeqCst);
    let asked = [ask(&commit, one(1)), ask(&commit, one(2))];
    settle().await;
    engine.let_through(2);
    for asked in asked {
        assert!(
            matches!(answer(asked).await, Err(RecorderError::Unavailable { reason, .. }) if reason == "told to fail")
        );
    }
    assert_eq!(commit.append(one(1)).await.unwrap().ids, 1..2);
}

#[tokio::test]
async fn a_panic_in_the_engine_is_an_error_to_its_callers_and_to_no_other() {
    let engine = Engine::open();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    engine.panics.store(true, Ordering::SeqCst);
    let asked = ask(&commit, one(1));
    assert!(
        matches!(answer(asked).await, Err(RecorderError::OutcomeUnknown { reason, .. }) if reason.contains("panicked"))
    );
    assert_eq!(commit.append(one(1)).await.unwrap().ids, 1..2);
}

#[tokio::test]
async fn what_a_caller_asked_for_happens_though_it_went_away() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let asked = ask(&commit, one(1));
    until("the transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    let waiting = ask(&commit, one(2));
    settle().await;
    asked.abort();
    waiting.abort();
    engine.let_through(2);
    assert_eq!(commit.append(one(3)).await.unwrap().ids, 3..4);
}

#[tokio::test]
async fn an_invalid_request_is_refused_before_the_engine() {
    let engine = Engine::open();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    for append in [
        Append::new(vec![event(1, 0)]),
        Append::new(vec![event(1, 1), event(1, 3)]),
    ] {
        assert!(matches!(
            commit.append(append).await,
            Err(RecorderError::Invalid { .. })
        ));
    }
    assert!(engine.transactions().is_empty());
}

#[tokio::test]
async fn callers_are_held_while_too_many_wait() {
    let engine = Engine::held();
    let commit = start(
        &engine,
        GroupCommitBounds {
            max_waiting: 2,
            ..GroupCommitBounds::default()
        },
    )
    .await;
    let asked: Vec<_> = (1..=10).map(|n| ask(&commit, one(n))).collect();
    settle().await;
    engine.let_through(10);
    for asked in asked {
        answer(asked).await.unwrap();
    }
    assert_eq!(engine.head().await, 10);
    let transactions = engine.transactions();
    assert!(
        transactions.iter().all(|n_requests| *n_requests <= 3),
        "{transactions:?}"
    );
}

#[tokio::test]
async fn closing_records_what_waits_and_refuses_what_comes() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let first = ask(&commit, one(1));
    until("the first transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    let waiting: Vec<_> = (2..=5).map(|n| ask(&commit, one(n))).collect();
    settle().await;
    let closing = tokio::spawn({
        let commit = commit.clone();
        async move { commit.close().await }
    });
    settle().await;
    assert!(
        !closing.is_finished(),
        "closed before what waits was recorded"
    );
    engine.let_through(2);
    tokio::time::timeout(DEADLINE, closing)
        .await
        .expect("not closed")
        .unwrap();
    assert_eq!(engine.head().await, 5);
    for asked in std::iter::once(first).chain(waiting) {
        answer(asked).await.unwrap();
    }
    assert!(matches!(
        commit.append(one(6)).await,
        Err(RecorderError::Closed)
    ));
    tokio::time::timeout(DEADLINE, commit.close())
        .await
        .expect("closing twice hangs");
}

#[tokio::test]
async fn a_request_that_did_not_fit_is_recorded_also_when_it_closes() {
    let engine = Engine::held();
    let bounds = GroupCommitBounds {
        max_requests: 1,
        ..GroupCommitBounds::default()
    };
    let commit = start(&engine, bounds).await;
    let asked: Vec<_> = (1..=3).map(|n| ask(&commit, one(n))).collect();
    // The second request waits where the writer has put it: the first one has filled the transaction.
    until("the first transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    settle().await;
    let closing = tokio::spawn({
        let commit = commit.clone();
        async move { commit.close().await }
    });
    settle().await;
    engine.let_through(3);
    for (id, asked) in (1..).zip(asked) {
        assert_eq!(answer(asked).await.unwrap().ids, id..id + 1);
    }
    tokio::time::timeout(DEADLINE, closing)
        .await
        .expect("not closed")
        .unwrap();
    assert_eq!(engine.head().await, 3);
}

#[tokio::test]
async fn callers_that_are_held_while_it_closes_are_refused() {
    let engine = Engine::held();
    let commit = start(
        &engine,
        GroupCommitBounds {
            max_waiting: 1,
            ..GroupCommitBounds::default()
        },
    )
    .await;
    let first = ask(&commit, one(1));
    until("the first transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    let waiting = ask(&commit, one(2));
    settle().await;
    let held = ask(&commit, one(3));
    settle().await;
    let closing = tokio::spawn({
        let commit = commit.clone();
        async move { commit.close().await }
    });
    settle().await;
    engine.let_through(10);
    tokio::time::timeout(DEADLINE, closing)
        .await
        .expect("not closed")
        .unwrap();
    answer(first).await.unwrap();
    // The writer hears of the closing when it is done with its transaction; who got room by then got in.
    let mut recorded = 1;
    for asked in [waiting, held] {
        match answer(asked).await {
            Ok(_) => recorded += 1,
            Err(error) => assert!(matches!(error, RecorderError::Closed), "{error}"),
        }
    }
    assert_eq!(engine.head().await, recorded);
}

#[tokio::test]
async fn the_task_ends_with_the_last_clone_and_records_what_waits() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let asked = ask(&commit, one(1));
    until("the transaction begins", || {
        engine.transactions().len() == 1
    })
    .await;
    let waiting = ask(&commit, one(2));
    settle().await;
    asked.abort();
    waiting.abort();
    drop(commit);
    engine.let_through(2);
    // The task holds the engine as long as it lives.
    until("the task ends", || Arc::strong_count(&engine) == 1).await;
    assert_eq!(engine.head().await, 2);
}

#[test]
fn a_caller_does_not_hang_when_the_runtime_of_the_writer_ends() {
    let engine = Engine::held();
    let writers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let callers = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let commit = writers.block_on(start(&engine, GroupCommitBounds::default()));
    callers.block_on(async {
        let asked = ask(&commit, one(1));
        until("the transaction begins", || {
            engine.transactions().len() == 1
        })
        .await;
        writers.shutdown_background();
        assert!(matches!(
            answer(asked).await,
            Err(RecorderError::OutcomeUnknown { .. })
        ));
        assert!(matches!(
            commit.append(one(2)).await,
            // Nobody takes it, or nobody says what became of it.
            Err(RecorderError::Unavailable { .. } | RecorderError::OutcomeUnknown { .. })
        ));
    });
}

#[tokio::test]
async fn the_head_is_known_from_the_start_and_moves_with_each_commit() {
    let engine = Engine::open();
    engine.store.record(&[one(1), one(2)]).await.unwrap();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let mut head = commit.watch_head();
    assert_eq!(*head.borrow_and_update(), 2);
    commit.append(one(3)).await.unwrap();
    assert!(
        head.has_changed().unwrap(),
        "the head moves before the caller is answered"
    );
    assert_eq!(*head.borrow_and_update(), 3);
    commit.append(one(3)).await.unwrap_err();
    commit.append(Append::default()).await.unwrap();
    assert!(!head.has_changed().unwrap(), "nothing was recorded");
}

#[tokio::test(start_paused = true)]
async fn what_another_process_records_is_noticed_while_somebody_watches_and_costs_nothing_otherwise()
 {
    let engine = Engine::open();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let at_start = engine.head_reads.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        engine.head_reads.load(Ordering::SeqCst),
        at_start,
        "the store was asked though nobody watched"
    );

    let mut head = commit.watch_head();
    engine.store.record(&[one(1)]).await.unwrap();
    tokio::time::timeout(DEADLINE, head.wait_for(|head| *head == 1))
        .await
        .expect("not noticed")
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    engine.store.record(&[one(2)]).await.unwrap();
    tokio::time::timeout(DEADLINE, head.wait_for(|head| *head == 2))
        .await
        .expect("not noticed later")
        .unwrap();

    drop(head);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let when_unwatched = engine.head_reads.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(engine.head_reads.load(Ordering::SeqCst), when_unwatched);
}

#[tokio::test]
async fn a_stream_is_deleted_in_its_turn_between_what_was_asked_before_and_after() {
    let engine = Engine::held();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    let mut n_redacted = commit.watch_redacted();
    let before = ask(&commit, Append::new(vec![event(1, 1), event(2, 1)]));
    settle().await;
    let more_before = ask(&commit, Append::new(vec![event(1, 2)]));
    settle().await;
    let deleting = commit.clone();
    let deleted =
        tokio::spawn(async move { deleting.delete_stream(Uuid::from_u128(1)).await.unwrap() });
    settle().await;
    let after = ask(&commit, Append::new(vec![event(1, 3)]));
    let of_another = ask(&commit, Append::new(vec![event(2, 2)]));
    settle().await;
    engine.let_through(9);
    assert_eq!(answer(before).await.unwrap().ids, 1..3);
    assert_eq!(answer(more_before).await.unwrap().ids, 3..4);
    assert_eq!(deleted.await.unwrap().n_events, 2);
    assert_eq!(*n_redacted.borrow_and_update(), 2);
    assert!(matches!(
        answer(after).await,
        Err(RecorderError::StreamDeleted { .. })
    ));
    assert_eq!(answer(of_another).await.unwrap().ids, 4..5);
    commit.close().await;
    assert!(matches!(
        commit.delete_stream(Uuid::from_u128(2)).await,
        Err(RecorderError::Closed)
    ));
}

#[tokio::test(start_paused = true)]
async fn what_another_process_deletes_is_noticed_while_somebody_watches() {
    let engine = Engine::open();
    let commit = start(&engine, GroupCommitBounds::default()).await;
    commit.append(one(1)).await.unwrap();
    let mut n_redacted = commit.watch_redacted();
    let stream = Uuid::from_u128(1);
    engine.store.delete_stream(stream).await.unwrap();
    tokio::time::timeout(DEADLINE, n_redacted.wait_for(|n_redacted| *n_redacted == 1))
        .await
        .expect("not noticed")
        .unwrap();
    assert_eq!(
        *start(&engine, GroupCommitBounds::default())
            .await
            .watch_redacted()
            .borrow(),
        1
    );
}
