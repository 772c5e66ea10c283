//! The storage port of a box.
//!
//! A recorder keeps the events of one box in the order in which they were committed, and the positions
//! that the box has reached in the logs of others. It knows no domain type: to it an event is an
//! originator, a version, a topic, and bytes.
//!
//! Reading order: [`StoredEvent`] is what is kept; [`StreamRange`] is a part of an aggregate's; [`Append`] is what is asked for: events,
//! deletions, values ([`KeyValueWrite`]) and a [`Tracking`] from one [`Position`] to the next, all or nothing; [`Appended`] is the answer;
//! [`Recorder`] is the port that an engine implements; [`Admission`]
//! decides for every engine which appends of a batch conflict, [`Changes`] is what the others change; [`MemoryRecorder`] is the smallest engine;
//! [`GroupCommit`] is what callers use: it gathers concurrent appends into one transaction (`write_failure` remembers whether the
//! store took the last one);
//! [`NotificationScan`] reads a whole log, page by page; a [`KeyValueStore`] keeps beside the log what is no event.

mod admission;
mod append;
mod appended;
mod catch_panic;
mod changes;
mod deletion;
mod error;
#[cfg(test)]
mod fixture;
mod group_commit;
mod head;
mod key_value_store;
mod key_value_write;
mod log_identity;
mod memory;
mod memory_key_value_store;
mod notification_scan;
mod position;
mod recorder;
mod stored_event;
mod stream_range;
mod write_failure;

pub use admission::Admission;
pub use append::Append;
pub use appended::Appended;
pub use changes::Changes;
pub use deletion::Deletion;
pub use error::RecorderError;
pub use group_commit::{GroupCommit, GroupCommitBounds};
pub use key_value_store::{
    Entry, KeyValueBounds, KeyValueStore, MAX_KEY_BYTES, MAX_KIND_BYTES, MAX_VALUE_BYTES,
};
pub use key_value_write::KeyValueWrite;
pub use log_identity::{DEFAULT_PAGE_SIZE, LogIdentity};
pub use memory::MemoryRecorder;
pub use memory_key_value_store::MemoryKeyValueStore;
pub use notification_scan::{NotificationScan, ScannedPage};
pub use position::{Position, Tracking};
pub use recorder::Recorder;
pub use stored_event::{Encoding, Notification, StoredEvent};
pub use stream_range::StreamRange;
