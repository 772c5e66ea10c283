//! An event of the Python library `eventsourcing`.

use bytes::Bytes;

use crate::columns::Columns;
use crate::numbers::unsigned;

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

impl PythonEvent {
    /// What stands in a row of id, aggregate, version, topic and state.
    pub(crate) fn of_row<DB: Columns>(row: &DB::Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            notification_id: unsigned(DB::number(row, 0)?)?,
            originator_id: DB::text(row, 1)?.to_owned(),
            originator_version: unsigned(DB::number(row, 2)?)?,
            topic: DB::text(row, 3)?.to_owned(),
            state: Bytes::from(DB::bytes(row, 4)?),
        })
    }
}
