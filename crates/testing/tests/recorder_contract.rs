//! The recorder contract on the memory recorder, and on recorders that break it: the suite has to notice.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{
    Append, Appended, DEFAULT_PAGE_SIZE, Deletion, KeyValueStore, LogIdentity, MemoryRecorder,
    Notification, Position, Recorder, RecorderError, StoredEvent, StreamRange,
};
use boxes_testing::recorder_contract::{self as contract, Store, run};
use uuid::Uuid;

fn log() -> LogIdentity {
    LogIdentity {
        name: "test".to_owned(),
        epoch: Uuid::from_u128(7),
        page_size: DEFAULT_PAGE_SIZE,
    }
}

struct Memory(MemoryRecorder);

impl Store for Memory {
    async fn open(&self) -> Arc<dyn Recorder> {
        Arc::new(self.0.clone())
    }
}

boxes_testing::recorder_contract!(Memory(MemoryRecorder::new(log())));

mod key_values {
    use super::{Memory, MemoryRecorder, log};

    boxes_testing::key_value_contract!(Memory(MemoryRecorder::new(log())));
}

fn naive(flaw: Flaw) -> NaiveStore {
    NaiveStore(Mutex::new(Arc::new(Naive::empty(flaw))))
}

/// Whether the suite fails, as it should.
fn fails(behaviour: impl Future<Output = ()>) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(behaviour))).is_err()
}

/// How a recorder may go wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// Takes ids from a sequence, and makes what it recorded visible when it is ready, as an identity column does: a
    /// transaction that commits late shows up behind what was read already.
    CommitsOutOfOrder,
    /// Takes ids from a sequence before it looks for conflicts, so that refused requests leave holes.
    RefusedRequestsTakeIds,
    /// Keeps nanoseconds, which no other store does.
    KeepsNanoseconds,
    /// Counts its readers in the store.
    WritesOnReading,
    /// Begins anew when it is opened.
    Forgets,
    /// Says that a stream is deleted, and leaves it there.
    DeletesNothingReally,
    /// Deletes the rows of a stream, and leaves holes in the log.
    DeletesTheRows,
    /// Deletes in a transaction before that of the append.
    DeletesBeforeItChecks,
    /// Writes values in a transaction before that of the append.
    WritesValuesBeforeItChecks,
    /// Records what is deleted in the same append as it is.
    RedactsOnlyWhatIsThere,
    /// Keeps no ids of events with positions.
    ForgetsTheEventsOfPositions,
}

/// A naive store of ours: checks with a memory recorder, numbers on its own.
#[derive(Debug)]
struct Naive {
    log: LogIdentity,
    flaw: Flaw,
    /// The log's lock: one transaction at a time.
    lock: tokio::sync::Mutex<()>,
    checked: MemoryRecorder,
    sequence: AtomicU64,
    visible: Mutex<BTreeMap<u64, StoredEvent>>,
    reads: AtomicU64,
}

impl Naive {
    fn redact(&self, originator_id: Uuid) {
        let mut visible = self.visible.lock().unwrap();
        let of_stream = |event: &&mut StoredEvent| event.originator_id == originator_id;
        for event in visible.values_mut().filter(of_stream) {
            *event = event.to_redacted();
        }
        if self.flaw == Flaw::DeletesTheRows {
            visible.retain(|_, event| event.originator_id != originator_id);
        }
    }

    async fn do_too_early(&self, append: &Append) {
        let early = match self.flaw {
            Flaw::DeletesBeforeItChecks => Append {
                deletions: append.deletions.clone(),
                ..Append::default()
            },
            Flaw::WritesValuesBeforeItChecks => Append {
                key_values: append.key_values.clone(),
                ..Append::default()
            },
            _ => return,
        };
        drop(self.checked.record(&[early]).await);
    }

