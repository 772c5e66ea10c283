//! What a batch changes in a store.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use uuid::Uuid;

use crate::{Admission, Append, Position, StoredEvent};

/// What the accepted appends of a batch change in a store, as [`Admission::changes`] gives it: for those who implement one.
///
/// Everything that is changed several times in the batch is here as it is in the end, so the order in which an engine
/// makes the changes does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// The id of the first event.
    pub first: u64,
    /// The events in their order, with the ids `first`, `first` + 1, …. Those of a stream that is deleted in the same batch
    /// are redacted already.
    pub events: Vec<Cow<'a, StoredEvent>>,
    /// The aggregates whose events that are in the store are redacted.
    pub redacted: Vec<Uuid>,
    /// How many notifications of the log are redacted then.
    pub n_redacted: u64,
    /// The positions of followers.
    pub positions: HashMap<&'a str, Position>,
    /// The values by space and key; `None` deletes the entry.
    pub key_values: BTreeMap<(&'a str, &'a [u8]), Option<&'a Bytes>>,
}

impl<'a> Changes<'a> {
    pub(crate) fn of(
        admission: &Admission,
        first: u64,
        accepted: impl Iterator<Item = &'a Append>,
    ) -> Self {
        let mut changes = Self {
            first,
            n_redacted: admission.n_redacted(),
            ..Self::default()
        };
        let mut deleted = BTreeMap::new();
        for append in accepted {
            changes
                .events
                .extend(append.events.iter().map(Cow::Borrowed));
            deleted.extend(append.deletions.iter().map(|id| (*id, 0)));
            let step = append.tracking.as_ref();
            let step = step.map(|step| (step.follower.as_str(), step.position()));
            changes.positions.extend(step);
            let writes = append.key_values.iter();
            changes.key_values.extend(writes.map(|write| {
                let entry = (&*write.space, &*write.key);
                (entry, write.new.as_ref())
            }));
        }
        if !deleted.is_empty() {
            changes.redact(admission, deleted);
        }
        changes
    }

    /// Redacts the events of streams that are deleted, and names those of which the store has some: for each stream
    /// `deleted` counts the events that are in the batch.
    fn redact(&mut self, admission: &Admission, mut deleted: BTreeMap<Uuid, u64>) {
        for event in &mut self.events {
            if let Some(n_events) = deleted.get_mut(&event.originator_id) {
                *n_events = n_events.saturating_add(1);
                *event = Cow::Owned(event.to_redacted());
            }
        }
        let deleted = deleted.into_iter();
        let is_stored = |(id, n_events): &(Uuid, u64)| admission.version(*id) > *n_events;
        self.redacted = deleted.filter(is_stored).map(|(id, _)| id).collect();
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.redacted.is_empty()
            && self.positions.is_empty()
            && self.key_values.is_empty()
    }
}
