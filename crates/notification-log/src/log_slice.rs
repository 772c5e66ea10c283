//! A part of a log, by count instead of by section.

use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use boxes_recorder::{Notification, Position};

use crate::{LogError, NotificationLog, NotificationLogReader, ReaderBounds, SectionId};

/// The notifications of a range of a log, near or far, across sections.
///
/// The range counts as slices do in Python: from 0, so that the notification with id 1 is at 0; a negative number
/// counts from the end of the log, so that `-10..` is the last ten; what lies outside the log is left out, so a slice
/// may be shorter than its range, or empty. What the numbers mean is settled when the slice is made: a log that
/// grows does not change it.
///
/// It is fetched section by section, the next ones while the caller works on one, so a slice of any length
/// takes no more memory than a few sections do.
///
/// ```
/// # use boxes_notification_log::{LogError, LogSlice, NotificationLog};
/// # use std::sync::Arc;
/// # async fn example(log: Arc<dyn NotificationLog>) -> Result<(), LogError> {
/// let mut last_ten = LogSlice::of(log, -10..).await?;
/// println!("{} notifications", last_ten.len());
/// loop {
///     let batch = last_ten.next_batch().await?;
///     if batch.is_empty() {
///         break;
///     }
///     for notification in batch {
///         println!("{} {}", notification.id, notification.event.topic);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogSlice {
    reader: NotificationLogReader,
    /// What is still to be handed out.
    ids: Range<u64>,
}

impl LogSlice {
    /// The slice `range` of the log as it is now. Asks the log once how long it is.
    ///
    /// # Errors
    ///
    /// As [`NotificationLog::describe`].
    pub async fn of(
        log: Arc<dyn NotificationLog>,
        range: impl RangeBounds<i64>,
    ) -> Result<Self, LogError> {
        let description = log.describe().await?;
        let places = places(&range, description.last);
        let ids = places.start.saturating_add(1)..places.end.saturating_add(1);
        let position = Position::new(description.log.epoch, places.start);
        // No more sections are fetched ahead than the slice has.
        let page_size = description.log.page_size;
        let first = SectionId::containing(ids.start, page_size).low();
        let n_sections = places.end.saturating_sub(first) / u64::from(page_size.get()) + 1;
        let bounds = ReaderBounds {
            max_prefetch: usize::try_from(n_sections)
                .unwrap_or(usize::MAX)
                .min(ReaderBounds::DEFAULT_MAX_PREFETCH),
            ..ReaderBounds::default()
        };
        Ok(Self {
            reader: NotificationLogReader::new(log, Some(position)).with_bounds(bounds),
            ids,
        })
    }

    /// How many notifications are still to come.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.ids.end.saturating_sub(self.ids.start)
    }

    /// Whether nothing is to come.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next notifications, at most to the end of one section; empty at the end of the slice.
    ///
    /// # Errors
    ///
    /// As [`NotificationLogReader::next_batch`]; nothing was skipped, and it can be asked again.
    pub async fn next_batch(&mut self) -> Result<Vec<Notification>, LogError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = self.reader.next_batch().await?;
        batch.retain(|notification| self.ids.contains(&notification.id));
        let Some(last) = batch.last() else {
            // The log said that it was longer.
            return Err(LogError::AheadOfLog {
                position: self.ids.end.saturating_sub(1),
                last: self.ids.start.saturating_sub(1),
            });
        };
        self.ids.start = last.id.saturating_add(1);
        Ok(batch)
    }

    /// All that is still to come, at once: bounded by the slice alone.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    pub async fn collect(mut self) -> Result<Vec<Notification>, LogError> {
        let mut notifications = Vec::new();
        while !self.is_empty() {
            notifications.append(&mut self.next_batch().await?);
        }
        Ok(notifications)
    }
}

/// The places in a log of this length that the range names, counted from 0.
fn places(range: &impl RangeBounds<i64>, length: u64) -> Range<u64> {
    let place = |number: i64| match number.is_negative() {
        true => length.saturating_sub(number.unsigned_abs()),
        false => number.unsigned_abs().min(length),
    };
    // One place further, also where that leads from -1, the last place, to the end.
    let after = |number: i64| match number {
        -1 => length,
        number => place(number.saturating_add(1)),
    };
    let start = match range.start_bound() {
        Bound::Included(&number) => place(number),
        Bound::Excluded(&number) => after(number),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&number) => after(number),
        Bound::Excluded(&number) => place(number),
        Bound::Unbounded => length,
    };
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_name_places_as_slices_do_in_python() {
        assert_eq!(places(&.., 13), 0..13);
        assert_eq!(places(&(2..5), 13), 2..5);
        assert_eq!(places(&(2..=5), 13), 2..6);
        assert_eq!(places(&(-3..), 13), 10..13);
        assert_eq!(places(&(..-3), 13), 0..10);
        assert_eq!(places(&(-3..-1), 13), 10..12);
        assert_eq!(places(&(-3..=-1), 13), 10..13);
        assert_eq!(places(&(Bound::Excluded(-1), Bound::Unbounded), 13), 13..13);
    }

    #[test]
    fn what_lies_outside_the_log_is_left_out() {
        assert_eq!(places(&(10..99), 13), 10..13);
        assert_eq!(places(&(-99..2), 13), 0..2);
        assert_eq!(places(&(20..30), 13), 13..13);
        assert_eq!(places(&(Bound::Included(5), Bound::Excluded(2)), 13), 5..5);
        assert_eq!(places(&(i64::MIN..=i64::MAX), 13), 0..13);
        assert_eq!(places(&(-1..=-1), 0), 0..0);
        assert_eq!(places(&.., u64::MAX), 0..u64::MAX);
    }
}
