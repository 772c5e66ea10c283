//! How much of a server a box takes, and how long it waits for it.

use std::time::Duration;

use boxes_recorder::RecorderError;

use crate::server_place::mismatch;

/// Connections that read at the same time, at most, unless the URL says `max_readers=`.
pub(crate) const DEFAULT_MAX_READERS: u32 = 4;

/// How long one statement that reads may take, unless the URL says `max_read_secs=`.
const DEFAULT_READ_SECS: u32 = 15;

/// How long one statement that writes may take, unless the URL says `max_write_secs=`.
const DEFAULT_WRITE_SECS: u32 = 30;

/// The longest that can be asked for: an hour. Longer than any statement of ours should take by far.
const MAX_SECS: u32 = 3_600;

/// How much longer is waited here than the server is told: so it is the first to give up, and says why.
const GRACE: Duration = Duration::from_secs(5);

/// What the URL may say of a box's use of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_readers: u32,
    /// How long the log's lock is waited for, at a time.
    pub(crate) lock_secs: u32,
    pub(crate) read_secs: u32,
    pub(crate) write_secs: u32,
    /// Whether a commit may be answered before it is on the disk, where the server is configured so.
    pub(crate) takes_any_durability: bool,
    /// Whether a pooler gives each transaction another session, where the URL says so or it was found out.
    pub(crate) shares_sessions: Option<bool>,
}

impl Limits {
    pub(crate) const fn new(lock_secs: u32) -> Self {
        Self {
            max_readers: DEFAULT_MAX_READERS,
            lock_secs,
            read_secs: DEFAULT_READ_SECS,
            write_secs: DEFAULT_WRITE_SECS,
            takes_any_durability: false,
            shares_sessions: None,
        }
    }

    /// Whether nothing that is said of a session outlasts a transaction.
    pub(crate) fn is_pooled(&self) -> bool {
        self.shares_sessions == Some(true)
    }

    /// Takes a parameter of the URL; says whether it is one of these.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if its value can't be: mend the URL.
    pub(crate) fn take(&mut self, key: &str, value: &str) -> Result<bool, RecorderError> {
        let (limit, most, what) = match key {
            "durability" => {
                self.takes_any_durability = match value {
                    "full" => false,
                    "server" => true,
                    _ => return Err(mismatch("`durability` is `full` or `server`".to_owned())),
                };
                return Ok(true);
            }
            "pooler" => {
                self.shares_sessions = match value {
                    "transaction" => Some(true),
                    "session" | "none" => Some(false),
                    _ => {
                        return Err(mismatch(
                            "`pooler` is `transaction`, `session` or `none`".to_owned(),
                        ));
                    }
                };
                return Ok(true);
            }
            "max_readers" => (&mut self.max_readers, u32::MAX, "a number of connections"),
            "max_lock_secs" => (&mut self.lock_secs, MAX_SECS, "a number of seconds"),
            "max_read_secs" => (&mut self.read_secs, MAX_SECS, "a number of seconds"),
            "max_write_secs" => (&mut self.write_secs, MAX_SECS, "a number of seconds"),
            _ => return Ok(false),
        };
        *limit = value
            .parse()
            .ok()
            .filter(|n| (1..=most).contains(n))
            .ok_or_else(|| mismatch(format!("`{key}` is {what} from 1 to {most}")))?;
        Ok(true)
    }

    /// How long a read may take, with waiting for a connection and making one.
    pub(crate) fn read_timeout(&self) -> Duration {
        Duration::from_secs(self.read_secs.into()).saturating_add(GRACE)
    }

    /// How long a transaction may take to its commit, and the commit itself: it has a few statements, and waits for the
    /// lock.
    pub(crate) fn transaction_timeout(&self) -> Duration {
        let secs = u64::from(self.write_secs).saturating_add(self.lock_secs.into());
        Duration::from_secs(secs).saturating_add(GRACE.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_says_counts_and_what_can_not_be_is_refused_by_name() {
        let mut limits = Limits::new(15);
        assert!(limits.take("max_lock_secs", "1").unwrap());
        assert!(limits.take("max_read_secs", "2").unwrap());
        assert!(limits.take("max_write_secs", "3600").unwrap());
        assert!(limits.take("max_readers", "9").unwrap());
        assert!(limits.take("durability", "server").unwrap());
        assert!(limits.take("pooler", "transaction").unwrap());
        assert!(!limits.take("sslmode", "require").unwrap());
        let said = Limits {
            max_readers: 9,
            lock_secs: 1,
            read_secs: 2,
            write_secs: 3_600,
            takes_any_durability: true,
            shares_sessions: Some(true),
        };
        assert_eq!(limits, said);
        for (key, value) in [("durability", "some"), ("pooler", "statement")] {
            let refused = limits.take(key, value).unwrap_err().to_string();
            assert!(refused.contains(key), "{refused}");
        }
        for (key, value) in [
            ("max_write_secs", "3601"),
            ("max_lock_secs", "0"),
            ("max_read_secs", "2s"),
        ] {
            let refused = limits.take(key, value).unwrap_err().to_string();
            assert!(
                refused.contains(key) && refused.contains("3600"),
                "{refused}"
            );
        }
    }
}
