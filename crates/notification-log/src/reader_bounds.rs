//! Bounds of a reader.

/// Bounds of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderBounds {
    /// The maximum number of sections that are being fetched, or are there and not yet handed out; 0 counts as 1.
    pub max_prefetch: usize,
    /// About how many bytes these sections may have, judged by those that were read before: fewer are fetched ahead of
    /// large ones. One is always fetched.
    pub max_prefetch_bytes: usize,
    /// About how many bytes of a section that is read by its [single notifications](crate::LogError::TooLarge) are
    /// handed out at a time; at least one notification is.
    pub max_batch_bytes: usize,
}

impl ReaderBounds {
    /// Enough to keep one connection's round trips from showing, and two cores busy.
    pub const DEFAULT_MAX_PREFETCH: usize = 8;
    /// 32 MiB.
    pub const DEFAULT_MAX_PREFETCH_BYTES: usize = 32 * 1024 * 1024;
    /// 8 MiB.
    pub const DEFAULT_MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
}

impl Default for ReaderBounds {
    fn default() -> Self {
        Self {
            max_prefetch: Self::DEFAULT_MAX_PREFETCH,
            max_prefetch_bytes: Self::DEFAULT_MAX_PREFETCH_BYTES,
            max_batch_bytes: Self::DEFAULT_MAX_BATCH_BYTES,
        }
    }
}
