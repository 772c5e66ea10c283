//! Which log.

use std::num::NonZeroU32;

use uuid::Uuid;

/// How many notifications a page holds, unless configured otherwise when the log is made.
pub const DEFAULT_PAGE_SIZE: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// What makes a log that log: fixed when it is made, and recorded with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogIdentity {
    /// The name of the box whose log it is.
    pub name: String,
    /// The history: a log that is made anew, or restored from an older backup, gets another.
    pub epoch: Uuid,
    /// How many notifications a page holds.
    pub page_size: NonZeroU32,
}
