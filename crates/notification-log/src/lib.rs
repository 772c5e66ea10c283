//! A box's events as a log of sections, near or far, and the reader that follows it.
//!
//! Reading order: a [`SectionId`] such as `21,40` names a [`Section`]; a [`NotificationLog`] gives sections,
//! and is near ([`LocalNotificationLog`], over a recorder) or far (`boxes_http::RemoteNotificationLog`): both
//! give the same sections, the same emptiness and the same errors; a [`NotificationLogReader`] goes from
//! section to section and hands out every notification once, in order; a [`LogSlice`] is a range of a log, such as its
//! last ten; a [`DerivedLog`] is made of another log, notification by notification; a [`Backoff`] says how long its owner
//! waits when that fails.
//!
//! Source: Vernon, *Implementing Domain-Driven Design*, chapters 8 and 13.

mod backoff;
mod derived_log;
mod error;
mod local;
mod log_slice;
mod notification_log;
mod prefetch;
mod reader;
mod reader_bounds;
mod section;
mod section_id;

pub use backoff::Backoff;
pub use derived_log::{DerivedLog, Translation, WITHHELD_TOPIC, is_withheld};
pub use error::LogError;
pub use local::LocalNotificationLog;
pub use log_slice::LogSlice;
pub use notification_log::{LogDescription, NotificationLog};
pub use reader::{Navigation, NotificationLogReader};
pub use reader_bounds::ReaderBounds;
pub use section::{Section, SectionLink};
pub use section_id::{SectionId, SectionIdError, canonical_integer};
