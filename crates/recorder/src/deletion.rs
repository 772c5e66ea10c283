//! What became of a stream that was deleted.

/// What became of a stream that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// How many events the stream had: so many notifications of the log are redacted because of it. The same also when
    /// it was deleted before; 0 if there is no such stream.
    pub n_events: u64,
    /// How many notifications of the whole log are redacted now.
    pub n_redacted: u64,
}
