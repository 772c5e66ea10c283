//! What every recorder promises, as tests.
//!
//! A store of your own is held to it like this, in a file under `tests/`:
//!
//! ```
//! use std::sync::Arc;
//!
//! use boxes_recorder::{DEFAULT_PAGE_SIZE, LogIdentity, MemoryRecorder, Recorder};
//! use boxes_testing::recorder_contract::Store;
//!
//! struct Memory(MemoryRecorder);
//!
//! impl Memory {
//!     fn new() -> Self {
//!         let log = LogIdentity { name: "test".to_owned(), epoch: uuid::Uuid::from_u128(1), page_size: DEFAULT_PAGE_SIZE };
//!         Self(MemoryRecorder::new(log))
//!     }
//! }
//!
//! impl Store for Memory {
//!     async fn open(&self) -> Arc<dyn Recorder> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! boxes_testing::recorder_contract!(Memory::new());
//! ```
//!
//! Each behaviour becomes a test with its name; the expression makes a store for each.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::Recorder;

pub use crate::recorder_appending::{
    a_request_sees_what_those_before_it_in_its_batch_delete_and_write,
    a_value_is_written_only_in_the_place_of_the_one_that_is_expected,
    an_aggregate_that_is_created_and_deleted_in_one_append_takes_its_places_redacted,
    any_number_of_streams_is_deleted_in_one_append,
    events_deletions_values_and_a_step_are_recorded_together_or_not_at_all,
    of_several_that_write_one_value_at_a_time_each_counts_once,
    the_event_of_a_position_is_kept_with_it,
};
pub use crate::recorder_deletion::{
    a_deleted_stream_is_neither_read_nor_written_again,
    a_deleted_stream_leaves_its_places_in_the_log_redacted,
    a_deletion_counts_for_every_recorder_on_the_store,
    a_stream_that_is_deleted_while_others_write_to_it_ends_there,
    deleting_again_changes_nothing_and_says_the_same, redacted_notifications_are_counted,
};
pub use crate::recorder_reading::{
    a_finer_time_is_cut_to_microseconds, an_aggregate_is_read_by_range_limit_and_order,
    an_aggregate_is_read_by_the_time_at_which_it_happened, an_event_is_found_by_its_id,
    everything_that_an_event_says_comes_back, reading_changes_nothing,
    the_log_is_read_from_any_id_with_a_limit,
};
pub use crate::recorder_recording::{
    a_conflict_refuses_its_request_alone, a_request_sees_those_before_it_in_its_batch,
    a_step_into_another_history_is_refused, a_step_is_taken_only_from_where_the_follower_is,
    a_version_that_does_not_follow_is_refused_with_the_recorded_one,
    an_empty_store_has_nothing_to_read, an_invalid_request_is_refused_alone,
    events_of_several_aggregates_and_a_step_are_recorded_together_or_not_at_all,
    followers_do_not_know_of_each_other, ids_are_dense_in_the_order_of_requests_and_events,
    requests_of_any_number_of_events_are_recorded_whole, the_ends_of_the_numbers_are_no_surprise,
};
pub use crate::recorder_sharing::{
    a_live_reader_reads_everything_once_in_order_while_sixteen_write,
    a_store_that_is_opened_again_has_everything_and_the_same_epoch,
    recorders_on_one_store_see_and_check_what_the_others_record, rivals_write_each_version_once,
};

/// How long one behaviour may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Makes one test of each promise. See [the module](mod@crate::recorder_contract).
#[macro_export]
macro_rules! recorder_contract {
    ($store:expr) => {
        $crate::recorder_contract! { @tests $store;
            an_empty_store_has_nothing_to_read,
            ids_are_dense_in_the_order_of_requests_and_events,
            events_of_several_aggregates_and_a_step_are_recorded_together_or_not_at_all,
            a_conflict_refuses_its_request_alone,
            a_request_sees_those_before_it_in_its_batch,
            a_version_that_does_not_follow_is_refused_with_the_recorded_one,
            a_step_is_taken_only_from_where_the_follower_is,
            a_step_into_another_history_is_refused,
            followers_do_not_know_of_each_other,
            an_invalid_request_is_refused_alone,
            an_aggregate_is_read_by_range_limit_and_order,
            an_aggregate_is_read_by_the_time_at_which_it_happened,
            the_log_is_read_from_any_id_with_a_limit,
            an_event_is_found_by_its_id,
            everything_that_an_event_says_comes_back,
            a_finer_time_is_cut_to_microseconds,
            requests_of_any_number_of_events_are_recorded_whole,
            the_ends_of_the_numbers_are_no_surprise,
            a_store_that_is_opened_again_has_everything_and_the_same_epoch,
            recorders_on_one_store_see_and_check_what_the_others_record,
            reading_changes_nothing,
            a_deleted_stream_leaves_its_places_in_the_log_redacted,
            a_deleted_stream_is_neither_read_nor_written_again,
            deleting_again_changes_nothing_and_says_the_same,
            redacted_notifications_are_counted,
            a_deletion_counts_for_every_recorder_on_the_store,
            a_stream_that_is_deleted_while_others_write_to_it_ends_there,
            events_deletions_values_and_a_step_are_recorded_together_or_not_at_all,
            an_aggregate_that_is_created_and_deleted_in_one_append_takes_its_places_redacted,
            a_request_sees_what_those_before_it_in_its_batch_delete_and_write,
            a_value_is_written_only_in_the_place_of_the_one_that_is_expected,
            of_several_that_write_one_value_at_a_time_each_counts_once,
            the_event_of_a_position_is_kept_with_it,
            any_number_of_streams_is_deleted_in_one_append,
            rivals_write_each_version_once,
            a_live_reader_reads_everything_once_in_order_while_sixteen_write,
        }
    };
    (@tests $store:expr; $($behaviour:ident,)+) => {
        $(
            #[test]
            fn $behaviour() {
                $crate::recorder_contract::run($crate::recorder_contract::$behaviour($store));
            }
        )+
    };
}

/// A store that is empty at first.
pub trait Store: Send + Sync + 'static {
    /// Another recorder on this store, as another process would have it; the first one makes the store.
    ///
    /// A recorder that is dropped counts as closed.
    fn open(&self) -> impl Future<Output = Arc<dyn Recorder>> + Send;

    /// What the store consists of, such as the bytes of its files, if it can tell: reading must leave it as it is.
    fn contents(&self) -> Option<Vec<u8>> {
        None
    }
}

/// Runs one behaviour on a runtime with two threads, for a bounded time.
///
/// # Panics
///
/// If the behaviour is not there, or takes too long.
pub fn run(behaviour: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = runtime
        .expect("a runtime")
        .block_on(async { tokio::time::timeout(DEADLINE, behaviour).await });
    ended.expect("the behaviour takes too long");
}
