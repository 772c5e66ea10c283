//! Which part of a log.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use thiserror::Error;

/// The place of a section: `low,high`, both included.
///
/// On a log with page size N only the grid exists: `low = 1 + k·N`, `high = (k+1)·N`, so a page has one
/// name. A `SectionId` by itself is well-formed; whether it is on a log's grid is said by
/// [`on_grid`](Self::on_grid).
///
/// ```
/// use boxes_notification_log::SectionId;
/// use std::num::NonZeroU32;
///
/// let n = NonZeroU32::new(20).unwrap();
/// assert_eq!(SectionId::containing(21, n).to_string(), "21,40");
/// assert_eq!("21,40".parse::<SectionId>()?.on_grid(n)?, SectionId::containing(40, n));
/// assert!("21,40,".parse::<SectionId>().is_err());
/// # Ok::<(), boxes_notification_log::SectionIdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId {
    low: u64,
    high: u64,
}

/// A text or a range is not a section of the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SectionIdError {
    /// It is not two integers `low,high` with 1 ≤ low ≤ high, without signs or leading zeros.
    #[error(
        "a section id is two integers, low,high, such as 1,20: from 1, without sign or leading zero, low not above high"
    )]
    Malformed,
    /// It has another length than the log's sections.
    #[error("a section of this log holds {page_size} notifications, not {length}")]
    WrongSize {
        /// How many notifications a section of the log holds.
        page_size: NonZeroU32,
        /// How many the id spans.
        length: u64,
    },
    /// It has the right length, but starts at the wrong place.
    #[error(
        "sections of this log hold {page_size} notifications: the one with notification {low} is {enclosing}"
    )]
    Misaligned {
        /// How many notifications a section of the log holds.
        page_size: NonZeroU32,
        /// Where the id starts.
        low: u64,
        /// The section that holds that notification.
        enclosing: SectionId,
    },
}

impl SectionId {
    /// The section that holds notification `id`; the first one for 0.
    #[must_use]
    pub fn containing(id: u64, page_size: NonZeroU32) -> Self {
        let n = u64::from(page_size.get());
        let low = (id.max(1) - 1) / n * n + 1;
        Self {
            low,
            high: low.saturating_add(n - 1),
        }
    }

    /// The first section.
    #[must_use]
    pub fn first(page_size: NonZeroU32) -> Self {
        Self::containing(1, page_size)
    }

    /// The id of its first notification.
    #[must_use]
    pub const fn low(self) -> u64 {
        self.low
    }

    /// The id of its last notification.
    #[must_use]
    pub const fn high(self) -> u64 {
        self.high
    }

    /// The section before it on its grid, if there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        let length = self.high - self.low + 1;
        if self.low > length {
            Some(Self {
                low: self.low - length,
                high: self.low - 1,
            })
        } else {
            None
        }
    }

    /// The section after it on its grid.
    #[must_use]
    pub const fn next(self) -> Self {
        let length = self.high - self.low + 1;
        Self {
            low: self.high.saturating_add(1),
            high: self.high.saturating_add(length),
        }
    }

    /// The same, if it is a section of a log with this page size.
    ///
    /// # Errors
    ///
    /// [`SectionIdError::WrongSize`] or [`SectionIdError::Misaligned`], both of which say what would be right.
    pub fn on_grid(self, page_size: NonZeroU32) -> Result<Self, SectionIdError> {
        let n = u64::from(page_size.get());
        let length = (self.high - self.low).saturating_add(1);
        if length != n {
            return Err(SectionIdError::WrongSize { page_size, length });
        }
        let enclosing = Self::containing(self.low, page_size);
        if enclosing.low != self.low {
            return Err(SectionIdError::Misaligned {
                page_size,
                low: self.low,
                enclosing,
            });
        }
        Ok(self)
    }
}

impl FromStr for SectionId {
    type Err = SectionIdError;

    fn from_str(text: &str) -> Result<Self, SectionIdError> {
        let (low, high) = text.split_once(',').ok_or(SectionIdError::Malformed)?;
        let (low, high) = (canonical_integer(low)?, canonical_integer(high)?);
        if low < 1 || high < low {
            return Err(SectionIdError::Malformed);
        }
        Ok(Self { low, high })
    }
}

