//! Waiting for a condition, with a deadline.

use std::time::Duration;

/// How long a test waits for what has to come. Far more than it takes: no test depends on how fast it is.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How often is looked.
const POLL: Duration = Duration::from_millis(10);

/// Waits until it is so.
///
/// # Panics
///
/// If it does not come to that before [`DEADLINE`]: `what` says what was waited for.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited for {DEADLINE:?} in vain: {what}"));
}
