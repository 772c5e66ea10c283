//! What became of an append.

use std::ops::Range;

use crate::Deletion;

/// What became of an append that was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// The notification ids of its events, ascending and consecutive: an empty range, which starts at the id that comes
    /// next, for an append without events.
    pub ids: Range<u64>,
    /// What became of each of its deletions, in their order.
    pub deletions: Vec<Deletion>,
}