    fn empty(flaw: Flaw) -> Self {
        Self {
            log: log(),
            flaw,
            lock: tokio::sync::Mutex::default(),
            checked: MemoryRecorder::new(log()),
            sequence: AtomicU64::new(1),
            visible: Mutex::default(),
            reads: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Recorder for Naive {
    fn log(&self) -> &LogIdentity {
        &self.log
    }

    async fn record(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
        let lock = self.lock.lock().await;
        // The flaw is that it lets go of the lock before what it has numbered can be seen.
        let lock = (self.flaw != Flaw::CommitsOutOfOrder).then_some(lock);
        let mut outcomes = Vec::new();
        for append in batch {
            let n_events = u64::try_from(append.events.len()).unwrap();
            self.do_too_early(append).await;
            let outcome = self
                .checked
                .record(std::slice::from_ref(append))
                .await?
                .remove(0);
            if outcome.is_err() {
                if self.flaw == Flaw::RefusedRequestsTakeIds {
                    self.sequence.fetch_add(n_events, Ordering::SeqCst);
                }
                outcomes.push(outcome);
                continue;
            }
            let first = self.sequence.fetch_add(n_events, Ordering::SeqCst);
            if lock.is_none() && first.is_multiple_of(7) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.visible
                .lock()
                .unwrap()
                .extend((first..).zip(append.events.iter().cloned()));
            let redacted = append.deletions.iter();
            for originator_id in redacted {
                if self.flaw != Flaw::RedactsOnlyWhatIsThere {
                    self.redact(*originator_id);
                }
            }
            outcomes.push(outcome.map(|appended| Appended {
                ids: first..first + n_events,
                ..appended
            }));
        }
        Ok(outcomes)
    }

    async fn select_events(
        &self,
        originator_id: Uuid,
        range: StreamRange,
    ) -> Result<Vec<StoredEvent>, RecorderError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.flaw == Flaw::KeepsNanoseconds {
            let visible = self.visible.lock().unwrap();
            return Ok(visible
                .values()
                .filter(|event| event.originator_id == originator_id)
                .cloned()
                .collect());
        }
        self.checked.select_events(originator_id, range).await
    }

    async fn select_notifications(
        &self,
        first: u64,
        limit: u64,
    ) -> Result<Vec<Notification>, RecorderError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let visible = self.visible.lock().unwrap();
        let from = visible.range(first..).take(limit);
        Ok(from
            .map(|(id, event)| Notification {
                id: *id,
                event: event.clone(),
            })
            .collect())
    }

    async fn select_event(&self, event_id: Uuid) -> Result<Option<Notification>, RecorderError> {
        let visible = self.visible.lock().unwrap();
        let mut found = visible
            .iter()
            .filter(|(_, event)| event.event_id == event_id);
        Ok(found.next().map(|(id, event)| Notification {
            id: *id,
            event: event.clone(),
        }))
    }

    async fn delete_stream(&self, originator_id: Uuid) -> Result<Deletion, RecorderError> {
        if self.flaw == Flaw::DeletesNothingReally {
            let n_events = self
                .checked
                .select_events(originator_id, StreamRange::ALL)
                .await?
                .len();
            let n_events = u64::try_from(n_events).unwrap();
            return Ok(Deletion {
                n_events,
                n_redacted: n_events,
            });
        }
        let _lock = self.lock.lock().await;
        self.redact(originator_id);
        self.checked.delete_stream(originator_id).await
    }

    async fn n_redacted(&self) -> Result<u64, RecorderError> {
        self.checked.n_redacted().await
    }

    async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
        self.checked.n_redacted_in(first, last).await
    }

    async fn head(&self) -> Result<u64, RecorderError> {
        Ok(self
            .visible
            .lock()
            .unwrap()
            .keys()
            .next_back()
            .copied()
            .unwrap_or(0))
    }

    async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
        let position = self.checked.tracking(follower).await?;
        let forgets = self.flaw == Flaw::ForgetsTheEventsOfPositions;
        Ok(position.map(|position| {
            let known = position.event_id.filter(|_| !forgets);
            position.with_event_id(known)
        }))
    }

    fn key_value_store(&self) -> Option<Arc<dyn KeyValueStore>> {
        self.checked.key_value_store()
    }
}

struct NaiveStore(Mutex<Arc<Naive>>);

