//! What is asked of a recorder.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use crate::{KeyValueWrite, RecorderError, StoredEvent, Tracking};

/// What one transaction changes: events, streams that are deleted, values beside the log, and how far the box has
/// come in another's log. All of it is recorded, or nothing.
///
/// Within one append the events come first, then the deletions, then the values: an aggregate that is created and
/// deleted in one append takes its places in the log, redacted, and its id is spent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// The events, in the order in which they enter the log. They may belong to several aggregates; those of
    /// one aggregate have consecutive versions.
    pub events: Vec<StoredEvent>,
    /// The streams that are deleted for good, as [`Recorder::delete_stream`](crate::Recorder::delete_stream)
    /// describes. One that has no events is left as it is.
    pub deletions: Vec<Uuid>,
    /// The values that are written beside the log, in this order: each sees those before it.
    pub key_values: Vec<KeyValueWrite>,
    /// The step in another's log that these events follow from, if they do.
    pub tracking: Option<Tracking>,
}

impl Append {
    /// Events and nothing else.
    #[must_use]
    pub const fn new(events: Vec<StoredEvent>) -> Self {
        Self {
            events,
            deletions: Vec::new(),
            key_values: Vec::new(),
            tracking: None,
        }
    }

    /// The same, with a stream that is deleted.
    #[must_use]
    pub fn with_deletion(mut self, originator_id: Uuid) -> Self {
        self.deletions.push(originator_id);
        self
    }

    /// The same, with a value that is written beside the log.
    #[must_use]
    pub fn with_key_value(mut self, write: KeyValueWrite) -> Self {
        self.key_values.push(write);
        self
    }

    /// The same with a tracking step.
    #[must_use]
    pub fn with_tracking(mut self, tracking: Tracking) -> Self {
        self.tracking = Some(tracking);
        self
    }

    /// The aggregates that it adds events to or deletes, as often as it names them.
    pub fn originator_ids(&self) -> impl Iterator<Item = Uuid> {
        let events = self.events.iter().map(|event| event.originator_id);
        events.chain(self.deletions.iter().copied())
    }

    /// Whether some store could record it; says nothing about what any store holds.
    ///
    /// Versions count from 1, those of one aggregate are consecutive in the order of the events, none is
    /// [redacted](StoredEvent::is_redacted), values and their keys are within [bounds](crate::KeyValueBounds), and a
    /// tracking step leads forward in one history. An append of nothing is valid.
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
        self.key_values
            .iter()
            .try_for_each(KeyValueWrite::validate)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::event;
    use crate::{MAX_VALUE_BYTES, Position};

    const EPOCH: Uuid = Uuid::from_u128(7);
    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn step(from: Option<u64>, to: u64) -> Append {
        let from = from.map(|id| Position::new(EPOCH, id));
        Append::default().with_tracking(Tracking {
            follower: "orders".to_owned(),
            epoch: EPOCH,
            from,
            to,
            event_id: None,
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
    fn values_are_within_the_bounds_of_the_key_value_store() {
        let write = |space: &'static str, new: usize| KeyValueWrite {
            space: space.into(),
            key: "key".into(),
            expected: None,
            new: Some(vec![0; new].into()),
        };
        let append = |write| Append::default().with_key_value(write);
        append(write("seal", MAX_VALUE_BYTES)).validate().unwrap();
        assert!(reason(&append(write("seal", MAX_VALUE_BYTES + 1))).contains("a value of kind"));
        assert!(reason(&append(write("Seal", 1))).contains("can't be a kind"));
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
