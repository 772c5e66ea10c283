//! What was read of a stream.

use boxes_recorder::{RecorderError, StoredEvent};
use uuid::Uuid;

/// What was read of a stream, unless the stream was deleted.
///
/// Every statement that reads a part of a stream reads its first event beside it if that is redacted: so a deletion
/// shows, whatever the part, without a second way to the database.
pub(crate) fn unless_deleted(
    originator_id: Uuid,
    events: Vec<StoredEvent>,
) -> Result<Vec<StoredEvent>, RecorderError> {
    if events.iter().any(StoredEvent::is_redacted) {
        return Err(RecorderError::StreamDeleted { originator_id });
    }
    Ok(events)
}
