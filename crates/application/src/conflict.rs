//! Deciding again when others changed the same aggregate.

use std::time::Duration;

use boxes_notification_log::Backoff;
use uuid::Uuid;

use crate::Error;

/// How often a command is decided again because others changed the same aggregate.
const MAX_ATTEMPTS: u32 = 24;

/// The first wait before a command is decided again.
const FIRST_CONFLICT_WAIT: Duration = Duration::from_micros(500);

/// The longest wait before a command is decided again.
const MAX_CONFLICT_WAIT: Duration = Duration::from_millis(50);

pub(crate) const fn conflict_backoff() -> Backoff {
    Backoff::new(FIRST_CONFLICT_WAIT, MAX_CONFLICT_WAIT)
}

/// Waits before the next attempt, if there is to be one.
pub(crate) async fn wait_after_conflict(backoff: &mut Backoff, id: Uuid) -> Result<(), Error> {
    let wait = backoff.next_wait(None);
    if backoff.n_failures() >= MAX_ATTEMPTS {
        return Err(Error::Conflict {
            id,
            attempts: MAX_ATTEMPTS,
        });
    }
    tokio::time::sleep(wait).await;
    Ok(())
}