impl Store for NaiveStore {
    async fn open(&self) -> Arc<dyn Recorder> {
        let mut store = self.0.lock().unwrap();
        if store.flaw == Flaw::Forgets {
            *store = Arc::new(Naive::empty(Flaw::Forgets));
        }
        Arc::<Naive>::clone(&store)
    }

    fn contents(&self) -> Option<Vec<u8>> {
        let store = self.0.lock().unwrap();
        let reads = store.reads.load(Ordering::SeqCst);
        Some(if store.flaw == Flaw::WritesOnReading {
            reads.to_be_bytes().to_vec()
        } else {
            Vec::new()
        })
    }
}

#[test]
fn the_suite_passes_the_naive_store_where_it_has_no_flaw() {
    run(
        contract::a_live_reader_reads_everything_once_in_order_while_sixteen_write(naive(
            Flaw::None,
        )),
    );
    run(contract::a_conflict_refuses_its_request_alone(naive(
        Flaw::None,
    )));
    run(contract::reading_changes_nothing(naive(Flaw::None)));
    run(
        contract::a_store_that_is_opened_again_has_everything_and_the_same_epoch(naive(Flaw::None)),
    );
    run(contract::ids_are_dense_in_the_order_of_requests_and_events(
        naive(Flaw::None),
    ));
}

#[test]
fn the_suite_notices_that_events_become_visible_out_of_order() {
    assert!(fails(
        contract::a_live_reader_reads_everything_once_in_order_while_sixteen_write(naive(
            Flaw::CommitsOutOfOrder
        ))
    ));
}

#[test]
fn the_suite_notices_that_refused_requests_leave_holes() {
    assert!(fails(contract::a_conflict_refuses_its_request_alone(
        naive(Flaw::RefusedRequestsTakeIds)
    )));
    assert!(fails(
        contract::a_live_reader_reads_everything_once_in_order_while_sixteen_write(naive(
            Flaw::RefusedRequestsTakeIds
        ))
    ));
}

#[test]
fn the_suite_notices_a_finer_time_writing_on_reading_and_forgetting() {
    assert!(fails(contract::a_finer_time_is_cut_to_microseconds(naive(
        Flaw::KeepsNanoseconds
    ))));
    assert!(fails(contract::reading_changes_nothing(naive(
        Flaw::WritesOnReading
    ))));
    assert!(fails(
        contract::a_store_that_is_opened_again_has_everything_and_the_same_epoch(naive(
            Flaw::Forgets
        ))
    ));
}

#[test]
fn the_suite_notices_that_an_append_is_not_one_transaction() {
    run(
        contract::events_deletions_values_and_a_step_are_recorded_together_or_not_at_all(naive(
            Flaw::None,
        )),
    );
    for flaw in [
        Flaw::DeletesBeforeItChecks,
        Flaw::WritesValuesBeforeItChecks,
    ] {
        assert!(fails(
            contract::events_deletions_values_and_a_step_are_recorded_together_or_not_at_all(
                naive(flaw)
            )
        ));
    }
    assert!(fails(
        contract::an_aggregate_that_is_created_and_deleted_in_one_append_takes_its_places_redacted(
            naive(Flaw::RedactsOnlyWhatIsThere)
        )
    ));
    run(contract::the_event_of_a_position_is_kept_with_it(naive(
        Flaw::None,
    )));
    assert!(fails(contract::the_event_of_a_position_is_kept_with_it(
        naive(Flaw::ForgetsTheEventsOfPositions)
    )));
}

#[test]
fn the_suite_notices_that_a_deleted_stream_is_still_there_or_leaves_holes() {
    run(contract::a_deleted_stream_leaves_its_places_in_the_log_redacted(naive(Flaw::None)));
    run(contract::a_deleted_stream_is_neither_read_nor_written_again(naive(Flaw::None)));
    for flaw in [Flaw::DeletesNothingReally, Flaw::DeletesTheRows] {
        assert!(fails(
            contract::a_deleted_stream_leaves_its_places_in_the_log_redacted(naive(flaw))
        ));
    }
    assert!(fails(
        contract::a_deleted_stream_is_neither_read_nor_written_again(naive(
            Flaw::DeletesNothingReally
        ))
    ));
}
