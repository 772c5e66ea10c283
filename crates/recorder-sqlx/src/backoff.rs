//! Pauses between attempts.

use std::time::Duration;

/// The pause before the first retry; each later one is twice as long, up to [`MAX_PAUSE`], less a random part.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Waits the longer the more often it was tried, and at random, so that those that were refused together do not come
/// back together.
pub(crate) async fn pause(retry: u32) {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << retry.min(10))
        .min(MAX_PAUSE);
    tokio::time::sleep(longest.mul_f64(fastrand::f64().mul_add(0.5, 0.5))).await;
}
