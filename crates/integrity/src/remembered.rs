//! What an earlier verification came to.

use std::fmt;
use std::str::FromStr;

use boxes_notification_log::canonical_integer;
use boxes_recorder::LogIdentity;
use thiserror::Error;
use uuid::Uuid;

use crate::{Chain, Digest};

/// What an earlier verification came to: kept where the log's own database is out of reach, it shows a log that was
/// cut, or sealed anew from the beginning.
///
/// As text it is one line, `LOG EPOCH ID HASH DELETED`; without the last word nothing is known of deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The name of the log.
    pub log: String,
    /// Its epoch.
    pub epoch: Uuid,
    /// The last notification that was verified, not 0.
    pub id: u64,
    /// Its hash.
    pub hash: Digest,
    /// How many notifications up to it had lost their content: they don't get it back.
    pub n_deleted: u64,
}

/// A text is not what was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected one line: the log's name, its epoch, the id of a notification, its hash of 64 hexadecimal digits, and how many notifications had lost their content"
)]
pub struct ParseRememberedError;

impl Remembered {
    /// What there is to remember of a log that was verified up to there.
    #[must_use]
    pub fn new(log: &LogIdentity, chain: Chain, n_deleted: u64) -> Self {
        Self {
            log: log.name.clone(),
            epoch: log.epoch,
            id: chain.id,
            hash: chain.hash,
            n_deleted,
        }
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            log,
            epoch,
            id,
            hash,
            n_deleted,
        } = self;
        write!(f, "{log} {epoch} {id} {hash} {n_deleted}")
    }
}

impl FromStr for Remembered {
    type Err = ParseRememberedError;

    fn from_str(text: &str) -> Result<Self, ParseRememberedError> {
        let mut words = text.split_whitespace();
        let mut next = || words.next().ok_or(ParseRememberedError);
        let remembered = Self {
            log: next()?.to_owned(),
            epoch: next()?.parse().map_err(|_| ParseRememberedError)?,
            id: canonical_integer(next()?).map_err(|_| ParseRememberedError)?,
            hash: next()?.parse().map_err(|_| ParseRememberedError)?,
            // What the first version wrote has none.
            n_deleted: match words.next() {
                Some(word) => canonical_integer(word).map_err(|_| ParseRememberedError)?,
                None => 0,
            },
        };
        if words.next().is_some() || remembered.id == 0 {
            return Err(ParseRememberedError);
        }
        Ok(remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_prints_and_nothing_else() {
        let text = format!(
            "orders {} 20 {}",
            Uuid::from_u128(7),
            Chain::of(&LogIdentity {
                name: "orders".to_owned(),
                epoch: Uuid::from_u128(7),
                page_size: boxes_recorder::DEFAULT_PAGE_SIZE,
            })
            .hash
        );
        // What the first version wrote.
        let remembered: Remembered = text.parse().unwrap();
        assert_eq!(remembered.n_deleted, 0);
        let text = format!("{text} 7");
        let remembered: Remembered = text.parse().unwrap();
        assert_eq!(
            (remembered.n_deleted, remembered.to_string()),
            (7, text.clone())
        );
        assert_eq!(format!("{text}\n").parse(), Ok(remembered));
        for wrong in [
            String::new(),
            text.replacen(" 20 ", " 0 ", 1),
            text.replacen(" 20 ", " x ", 1),
            format!("{text} more"),
            text.replacen(" 7", " x", 1),
            text[..text.len() - 3].to_owned(),
        ] {
            assert_eq!(
                wrong.parse::<Remembered>(),
                Err(ParseRememberedError),
                "{wrong}"
            );
        }
    }
}
