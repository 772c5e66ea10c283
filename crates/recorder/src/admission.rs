//! Which appends of a batch conflict.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use uuid::Uuid;

use crate::{Append, Appended, Changes, Deletion, KeyValueWrite, Position, RecorderError};

/// Decides, for every engine alike, which appends of a batch are accepted, and which ids their events get.
///
/// An engine takes its log's lock, looks up the head and what is recorded of the aggregates, followers and values of
/// the batch, says so with [`set_version`](Self::set_version), [`set_position`](Self::set_position) and
/// [`set_value`](Self::set_value), and then asks [`admit`](Self::admit) for each append in its order. What it does not
/// mention has nothing recorded; an aggregate whose stream was deleted it names with
/// [`set_deleted`](Self::set_deleted). Then it makes the [`changes`](Self::changes) of those that were accepted.
///
/// ```
/// use boxes_recorder::{Admission, Append};
///
/// let mut admission = Admission::new(41, 0);
/// let appended = admission.admit(&Append::default())?;
/// assert_eq!(appended.ids, 42..42);
/// # Ok::<(), boxes_recorder::RecorderError>(())
/// ```
#[derive(Debug)]
pub struct Admission {
    first: u64,
    next: u64,
    n_redacted: u64,
    versions: HashMap<Uuid, u64>,
    deleted: HashSet<Uuid>,
    positions: HashMap<String, Position>,
    /// An entry without a value was deleted, or is not there.
    values: HashMap<(String, Bytes), Option<Bytes>>,
    /// The versions that the append at hand replaced, oldest first: taken back if it is refused.
    replaced: Vec<(Uuid, u64)>,
}

