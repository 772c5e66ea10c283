//! What this process knows without looking it up.

use std::collections::{HashMap, HashSet};

use boxes_recorder::{Append, Changes};
use uuid::Uuid;

/// The newest versions of the aggregates that this process wrote to last.
///
/// Exact as long as nobody else writes or deletes: it is valid for one head and one number of redacted notifications, and
/// forgotten when the log has others. So a
/// batch looks up only aggregates that are new, or were not written for long.
#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    head: u64,
    n_redacted: u64,
    versions: HashMap<Uuid, u64>,
}

fn originators(batch: &[Append]) -> impl Iterator<Item = Uuid> {
    batch.iter().flat_map(Append::originator_ids)
}

/// Aggregates that are remembered, at most: about a megabyte. When there are more all are forgotten, which costs
/// one lookup each and needs no order of use.
const MAX_AGGREGATES: usize = 32_768;

impl VersionCache {
    /// Whether what is known is true of a log with this head, of which so many notifications are redacted. Then none of the
    /// aggregates that are known was deleted.
    pub(crate) const fn is_at(&self, head: u64, n_redacted: u64) -> bool {
        self.head == head && self.n_redacted == n_redacted
    }

    pub(crate) fn forget(&mut self) {
        self.versions.clear();
    }

    /// The aggregates of the batch that are known, and their versions.
    pub(crate) fn known(&self, batch: &[Append]) -> impl Iterator<Item = (Uuid, u64)> {
        originators(batch).filter_map(|id| Some((id, *self.versions.get(&id)?)))
    }

    /// The aggregates of the batch that are not known, each once.
    pub(crate) fn unknown(&self, batch: &[Append]) -> Vec<Uuid> {
        let mut seen = HashSet::new();
        originators(batch)
            .filter(|id| !self.versions.contains_key(id) && seen.insert(*id))
            .collect()
    }

    /// This process made these changes, which moved the log on to `head`.
    pub(crate) fn committed(&mut self, head: u64, changes: &Changes<'_>) {
        if self.versions.len() >= MAX_AGGREGATES {
            self.versions.clear();
        }
        self.head = head;
        self.n_redacted = changes.n_redacted;
        for originator_id in &changes.redacted {
            self.versions.remove(originator_id);
        }
        let events = changes.events.iter();
        // What was deleted where it was made was never known.
        let events = events.filter(|event| !event.is_redacted());
        self.versions
            .extend(events.map(|event| (event.originator_id, event.originator_version)));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use boxes_recorder::{Encoding, StoredEvent};
    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn event(originator_id: Uuid) -> StoredEvent {
        StoredEvent {
            event_id: Uuid::nil(),
            originator_id,
            originator_version: 1,
            topic: "test".into(),
            schema_version: 1,
            encoding: Encoding::JSON,
            state: Bytes::new(),
            metadata: Bytes::new(),
            occurred_on: Timestamp::UNIX_EPOCH,
        }
    }

    fn changes(n_redacted: u64, events: Vec<StoredEvent>, redacted: &[Uuid]) -> Changes<'static> {
        Changes {
            events: events.into_iter().map(Cow::Owned).collect(),
            redacted: redacted.to_vec(),
            n_redacted,
            ..Changes::default()
        }
    }

    #[test]
    fn what_was_written_is_known_for_that_head_and_the_rest_is_asked_for_once() {
        let batch = [
            Append::new(vec![event(A), event(B)]),
            Append::new(vec![event(B)]),
        ];
        let mut cache = VersionCache::default();
        assert_eq!(cache.unknown(&batch), [A, B]);
        cache.committed(3, &changes(1, vec![event(A)], &[]));
        assert!(cache.is_at(3, 1) && !cache.is_at(4, 1) && !cache.is_at(3, 2));
        assert_eq!(cache.known(&batch).collect::<Vec<_>>(), [(A, 1)]);
        assert_eq!(cache.unknown(&batch), [B]);
        assert_eq!(
            cache.unknown(&[Append::default().with_deletion(B).with_deletion(A)]),
            [B]
        );
        cache.forget();
        assert_eq!(cache.known(&batch).count(), 0);
    }

    #[test]
    fn what_this_process_deleted_is_not_known_any_more() {
        let mut cache = VersionCache::default();
        let batch = [Append::new(vec![event(A), event(B)])];
        cache.committed(2, &changes(0, vec![event(A), event(B)], &[]));
        cache.committed(2, &changes(1, Vec::new(), &[A]));
        assert_eq!(cache.unknown(&batch), [A]);
        cache.committed(3, &changes(2, vec![event(A).to_redacted()], &[]));
        assert_eq!(cache.unknown(&batch), [A]);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut cache = VersionCache::default();
        for n in 1..=3 * u64::try_from(MAX_AGGREGATES).unwrap() {
            cache.committed(n, &changes(0, vec![event(Uuid::from_u128(n.into()))], &[]));
            assert!(cache.versions.len() <= MAX_AGGREGATES);
        }
    }
}
