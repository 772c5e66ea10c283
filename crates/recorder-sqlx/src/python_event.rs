//! An event of the Python library `eventsourcing`.

use bytes::Bytes;

/// An event as the Python library keeps it; nothing in it was looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct PythonEvent {
    /// Its place in the application's log: ascending, with gaps where rows were deleted.
    pub notification_id: u64,
    /// The aggregate: usually a UUID, in hexadecimal digits without hyphens.
    pub originator_id: String,
    /// The aggregate's version after it; that of the first event is usually 1.
    pub originator_version: u64,
    /// `module:Class.Event`.
    pub topic: String,
    /// As the application's transcoder, compressor and cipher left it.
    pub state: Bytes,
}

// Written out: payloads are never logged, so they are not in the debug output either.
impl std::fmt::Debug for PythonEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PythonEvent")
            .field("notification_id", &self.notification_id)
            .field("originator_id", &self.originator_id)
            .field("originator_version", &self.originator_version)
            .field("topic", &self.topic)
            .field("state_bytes", &self.state.len())
            .finish()
    }
}
