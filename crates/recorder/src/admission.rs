//! Which appends of a batch conflict.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use uuid::Uuid;

use crate::{Append, Position, RecorderError};

/// Decides, for every engine alike, which appends of a batch are accepted, and which ids their events get.
///
/// An engine takes its log's lock, looks up the head and what is recorded of the aggregates and followers of
/// the batch, says so with [`set_version`](Self::set_version) and [`set_position`](Self::set_position), and then
/// asks [`admit`](Self::admit) for each append in its order. An aggregate or a follower that it does not
/// mention has nothing recorded; one whose stream was deleted it names with [`set_deleted`](Self::set_deleted). Then it inserts the events of the accepted appends, in their order, from head
/// + 1 on, and the positions of the steps that they take.
///
/// ```
/// use boxes_recorder::{Admission, Append};
///
/// let mut admission = Admission::new(41);
/// let next = admission.admit(&Append::default())?;
/// assert_eq!(next, 42..42);
/// # Ok::<(), boxes_recorder::RecorderError>(())
/// ```
#[derive(Debug)]
pub struct Admission {
    next: u64,
    versions: HashMap<Uuid, u64>,
    deleted: HashSet<Uuid>,
    positions: HashMap<String, Position>,
    /// The versions that the append at hand replaced, oldest first: taken back if it is refused.
    replaced: Vec<(Uuid, u64)>,
}

impl Admission {
    /// For a log whose newest notification is `head`, 0 for none.
    #[must_use]
    pub fn new(head: u64) -> Self {
        Self {
            next: head.saturating_add(1),
            versions: HashMap::new(),
            deleted: HashSet::new(),
            positions: HashMap::new(),
            replaced: Vec::new(),
        }
    }

    /// The newest version of an aggregate that is recorded.
    pub fn set_version(&mut self, originator_id: Uuid, recorded: u64) {
        self.versions.insert(originator_id, recorded);
    }

    /// The stream of an aggregate was deleted: nothing is added to it, whatever its versions.
    pub fn set_deleted(&mut self, originator_id: Uuid) {
        self.deleted.insert(originator_id);
    }

    /// The position of a follower that is recorded.
    pub fn set_position(&mut self, follower: impl Into<String>, recorded: Position) {
        self.positions.insert(follower.into(), recorded);
    }

    /// The id of the newest notification, with those of the appends that were accepted so far.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The newest version of an aggregate, with those of the appends that were accepted so far; 0 for none.
    #[must_use]
    pub fn version(&self, originator_id: Uuid) -> u64 {
        self.versions.get(&originator_id).copied().unwrap_or(0)
    }

    /// Accepts an append and says which ids its events get; or refuses it, and it is as if it had never been.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Invalid`] if it is not [valid](Append::validate), or the ids are exhausted.
    /// - [`RecorderError::TrackingMoved`] if the follower is not where the step begins. This is looked at
    ///   first: a step that was taken already explains every other conflict.
    /// - [`RecorderError::StreamDeleted`] if the stream of one of its events was deleted.
    /// - [`RecorderError::VersionConflict`] if a version does not follow the recorded one.
    pub fn admit(&mut self, append: &Append) -> Result<Range<u64>, RecorderError> {
        append.validate()?;
        if let Some(step) = &append.tracking {
            let recorded = self.positions.get(&step.follower).copied();
            if recorded != step.from {
                return Err(RecorderError::TrackingMoved {
                    follower: step.follower.clone(),
                    recorded,
                });
            }
        }
        let n_events = u64::try_from(append.events.len()).unwrap_or(u64::MAX);
        let Some(end) = self.next.checked_add(n_events) else {
            return Err(RecorderError::Invalid {
                reason: "the log has no more ids".to_owned(),
            });
        };

        let is_deleted = |id: &Uuid| self.deleted.contains(id);
        let mut originators = append.events.iter().map(|event| event.originator_id);
        if let Some(originator_id) = originators.find(is_deleted) {
            return Err(RecorderError::StreamDeleted { originator_id });
        }

        self.replaced.clear();
        for event in &append.events {
            let recorded = self.versions.entry(event.originator_id).or_insert(0);
            if recorded.checked_add(1) != Some(event.originator_version) {
                let conflict = RecorderError::VersionConflict {
                    originator_id: event.originator_id,
                    version: event.originator_version,
                    recorded: *recorded,
                };
                self.take_back();
                return Err(conflict);
            }
            self.replaced.push((event.originator_id, *recorded));
            *recorded = event.originator_version;
        }
        if let Some(step) = &append.tracking {
            self.positions
                .insert(step.follower.clone(), step.position());
        }
        let ids = self.next..end;
        self.next = end;
        Ok(ids)
    }

