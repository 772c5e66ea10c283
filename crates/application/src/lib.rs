//! Runs a box: commands on its aggregates, and policies that react to other boxes.
//!
//! Reading order: an [`App`] is the running box, and the handle on which routes and policies command
//! aggregates; [`History`] is what was recorded of one; a policy reacts to a [`Notification`] of another box, and [`Policies`] hold them; a
//! [`Follower`] reads another box's log and runs the policies, whose events are committed together with the
//! position that they follow from; [`SynchronousDelivery`] runs followers within the command that caused
//! their work, for one process; a [`PublicLog`] is what a box publishes of its events where that is not all;
//! [`SubjectKeys`] are the keys of the persons that events are about, who can be [forgotten](App::forget).

mod after_commit;
mod app;
mod commands;
mod conflict;
mod data_keys;
mod delivery;
mod duties;
mod edge;
mod error;
mod follower;
mod follower_error;
mod follower_options;
mod follower_status;
mod garbage;
mod history;
mod hold_up;
mod holder;
mod move_keys;
mod pending;
mod policy;
mod public_log;
mod reading;
mod recorded;
mod repository;
mod rewrap;
mod snapshot_record;
mod snapshots;
mod step;
mod subject_key_provider;
mod subject_keys;
mod trace_parent;
mod transaction;
mod unfinished;
mod value_folder;
mod values;
mod values_beside_log;

pub use after_commit::AfterCommit;
pub use app::{App, AppOptions};
pub use data_keys::{DataKeySource, DataKeys};
pub use delivery::SynchronousDelivery;
pub use edge::{Edge, SystemEdge};
pub use error::Error;
pub use follower::Follower;
pub use follower_error::FollowerError;
pub use follower_options::FollowerOptions;
pub use follower_status::{FollowerState, FollowerStatus};
pub use garbage::{Garbage, find_garbage};
pub use history::{History, RecordedEvent};
pub use move_keys::MovedKeys;
pub use policy::{Notification, Policies};
pub use public_log::PublicLog;
pub use recorded::{Committed, Recorded};
pub use rewrap::Rewrapped;
pub use snapshots::{SnapshotEvery, Snapshots};
pub use subject_key_provider::{MAX_SUBJECT_BYTES, StoredSubjectKeys, SubjectKeyProvider};
pub use subject_keys::{DEFAULT_FORGOTTEN_WITHIN, MAX_SUBJECT_KEYS, SubjectKeys};
pub use trace_parent::TraceParent;
pub use unfinished::copy_unfinished;
pub use value_folder::ValueFolder;
pub use values::{DEFAULT_LARGE_OVER, MAX_LARGE_BYTES, StoredValues, ValueSource};
