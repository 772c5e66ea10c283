//! A part of one aggregate's stream.

use jiff::Timestamp;

/// Which events of one aggregate, and in what order.
///
/// All bounds hold together. What happened at a time is found by `since` and `before`, which fit end to end: the events
/// of a day are those since its midnight and before the next one. Events are in the order of their versions also where
/// the clock went back between two of them.
///
/// ```
/// use boxes_recorder::StreamRange;
///
/// let newest = StreamRange::newest(1);
/// let next_hundred = StreamRange { limit: 100, ..StreamRange::after(7) };
/// let on_new_year = StreamRange {
///     since: Some("2026-01-01T00:00:00Z".parse()?),
///     before: Some("2026-01-02T00:00:00Z".parse()?),
///     ..StreamRange::ALL
/// };
/// # assert!(newest.descending && next_hundred.after == 7 && on_new_year.limit == u64::MAX);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRange {
    /// Only versions greater than this; 0 for all.
    pub after: u64,
    /// Only versions up to and including this; `u64::MAX` for all.
    pub until: u64,
    /// Only what occurred at this time or later; `None` for all.
    pub since: Option<Timestamp>,
    /// Only what occurred earlier than this; `None` for all.
    pub before: Option<Timestamp>,
    /// At most so many.
    pub limit: u64,
    /// Newest first, instead of oldest first.
    pub descending: bool,
}

impl StreamRange {
    /// Every event, oldest first.
    pub const ALL: Self = Self {
        after: 0,
        until: u64::MAX,
        since: None,
        before: None,
        limit: u64::MAX,
        descending: false,
    };

    /// Every event with a version greater than `after`, oldest first.
    #[must_use]
    pub const fn after(after: u64) -> Self {
        Self { after, ..Self::ALL }
    }

    /// The most recent events, at most so many, newest first.
    #[must_use]
    pub const fn newest(limit: u64) -> Self {
        Self {
            limit,
            descending: true,
            ..Self::ALL
        }
    }

    /// The first and the last microsecond since 1970 in which what is in the range occurred, both included: what a
    /// store compares its times with.
    #[must_use]
    pub fn microseconds(&self) -> (i64, i64) {
        let since = self.since.map_or(i64::MIN, next_whole_microsecond);
        let before = self.before.map_or(i64::MAX, |before| {
            next_whole_microsecond(before).saturating_sub(1)
        });
        (since, before)
    }
}

/// The time, or the first microsecond after it: a store keeps no finer part, so nothing lies between.
fn next_whole_microsecond(time: Timestamp) -> i64 {
    let micros = time.as_nanosecond().div_euclid(1_000);
    let has_rest = time.as_nanosecond().rem_euclid(1_000) > 0;
    i64::try_from(micros)
        .unwrap_or(i64::MAX)
        .saturating_add(i64::from(has_rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finer_time_lies_between_two_microseconds_on_both_ends() {
        let range = |since: i128, before: i128| StreamRange {
            since: Some(Timestamp::from_nanosecond(since).unwrap()),
            before: Some(Timestamp::from_nanosecond(before).unwrap()),
            ..StreamRange::ALL
        };
        assert_eq!(range(2_000, 4_000).microseconds(), (2, 3));
        assert_eq!(range(2_001, 4_001).microseconds(), (3, 4));
        assert_eq!(range(-2_001, -1_999).microseconds(), (-2, -2));
        assert_eq!(range(0, 0).microseconds(), (0, -1));
        assert_eq!(StreamRange::ALL.microseconds(), (i64::MIN, i64::MAX));
    }
}
