//! Running the followers within the command that caused their work.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::after_commit::{AfterCommit, DELIVERING};
use crate::{Follower, FollowerError};

/// How often all followers are asked in turn before a cycle of boxes is taken for one that never ends.
const MAX_ROUNDS: u32 = 10_000;

/// Delivers in this process, synchronously and always in the same order: when a command returns, all that it
/// caused in other boxes has happened.
///
/// The followers run in turn, in the order in which they were given, each to the end of its log, until a
/// whole round brought nothing new. Commands that come meanwhile wait for their own round.
///
/// A follower that fails is tried again with the next command, once it has failed as often in a row as its options
/// allow; until then [`Follower::status`] says what is in its way. The others continue. The command that caused it is
/// committed and does not fail.
#[derive(Debug)]
pub struct SynchronousDelivery {
    followers: Mutex<Vec<Follower>>,
}

impl SynchronousDelivery {
    /// Delivers to these, in this order.
    #[must_use]
    pub fn new(followers: Vec<Follower>) -> Self {
        Self {
            followers: Mutex::new(followers),
        }
    }

    /// Lets all followers run until there is nothing new for any of them.
    ///
    /// # Errors
    ///
    /// The error of the first follower that failed in this call.
    pub async fn settle(&self) -> Result<(), FollowerError> {
        if DELIVERING.try_with(|()| ()).is_ok() {
            return Ok(());
        }
        let mut followers = self.followers.lock().await;
        DELIVERING.scope((), settle_all(&mut followers)).await
    }

    /// Settles every `interval`, until it is cancelled: so a follower that was held up continues when the cause is
    /// gone, though no command comes, and what another process recorded is read. Returns between two steps.
    pub async fn keep_settled(&self, interval: Duration, cancelled: CancellationToken) {
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            // A follower that fails has said so itself.
            drop(self.settle().await);
        }
    }
}

async fn settle_all(followers: &mut [Follower]) -> Result<(), FollowerError> {
    let mut first_error = None;
    for _ in 0..MAX_ROUNDS {
        let mut n_handled = 0;
        for follower in followers.iter_mut() {
            match follower.catch_up().await {
                Ok(n) => n_handled += n,
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if n_handled == 0 {
            return first_error.map_or(Ok(()), Err);
        }
    }
    Err(FollowerError::Endless {
        n_rounds: MAX_ROUNDS,
    })
}

#[async_trait]
impl AfterCommit for SynchronousDelivery {
    async fn committed(&self) {
        // The follower that failed has said so already, where it happened.
        if let Err(error @ FollowerError::Endless { .. }) = self.settle().await {
            tracing::error!(%error, "delivery was given up");
        }
    }
}