    fn take_back(&mut self) {
        // Newest first, so that an aggregate with several events ends at its oldest version.
        while let Some((originator_id, version)) = self.replaced.pop() {
            self.versions.insert(originator_id, version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tracking;
    use crate::fixture::event;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const EPOCH: Uuid = Uuid::from_u128(7);

    fn step(from: Option<u64>, to: u64) -> Tracking {
        let from = from.map(|id| Position { epoch: EPOCH, id });
        Tracking {
            follower: "orders".to_owned(),
            epoch: EPOCH,
            from,
            to,
        }
    }

    #[test]
    fn ids_go_on_from_the_head_and_only_accepted_events_take_them() {
        let mut admission = Admission::new(10);
        assert_eq!(
            admission
                .admit(&Append::new(vec![event(A, 1), event(B, 1)]))
                .unwrap(),
            11..13
        );
        admission
            .admit(&Append::new(vec![event(A, 1)]))
            .unwrap_err();
        assert_eq!(admission.admit(&Append::default()).unwrap(), 13..13);
        assert_eq!(
            admission.admit(&Append::new(vec![event(A, 2)])).unwrap(),
            13..14
        );
        assert_eq!(admission.head(), 13);
    }

    #[test]
    fn a_refused_append_leaves_no_trace_of_its_first_events_and_of_its_step() {
        let mut admission = Admission::new(0);
        admission.set_version(B, 5);
        let append =
            Append::new(vec![event(A, 1), event(A, 2), event(B, 5)]).with_tracking(step(None, 3));
        assert!(matches!(
            admission.admit(&append),
            Err(RecorderError::VersionConflict {
                originator_id: B,
                version: 5,
                recorded: 5
            })
        ));
        assert_eq!((admission.version(A), admission.version(B)), (0, 5));
        admission
            .admit(&Append::new(vec![event(A, 1)]).with_tracking(step(None, 2)))
            .unwrap();
    }

    #[test]
    fn a_step_is_taken_only_from_where_the_follower_is() {
        let mut admission = Admission::new(0);
        admission.set_position(
            "orders",
            Position {
                epoch: EPOCH,
                id: 4,
            },
        );
        for from in [None, Some(3), Some(5)] {
            let error = admission
                .admit(&Append::default().with_tracking(step(from, 9)))
                .unwrap_err();
            let RecorderError::TrackingMoved { recorded, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(
                recorded,
                Some(Position {
                    epoch: EPOCH,
                    id: 4
                })
            );
        }
        admission
            .admit(&Append::default().with_tracking(step(Some(4), 9)))
            .unwrap();
        admission
            .admit(&Append::default().with_tracking(step(Some(4), 9)))
            .unwrap_err();
        admission
            .admit(&Append::default().with_tracking(step(Some(9), 10)))
            .unwrap();
    }

    #[test]
    fn a_step_that_was_taken_already_is_told_before_the_conflict_that_follows_from_it() {
        let mut admission = Admission::new(0);
        let append = Append::new(vec![event(A, 1)]).with_tracking(step(None, 1));
        admission.admit(&append).unwrap();
        assert!(matches!(
            admission.admit(&append),
            Err(RecorderError::TrackingMoved { .. })
        ));
    }

    #[test]
    fn the_last_ids_and_versions_are_refused_without_a_panic() {
        let mut admission = Admission::new(u64::MAX - 1);
        admission.set_version(A, u64::MAX);
        assert!(matches!(
            admission.admit(&Append::new(vec![event(B, 1)])),
            Err(RecorderError::Invalid { .. })
        ));
        let mut admission = Admission::new(0);
        admission.set_version(A, u64::MAX);
        let conflict = admission.admit(&Append::new(vec![event(A, u64::MAX)]));
        assert!(matches!(
            conflict,
            Err(RecorderError::VersionConflict { .. })
        ));
    }

    #[test]
    fn nothing_is_added_to_a_stream_that_was_deleted_and_a_step_that_was_taken_explains_more() {
        let mut admission = Admission::new(4);
        admission.set_deleted(A);
        admission.set_version(A, 2);
        let refused = admission.admit(&Append::new(vec![event(B, 1), event(A, 3)]));
        assert!(
            matches!(refused, Err(RecorderError::StreamDeleted { originator_id }) if originator_id == A)
        );
        assert_eq!((admission.head(), admission.version(B)), (4, 0));
        admission.set_position(
            "orders",
            Position {
                epoch: EPOCH,
                id: 9,
            },
        );
        let taken = Append::new(vec![event(A, 3)]).with_tracking(step(None, 1));
        assert!(matches!(
            admission.admit(&taken),
            Err(RecorderError::TrackingMoved { .. })
        ));
        admission.admit(&Append::new(vec![event(B, 1)])).unwrap();
    }
}
