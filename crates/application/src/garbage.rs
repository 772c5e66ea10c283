//! Values that no event names.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use boxes_mapper::Metadata;
use boxes_recorder::{NotificationScan, Recorder};
use jiff::Timestamp;

use crate::values::Shelf;
use crate::{Error, StoredValues};

/// What was found, in values and in bytes as they are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Values that events name.
    pub n_named: u64,
    /// Values that no event names: those of commands that failed, and of aggregates that were deleted.
    pub n_garbage: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were put aside by this run: too old for an event that is under way to name them.
    pub n_put_aside: u64,
    /// How many that an earlier run had put aside were deleted, for good.
    pub n_deleted: u64,
    /// How many that an earlier run had put aside were put back, because an event names them after all.
    pub n_put_back: u64,
}

/// Finds the values that no event of the log names, and removes those that are older than `remove_older_than`, if given.
/// Without it nothing is changed.
///
/// Removing takes two runs: the first puts a value aside, where it is still found; a later one deletes it if it has been
/// there for as long, and no event has come to name it. So nothing is lost to a command that keeps a value which is found to
/// be garbage at that moment: its event is recorded seconds later, and the age is counted in hours.
///
/// The ids of all values that are named are in memory, 32 bytes each. `progress` is told the last notification that was
/// looked at.
///
/// # Errors
///
/// [`Error::Store`] if the store can't be used now: do it again.
pub async fn find_garbage(
    recorder: &Arc<dyn Recorder>,
    values: &StoredValues,
    now: Timestamp,
    remove_older_than: Option<Duration>,
    mut progress: impl FnMut(u64),
) -> Result<Garbage, Error> {
    let mut named = HashSet::new();
    let mut scan = NotificationScan::after(Arc::clone(recorder), 0);
    while let Some(page) = scan.next_page().await? {
        for notification in &page.notifications {
            named.extend(Metadata::from_bytes(&notification.event.metadata).values);
        }
        progress(page.scanned_to);
    }
    let is_old = |since: Timestamp| {
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        remove_older_than.is_some_and(|limit| age >= limit)
    };
    let mut garbage = Garbage::default();
    // One may be on both shelves, and in several places, and counts once.
    let mut found_named = HashSet::new();
    for shelves in values.places() {
        // Those that are put aside now are for a later run, so the others come first.
        let mut after = None;
        loop {
            let some = shelves.some_after(Shelf::Aside, &mut after).await?;
            if some.is_empty() {
                break;
            }
            for (id, size, since) in some {
                if named.contains(&id) {
                    found_named.insert(id);
                    if remove_older_than.is_some() {
                        shelves.put_back(id).await?;
                        garbage.n_put_back += 1;
                    }
                } else if is_old(since) {
                    shelves.delete(id).await?;
                    garbage.n_deleted += 1;
                } else {
                    garbage.count(size);
                }
            }
        }
        let mut after = None;
        loop {
            let some = shelves.some_after(Shelf::Kept, &mut after).await?;
            if some.is_empty() {
                break;
            }
            for (id, size, since) in some {
                if named.contains(&id) {
                    found_named.insert(id);
                    continue;
                }
                garbage.count(size);
                if is_old(since) {
                    shelves.put_aside(id).await?;
                    garbage.n_put_aside += 1;
                }
            }
        }
        if let Some(limit) = remove_older_than {
            let limit = now.checked_sub(limit).unwrap_or(Timestamp::MIN);
            shelves.delete_unfinished(limit).await?;
        }
    }
    garbage.n_named = u64::try_from(found_named.len()).unwrap_or(u64::MAX);
    Ok(garbage)
}

impl Garbage {
    const fn count(&mut self, size: u64) {
        self.n_garbage += 1;
        self.bytes = self.bytes.saturating_add(size);
    }
}
