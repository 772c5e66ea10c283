//! What is asked of a recorder.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use crate::{RecorderError, StoredEvent};

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
        Self {
            events,
            tracking: None,
        }
    }

    /// The same with a tracking step.
    #[must_use]
    pub fn with_tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = Some(tracking);
        self
    }

    /// Whether some store could record it; says nothing about what any store holds.
    ///
    /// Versions count from 1, those of one aggregate are consecutive in the order of the events, none is
    /// [redacted](StoredEvent::is_redacted), and a tracking step leads forward in one history. An append without events, without tracking, or without both is valid.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Invalid`], naming what is wrong: mend the caller.
    pub fn validate(&self) -> Result<(), RecorderError> {
        if let Some(event) = self.events.iter().find(|event| event.is_redacted()) {
            return Err(RecorderError::Invalid {
                reason: format!(
                    "version {} of {} is marked as redacted, and only deleting a stream makes it so",
                    event.originator_version, event.originator_id
                ),
            });
        }
        match self.events.as_slice() {
            [] => {}
            [event] => version_from_1(event)?,
            events => consecutive(events)?,
        }
        self.tracking.as_ref().map_or(Ok(()), Tracking::validate)
    }
}

fn version_from_1(event: &StoredEvent) -> Result<(), RecorderError> {
    if event.originator_version == 0 {
        return Err(RecorderError::Invalid {
            reason: format!(
                "an event of {} has version 0: versions count from 1",
                event.originator_id
            ),
        });
    }
    Ok(())
}

fn consecutive(events: &[StoredEvent]) -> Result<(), RecorderError> {
    let mut versions = HashMap::with_capacity(events.len());
    for event in events {
        version_from_1(event)?;
        match versions.entry(event.originator_id) {
            Entry::Vacant(first) => {
                first.insert(event.originator_version);
            }
            Entry::Occupied(mut last) => {
                if last.get().checked_add(1) != Some(event.originator_version) {
                    return Err(RecorderError::Invalid {
                        reason: format!(
                            "version {} of {} stands after version {} in one append",
                            event.originator_version,
                            event.originator_id,
                            last.get()
                        ),
                    });
                }
                last.insert(event.originator_version);
            }
        }
    }
    Ok(())
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

impl Tracking {
    /// Where the follower is after the step.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            id: self.to,
        }
    }

    fn validate(&self) -> Result<(), RecorderError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::event;

    const EPOCH: Uuid = Uuid::from_u128(7);
    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn step(from: Option<u64>, to: u64) -> Append {
        let from = from.map(|id| Position { epoch: EPOCH, id });
        Append::default().with_tracking(Tracking {
            follower: "orders".to_owned(),
            epoch: EPOCH,
            from,
            to,
        })
    }

    fn reason(append: &Append) -> String {
        let Err(RecorderError::Invalid { reason }) = append.validate() else {
            panic!("valid: {append:?}")
        };
        reason
    }

    #[test]
    fn nothing_at_all_and_interleaved_aggregates_are_valid() {
        Append::default().validate().unwrap();
        Append::new(vec![event(A, 3), event(B, 1), event(A, 4), event(B, 2)])
            .validate()
            .unwrap();
        step(None, 1).validate().unwrap();
        step(Some(3), 9).validate().unwrap();
    }

    #[test]
    fn versions_count_from_1_without_a_gap_or_a_repetition() {
        assert!(reason(&Append::new(vec![event(A, 0)])).contains("version 0"));
        assert!(reason(&Append::new(vec![event(A, 1), event(B, 0)])).contains("version 0"));
        assert!(reason(&Append::new(vec![event(A, 1), event(A, 3)])).contains("version 3"));
        assert!(
            reason(&Append::new(vec![event(A, 1), event(B, 1), event(A, 1)]))
                .contains("after version 1")
        );
        assert!(
            reason(&Append::new(vec![event(A, u64::MAX), event(A, 1)])).contains("after version")
        );
    }

    #[test]
    fn nobody_appends_what_is_redacted() {
        let redacted = Append::new(vec![event(B, 1), event(A, 1).to_redacted()]);
        assert!(reason(&redacted).contains("marked as redacted"));
    }

    #[test]
    fn a_step_leads_forward_in_one_history() {
        assert!(reason(&step(None, 0)).contains("forward"));
        assert!(reason(&step(Some(5), 5)).contains("forward"));
        assert!(reason(&step(Some(5), 4)).contains("forward"));
        let mut other = step(Some(5), 6);
        other.tracking.as_mut().unwrap().epoch = Uuid::from_u128(8);
        assert!(reason(&other).contains("different histories"));
    }
}
