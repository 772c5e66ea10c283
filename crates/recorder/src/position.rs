//! How far a follower has come in another's log.

use uuid::Uuid;

use crate::RecorderError;

/// A place in a log: valid only in the history that the epoch names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch of the log.
    pub epoch: Uuid,
    /// The id of the last notification that was read, 0 for none.
    pub id: u64,
    /// The id of that notification's event, by which a history that was replaced is noticed although its ids and its
    /// epoch are the same. `None` where it is not known: positions of the past have none.
    pub event_id: Option<Uuid>,
}

impl Position {
    /// A position whose event is not known.
    #[must_use]
    pub const fn new(epoch: Uuid, id: u64) -> Self {
        Self {
            epoch,
            id,
            event_id: None,
        }
    }

    /// The same with the id of the event of its notification, if it is known.
    #[must_use]
    pub const fn with_event_id(mut self, event_id: Option<Uuid>) -> Self {
        self.event_id = event_id;
        self
    }

    /// Whether both are the same place: the same id in the same epoch. What is known of the event is not compared.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        (self.epoch, self.id) == (other.epoch, other.id)
    }
}

/// One step of a follower: from a position to a later one.
///
/// The step names where it begins, and it is taken only from there: epoch and id are compared, the event id is not. That
/// is what fences a follower: a second instance of it, or one that slept and woke, finds the position moved and records
/// nothing. (To ask only that positions grow would not do: two instances that cut their batches differently could each
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
    /// The id of the event of that notification, `None` if it is not known.
    pub event_id: Option<Uuid>,
}

impl Tracking {
    /// Where the follower is after the step.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            id: self.to,
            event_id: self.event_id,
        }
    }

    /// Whether the step leads forward in one history.
    pub(crate) fn validate(&self) -> Result<(), RecorderError> {
        let from = self.from.map_or(0, |position| position.id);
        if self.to <= from {
            return Err(RecorderError::Invalid {
                reason: format!(
                    "the step of follower `{}` from {from} to {} does not lead forward",
                    self.follower, self.to
                ),
            });
        }
        if let Some(from) = self.from.filter(|from| from.epoch != self.epoch) {
            return Err(RecorderError::Invalid {
                reason: format!(
                    "the step of follower `{}` leads from epoch {} into epoch {}: they are different histories",
                    self.follower, from.epoch, self.epoch
                ),
            });
        }
        Ok(())
    }
}
