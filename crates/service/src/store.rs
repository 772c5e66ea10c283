//! Where a box keeps its events.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a box keeps its events: `sqlite:FILE` or `memory:`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// In an SQLite file, relative to the working directory unless its path is absolute.
    Sqlite(PathBuf),
    /// In memory: gone when the process ends.
    Memory,
}

/// A text names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store is `sqlite:FILE` or `memory:`")]
pub struct ParseStoreError;

impl FromStr for Store {
    type Err = ParseStoreError;

    fn from_str(text: &str) -> Result<Self, ParseStoreError> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            // SQLite itself gives these a meaning of its own: a database that is lost without a word.
            Some(("sqlite", file)) if !file.is_empty() && !file.starts_with([':', '?']) => Ok(
                Self::Sqlite(PathBuf::from(file.strip_prefix("//").unwrap_or(file))),
            ),
            _ => Err(ParseStoreError),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_reads_what_it_prints() {
        for text in [
            "sqlite:orders.db",
            "sqlite:/var/lib/boxes/orders.db",
            "memory:",
        ] {
            assert_eq!(text.parse::<Store>().unwrap().to_string(), text);
        }
        assert_eq!(
            "sqlite:///data/orders.db".parse(),
            Ok(Store::Sqlite("/data/orders.db".into()))
        );
    }

    #[test]
    fn what_would_be_lost_without_a_word_is_no_store() {
        for text in [
            "",
            "orders.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:?mode=memory",
            "memory",
            "memory:x",
            "postgres://x",
        ] {
            assert_eq!(text.parse::<Store>(), Err(ParseStoreError), "{text}");
        }
    }
}
