//! Waiting for another process.

use std::time::Duration;

use tokio::time::Instant;

use crate::sqlite_error::is_busy;

/// How often what was refused as busy is tried again.
///
/// SQLite's own waiting sleeps up to 100 ms between two tries, and so hardly ever meets the gap between two
/// transactions of a process that writes all the time.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// Tries again for a while what another process is in the way of.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn of(timeout: Duration) -> Self {
        Self {
            until: Instant::now() + timeout,
        }
    }

    /// Waits and says yes if it is worth another try.
    pub(crate) async fn wait_after(&self, error: &sqlx::Error) -> bool {
        if !is_busy(error) || Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
        true
    }
}
