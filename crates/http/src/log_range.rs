//! Notifications from anywhere in a log, on the grid or off it.

use std::num::NonZeroU32;

use boxes_notification_log::{LogError, SectionId};
use boxes_recorder::Notification;

use crate::section_cache::SectionCache;

/// How many notifications one request may look at to find those of some topics.
const MAX_LOOKED_AT: usize = 10_000;

/// Which notifications are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRange {
    /// The lowest id, counted from 1.
    pub(crate) from: u64,
    /// How many, at most.
    pub(crate) limit: usize,
    /// Only those of these topics; of all if there are none.
    pub(crate) topics: Vec<String>,
}

impl LogRange {
    /// What there is of it, ascending; fewer than `limit` only where the log ends.
    ///
    /// Of rare topics there may be none among the many that are looked at for one request. An empty answer would
    /// say that the log has ended, so the last one that was looked at is given then, whatever its topic: readers
    /// that choose by topic choose again among what they get, and go on after it. What was found before that is
    /// given as it is, and may be fewer than `limit` as well.
    ///
    /// # Errors
    ///
    /// What reading sections fails with.
    pub(crate) async fn read(
        &self,
        sections: &SectionCache,
        page_size: NonZeroU32,
    ) -> Result<Vec<Notification>, LogError> {
        let mut found = Vec::new();
        if self.limit == 0 {
            return Ok(found);
        }
        let mut id = SectionId::containing(self.from, page_size);
        let mut looked_at = 0;
        // The highest ids of all lie in no whole section.
        while id.on_grid(page_size).is_ok() {
            let (_, section) = sections.section(id).await?;
            let mut passed = None;
            for item in &section.items {
                if item.id < self.from {
                    continue;
                }
                looked_at += 1;
                if !self.wants(item) {
                    passed = Some(item);
                    continue;
                }
                found.push(item.clone());
                if found.len() == self.limit {
                    return Ok(found);
                }
            }
            if !section.archived {
                break;
            }
            if looked_at >= MAX_LOOKED_AT {
                if found.is_empty() {
                    found.extend(passed.cloned());
                }
                break;
            }
            id = id.next();
        }
        Ok(found)
    }

    fn wants(&self, item: &Notification) -> bool {
        let topics = &self.topics;
        topics.is_empty() || topics.iter().any(|topic| *topic == item.event.topic)
    }
}
