//! What this process knows without looking it up.

use std::collections::HashMap;

use uuid::Uuid;

/// The newest versions of the aggregates that this process wrote to last.
///
/// Exact as long as nobody else writes: it is valid for one head, and forgotten when the log has another one. So a
/// batch looks up only aggregates that are new, or were not written for long.
#[derive(Debug, Default)]
pub(crate) struct VersionCache {
    head: u64,
    versions: HashMap<Uuid, u64>,
}

/// Aggregates that are remembered, at most: about a megabyte. When there are more all are forgotten, which costs
/// one lookup each and needs no order of use.
const MAX_AGGREGATES: usize = 32_768;

impl VersionCache {
    /// What is known at this head.
    pub(crate) fn at(&mut self, head: u64) -> &HashMap<Uuid, u64> {
        if self.head != head {
            self.versions.clear();
            self.head = head;
        }
        &self.versions
    }

    /// This process moved the log on to `head` and wrote these versions.
    pub(crate) fn committed(&mut self, head: u64, versions: impl IntoIterator<Item = (Uuid, u64)>) {
        if self.versions.len() >= MAX_AGGREGATES {
            self.versions.clear();
        }
        self.head = head;
        self.versions.extend(versions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);

    #[test]
    fn what_was_written_is_known_until_somebody_else_writes() {
        let mut cache = VersionCache::default();
        cache.committed(3, [(A, 2)]);
        assert_eq!(cache.at(3).get(&A), Some(&2));
        assert_eq!(cache.at(4).get(&A), None);
        assert_eq!(cache.at(3).get(&A), None);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut cache = VersionCache::default();
        for n in 1..=3 * u64::try_from(MAX_AGGREGATES).unwrap() {
            cache.committed(n, [(Uuid::from_u128(n.into()), 1)]);
            assert!(cache.versions.len() <= MAX_AGGREGATES);
        }
    }
}