/// Reads the id of a notification, or of a position: `1`, but not `01`, `+1`, `-1`, ` 1` or what does not fit.
///
/// A page must have one name, and a position that is not one must be refused where it is read.
///
/// # Errors
///
/// [`SectionIdError::Malformed`] for everything else.
pub fn canonical_integer(text: &str) -> Result<u64, SectionIdError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(SectionIdError::Malformed);
    }
    text.parse().map_err(|_| SectionIdError::Malformed)
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();

    #[test]
    fn only_two_plain_integers_are_a_section_id() {
        for text in [
            "",
            ",",
            "1",
            "1,",
            ",1",
            "1,2,3",
            "x",
            "a,b",
            "+1,5",
            "-1,5",
            "01,5",
            "1,05",
            " 1,5",
            "1, 5",
            "0,4",
            "5,1",
            "1,99999999999999999999",
            "1;5",
            "１,５",
        ] {
            assert_eq!(
                text.parse::<SectionId>(),
                Err(SectionIdError::Malformed),
                "{text}"
            );
        }
        assert_eq!(
            "1,18446744073709551615"
                .parse::<SectionId>()
                .map(SectionId::high),
            Ok(u64::MAX)
        );
    }

    #[test]
    fn what_is_off_the_grid_is_told_where_the_grid_is() {
        let on_grid = |text: &str| text.parse::<SectionId>().unwrap().on_grid(FIVE);
        assert!(on_grid("1,5").is_ok() && on_grid("6,10").is_ok());
        assert_eq!(
            on_grid("1,2"),
            Err(SectionIdError::WrongSize {
                page_size: FIVE,
                length: 2
            })
        );
        assert_eq!(
            on_grid("1,10"),
            Err(SectionIdError::WrongSize {
                page_size: FIVE,
                length: 10
            })
        );
        assert_eq!(
            on_grid("2,6"),
            Err(SectionIdError::Misaligned {
                page_size: FIVE,
                low: 2,
                enclosing: SectionId::containing(2, FIVE)
            })
        );
        assert_eq!(
            on_grid("1,18446744073709551615").unwrap_err(),
            SectionIdError::WrongSize {
                page_size: FIVE,
                length: u64::MAX
            }
        );
    }

    #[test]
    fn the_current_section_of_an_empty_log_is_the_first_and_of_a_full_one_the_last_full() {
        let text = |id| SectionId::containing(id, FIVE).to_string();
        assert_eq!(
            [text(0), text(1), text(5), text(6), text(13)],
            ["1,5", "1,5", "1,5", "6,10", "11,15"]
        );
    }

    #[test]
    fn sections_lead_to_their_neighbours() {
        let section = SectionId::containing(13, FIVE);
        assert_eq!(
            section.previous().map(|s| s.to_string()),
            Some("6,10".to_owned())
        );
        assert_eq!(section.next().to_string(), "16,20");
        assert_eq!(SectionId::first(FIVE).previous(), None);
    }

    proptest! {
        #[test]
        fn an_id_reads_what_it_prints(low in 1_u64.., length in 0_u64..) {
            let id = SectionId { low, high: low.saturating_add(length) };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn what_is_read_prints_the_same(text in "[0-9+, -]{0,24}|[0-9]{1,20},[0-9]{1,20}|\\PC*") {
            if let Ok(id) = text.parse::<SectionId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn every_notification_lies_in_one_section(id: u64, n in 1_u32..) {
            let page_size = NonZeroU32::new(n).unwrap();
            let section = SectionId::containing(id, page_size);
            prop_assert!((section.low()..=section.high()).contains(&id.max(1)));
            prop_assert!(section.previous().is_none_or(|before| before.high() == section.low() - 1));
            prop_assert_eq!(section.previous().is_none(), section.low() == 1);
            // All but the last one of all ids, which may be cut off, lie on the grid.
            prop_assert!(section.on_grid(page_size).is_ok() || section.high() == u64::MAX);
        }
    }
}
