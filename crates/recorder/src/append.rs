//! What is asked of a recorder.

use uuid::Uuid;

use crate::StoredEvent;

/// Events to be recorded, and how far the box has come in another's log: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// The events, in the order in which they enter the log. They may belong to several aggregates; those of
    /// one aggregate have consecutive versions.
    pub events: Vec<StoredEvent>,
    /// The step in another's log that these events follow from, if they do.
    pub tracking: Option<Tracking>,
}

impl Append {
    /// Events without tracking.
    #[must_use]
    pub const fn new(events: Vec<StoredEvent>) -> Self {
        Self { events, tracking: None }
    }

    /// The same with a tracking step.
    #[must_use]
    pub fn with_tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = Some(tracking);
        self
    }
}

/// A place in a log: valid only in the history that the epoch names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch of the log.
    pub epoch: Uuid,
    /// The id of the last notification that was read, 0 for none.
    pub id: u64,
}

/// One step of a follower: from a position to a later one.
///
/// The step names where it begins, and it is taken only from there. That is what fences a follower: a
/// second instance of it, or one that slept and woke, finds the position moved and records nothing. (To
/// ask only that positions grow would not do: two instances that cut their batches differently could each
/// move forward, and both record what follows from the same notification.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// Who follows: unique in the box. Usually the name of the upstream log.
    pub follower: String,
    /// The epoch of the upstream log.
    pub epoch: Uuid,
    /// The recorded position from which this step is taken; `None` if there is none yet.
    pub from: Option<Position>,
    /// The id of the last notification of this step; greater than the one in `from`.
    pub to: u64,
}
