//! What became of a stream that was deleted.

use crate::{Appended, RecorderError};

/// What became of a stream that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// How many events the stream had: so many notifications of the log are redacted because of it. The same also when
    /// it was deleted before; 0 if there is no such stream.
    pub n_events: u64,
    /// How many notifications of the whole log are redacted now.
    pub n_redacted: u64,
}

/// The answer to an append of one deletion.
pub(crate) fn one_deletion(appended: &Appended) -> Result<Deletion, RecorderError> {
    appended
        .deletions
        .first()
        .copied()
        .ok_or_else(|| RecorderError::OutcomeUnknown {
            reason: "the recorder does not say what became of a deletion".to_owned(),
            source: None,
        })
}
