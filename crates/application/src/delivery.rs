//! Running the followers within the command that caused their work.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::after_commit::{AfterCommit, DELIVERING};
use crate::{Follower, FollowerError, FollowerStatus};

/// How often all followers are asked in turn before a cycle of boxes is taken for one that never ends.
const MAX_ROUNDS: u32 = 10_000;

/// How long a command waits for its turn while the delivery at work neither records nor fails anything. It may be waiting
/// for this very command.
const MAX_STANDSTILL: Duration = Duration::from_secs(5);

/// Delivers in this process, synchronously and always in the same order: when a command returns, all that it
/// caused in other boxes has happened.
///
/// The followers run in turn, in the order in which they were given, each to the end of its log, until a
/// whole round brought nothing new. Commands that come meanwhile wait for their own round.
///
/// A follower that fails is tried again with the next command, once it has failed as often in a row as its options
/// allow; until then [`Follower::status`] says what is in its way. The others continue. The command that caused it is
/// committed and does not fail.
///
/// What a policy commands on its own `App` is recorded with its notification. A policy that commands a box in another way, in
/// a task that it spawns or over HTTP, should not wait for the answer: that command would wait for its turn, and its turn for
/// the policy. It is answered after 5 s in which the delivery makes no progress, with a warning in the log, and delivered
/// when the policy has returned.
#[derive(Debug)]
pub struct SynchronousDelivery {
    followers: Mutex<Vec<Follower>>,
    statuses: Vec<watch::Receiver<FollowerStatus>>,
}

impl SynchronousDelivery {
    /// Delivers to these, in this order.
    #[must_use]
    pub fn new(followers: Vec<Follower>) -> Self {
        Self {
            statuses: followers.iter().map(Follower::status).collect(),
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

    /// The followers, when it is this caller's turn; `None` if the delivery at work makes no progress. It delivers what was
    /// committed until then before it ends.
    async fn turn(&self) -> Option<MutexGuard<'_, Vec<Follower>>> {
        // One place in the queue, however long it takes.
        let mut turn = std::pin::pin!(self.followers.lock());
        loop {
            let before = self.progress();
            match tokio::time::timeout(MAX_STANDSTILL, &mut turn).await {
                Ok(followers) => return Some(followers),
                Err(_) if self.progress() == before => return None,
                Err(_) => {}
            }
        }
    }

    /// What is different once a follower has recorded a step, or failed.
    fn progress(&self) -> Vec<(u64, u64)> {
        let progress = |status: &watch::Receiver<FollowerStatus>| {
            let status = status.borrow();
            (status.position, status.n_failures)
        };
        self.statuses.iter().map(progress).collect()
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
            let before = follower.status().borrow().position;
            match follower.catch_up().await {
                Ok(n) => n_handled += n,
                Err(error) => {
                    first_error = first_error.or(Some(error));
                    // What it recorded before it failed is news for others.
                    let position = follower.status().borrow().position;
                    n_handled += position.saturating_sub(before);
                }
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
        if DELIVERING.try_with(|()| ()).is_ok() {
            return;
        }
        let Some(mut followers) = self.turn().await else {
            tracing::warn!(
                "a command is answered before what it caused has happened: delivery makes no progress, perhaps because a policy waits for this command"
            );
            return;
        };
        let settled = DELIVERING.scope((), settle_all(&mut followers)).await;
        // The follower that failed has said so already, where it happened.
        if let Err(error @ FollowerError::Endless { .. }) = settled {
            tracing::error!(%error, "delivery was given up");
        }
    }
}