impl Admission {
    /// For a log whose newest notification is `head`, 0 for none, and of which `n_redacted` notifications are redacted.
    #[must_use]
    pub fn new(head: u64, n_redacted: u64) -> Self {
        let first = head.saturating_add(1);
        Self {
            first,
            next: first,
            n_redacted,
            versions: HashMap::new(),
            deleted: HashSet::new(),
            positions: HashMap::new(),
            values: HashMap::new(),
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

    /// The value of an entry beside the log that is recorded.
    pub fn set_value(&mut self, space: impl Into<String>, key: Bytes, recorded: Bytes) {
        self.values.insert((space.into(), key), Some(recorded));
    }

    /// The id of the newest notification, with those of the appends that were accepted so far.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// How many notifications are redacted, with those of the appends that were accepted so far.
    #[must_use]
    pub const fn n_redacted(&self) -> u64 {
        self.n_redacted
    }

    /// The newest version of an aggregate, with those of the appends that were accepted so far; 0 for none.
    #[must_use]
    pub fn version(&self, originator_id: Uuid) -> u64 {
        self.versions.get(&originator_id).copied().unwrap_or(0)
    }

    /// Whether the stream of an aggregate is deleted, also by an append that was accepted so far.
    #[must_use]
    pub fn is_deleted(&self, originator_id: Uuid) -> bool {
        self.deleted.contains(&originator_id)
    }

    /// What the accepted appends of a batch change in the store: `outcomes` are the answers of
    /// [`admit`](Self::admit), in the order of the batch.
    #[must_use]
    pub fn changes<'a>(
        &self,
        batch: &'a [Append],
        outcomes: &[Result<Appended, RecorderError>],
    ) -> Changes<'a> {
        let accepted = batch.iter().zip(outcomes);
        let accepted = accepted.filter(|(_, outcome)| outcome.is_ok());
        Changes::of(self, self.first, accepted.map(|(append, _)| append))
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
    /// - [`RecorderError::KeyValueConflict`] if an entry has another value than expected.
    pub fn admit(&mut self, append: &Append) -> Result<Appended, RecorderError> {
        append.validate()?;
        self.check_step(append)?;
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
        let values = self.written_values(&append.key_values)?;
        self.take_versions(append)?;

        // Nothing refuses it from here on.
        self.values.extend(values);
        if let Some(step) = &append.tracking {
            self.positions
                .insert(step.follower.clone(), step.position());
        }
        let deletions = append.deletions.iter().map(|id| self.delete(*id)).collect();
        let ids = self.next..end;
        self.next = end;
        Ok(Appended { ids, deletions })
    }

    fn check_step(&self, append: &Append) -> Result<(), RecorderError> {
        let Some(step) = &append.tracking else {
            return Ok(());
        };
        let recorded = self.positions.get(&step.follower).copied();
        let is_there = match (recorded, step.from) {
            (Some(recorded), Some(from)) => recorded.is_same_place(&from),
            (recorded, from) => recorded.is_none() && from.is_none(),
        };
        if is_there {
            return Ok(());
        }
        Err(RecorderError::TrackingMoved {
            follower: step.follower.clone(),
            recorded,
        })
    }

    fn take_versions(&mut self, append: &Append) -> Result<(), RecorderError> {
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
        Ok(())
    }

    fn take_back(&mut self) {
        // Newest first, so that an aggregate with several events ends at its oldest version.
        while let Some((originator_id, version)) = self.replaced.pop() {
            self.versions.insert(originator_id, version);
        }
    }

    /// The values that the writes leave behind, each of which sees those before it.
    fn written_values(
        &self,
        writes: &[KeyValueWrite],
    ) -> Result<HashMap<(String, Bytes), Option<Bytes>>, RecorderError> {
        let mut written = HashMap::with_capacity(writes.len());
        for write in writes {
            let entry = (write.space.clone().into_owned(), write.key.clone());
            let recorded = written.get(&entry).or_else(|| self.values.get(&entry));
            if recorded.and_then(Option::as_ref) != write.expected.as_ref() {
                let (space, key) = entry;
                return Err(RecorderError::KeyValueConflict { space, key });
            }
            written.insert(entry, write.new.clone());
        }
        Ok(written)
    }

    fn delete(&mut self, originator_id: Uuid) -> Deletion {
        // Versions count from 1 without a gap, so the newest one is the number of events.
        let n_events = self.version(originator_id);
        if n_events > 0 && self.deleted.insert(originator_id) {
            self.n_redacted = self.n_redacted.saturating_add(n_events);
        }
        Deletion {
            n_events,
            n_redacted: self.n_redacted,
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
        let from = from.map(|id| Position::new(EPOCH, id));
        Tracking {
            follower: "orders".to_owned(),
            epoch: EPOCH,
            from,
            to,
            event_id: None,
        }
    }

    #[test]
    fn ids_go_on_from_the_head_and_only_accepted_events_take_them() {
        let mut admission = Admission::new(10, 0);
        assert_eq!(
            admission
                .admit(&Append::new(vec![event(A, 1), event(B, 1)]))
                .unwrap()
                .ids,
            11..13
        );
        admission
            .admit(&Append::new(vec![event(A, 1)]))
            .unwrap_err();
        assert_eq!(admission.admit(&Append::default()).unwrap().ids, 13..13);
        assert_eq!(
            admission
                .admit(&Append::new(vec![event(A, 2)]))
                .unwrap()
                .ids,
            13..14
        );
        assert_eq!(admission.head(), 13);
    }

    #[test]
    fn a_refused_append_leaves_no_trace_of_its_first_events_and_of_its_step() {
        let mut admission = Admission::new(0, 0);
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
        let mut admission = Admission::new(0, 0);
        let event_id = Some(Uuid::from_u128(40));
        let recorded = Position::new(EPOCH, 4).with_event_id(event_id);
        admission.set_position("orders", recorded);
        for from in [None, Some(3), Some(5)] {
            let error = admission
                .admit(&Append::default().with_tracking(step(from, 9)))
                .unwrap_err();
            let RecorderError::TrackingMoved { recorded: told, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(told, Some(recorded));
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
        let mut admission = Admission::new(0, 0);
        let append = Append::new(vec![event(A, 1)]).with_tracking(step(None, 1));
        admission.admit(&append).unwrap();
        assert!(matches!(
            admission.admit(&append),
            Err(RecorderError::TrackingMoved { .. })
        ));
    }

    #[test]
    fn the_last_ids_and_versions_are_refused_without_a_panic() {
        let mut admission = Admission::new(u64::MAX - 1, 0);
        admission.set_version(A, u64::MAX);
        assert!(matches!(
            admission.admit(&Append::new(vec![event(B, 1)])),
            Err(RecorderError::Invalid { .. })
        ));
        let mut admission = Admission::new(0, 0);
        admission.set_version(A, u64::MAX);
        let conflict = admission.admit(&Append::new(vec![event(A, u64::MAX)]));
        assert!(matches!(
            conflict,
            Err(RecorderError::VersionConflict { .. })
        ));
    }

    fn write(expected: Option<&'static str>, new: Option<&'static str>) -> KeyValueWrite {
        KeyValueWrite {
            space: "seal".into(),
            key: "1".into(),
            expected: expected.map(Bytes::from),
            new: new.map(Bytes::from),
        }
    }

    #[test]
    fn a_value_is_written_if_it_is_as_expected_by_each_write_in_its_turn() {
        let mut admission = Admission::new(0, 0);
        admission.set_value("seal", "1".into(), "a".into());
        let mut admit = |writes: Vec<KeyValueWrite>| {
            let append = Append {
                key_values: writes,
                ..Append::new(vec![event(A, 1)])
            };
            match admission.admit(&append) {
                Err(RecorderError::KeyValueConflict { space, key }) => {
                    assert_eq!((space.as_str(), &key[..]), ("seal", &b"1"[..]));
                    assert_eq!(admission.version(A), 0);
                    false
                }
                outcome => outcome.map(|_| true).unwrap(),
            }
        };
        assert!(!admit(vec![write(None, Some("b"))]));
        assert!(!admit(vec![write(Some("b"), Some("c"))]));
        // The second one refuses both.
        assert!(!admit(vec![
            write(Some("a"), Some("b")),
            write(Some("a"), None)
        ]));
        assert!(admit(vec![
            write(Some("a"), Some("b")),
            write(Some("b"), None),
            write(None, Some("c"))
        ]));
        let read = Append::default().with_key_value(write(Some("c"), Some("c")));
        admission.admit(&read).unwrap();
    }

    #[test]
    fn a_refused_append_deletes_nothing_and_writes_no_value() {
        let mut admission = Admission::new(2, 0);
        admission.set_version(A, 2);
        let refused = Append::new(vec![event(A, 3), event(B, 2)])
            .with_deletion(A)
            .with_key_value(write(None, Some("a")));
        admission.admit(&refused).unwrap_err();
        let refused = Append::new(vec![event(A, 3)])
            .with_deletion(A)
            .with_key_value(write(Some("b"), None));
        admission.admit(&refused).unwrap_err();
        assert_eq!((admission.version(A), admission.n_redacted()), (2, 0));
        let accepted = Append::new(vec![event(A, 3)]).with_key_value(write(None, Some("a")));
        admission.admit(&accepted).unwrap();
    }

    #[test]
    fn a_deletion_counts_what_came_before_it_once_and_spends_the_id() {
        let mut admission = Admission::new(5, 1);
        admission.set_version(A, 2);
        let append = Append::new(vec![event(A, 3), event(B, 1)])
            .with_deletion(A)
            .with_deletion(B)
            .with_deletion(A)
            .with_deletion(EPOCH);
        let appended = admission.admit(&append).unwrap();
        assert_eq!(appended.ids, 6..8);
        let told = appended.deletions.iter();
        let told: Vec<_> = told.map(|told| (told.n_events, told.n_redacted)).collect();
        assert_eq!(told, [(3, 4), (1, 5), (3, 5), (0, 5)]);
        for id in [A, B] {
            let refused = admission.admit(&Append::new(vec![event(id, 4)]));
            assert!(
                matches!(refused, Err(RecorderError::StreamDeleted { originator_id }) if originator_id == id)
            );
        }
        // What had no events may still begin.
        admission
            .admit(&Append::new(vec![event(EPOCH, 1)]))
            .unwrap();
    }

    #[test]
    fn nothing_is_added_to_a_stream_that_was_deleted_and_a_step_that_was_taken_explains_more() {
        let mut admission = Admission::new(4, 0);
        admission.set_deleted(A);
        admission.set_version(A, 2);
        let refused = admission.admit(&Append::new(vec![event(B, 1), event(A, 3)]));
        assert!(
            matches!(refused, Err(RecorderError::StreamDeleted { originator_id }) if originator_id == A)
        );
        assert_eq!((admission.head(), admission.version(B)), (4, 0));
        admission.set_position("orders", Position::new(EPOCH, 9));
        let taken = Append::new(vec![event(A, 3)]).with_tracking(step(None, 1));
        assert!(matches!(
            admission.admit(&taken),
            Err(RecorderError::TrackingMoved { .. })
        ));
        admission.admit(&Append::new(vec![event(B, 1)])).unwrap();
    }
}
