//! Running the followers within the command that caused their work.

use std::fmt::Debug;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::follower::{Follower, FollowerError};

/// How often all followers are asked in turn before a cycle of boxes is taken for one that never ends.
const MAX_ROUNDS: u32 = 10_000;

/// Something that runs after a command has been committed, before it returns to its caller.
#[async_trait]
pub trait AfterCommit: Debug + Send + Sync + 'static {
    /// A command has been committed.
    ///
    /// What it caused can't undo it: so this returns no error, and reports its own troubles itself.
    async fn committed(&self);
}

tokio::task_local! {
    /// Set while followers run: what their policies command beside their own app must not wait for itself.
    static DELIVERING: ();
}

/// Delivers in this process, synchronously and always in the same order: when a command returns, all that it
/// caused in other boxes has happened.
///
/// The followers run in turn, in the order in which they were given, each to the end of its log, until a
/// whole round brought nothing new. Commands that come meanwhile wait for their own round.
///
/// A follower that fails is stopped, as [`Follower::status`] then says; the others go on. The command that
/// caused it is committed and does not fail.
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
    /// The error of the first follower that stopped in this call.
    pub async fn settle(&self) -> Result<(), FollowerError> {
        if DELIVERING.try_with(|()| ()).is_ok() {
            return Ok(());
        }
        let mut followers = self.followers.lock().await;
        DELIVERING.scope((), settle_all(&mut followers)).await
    }
}

/// Carries over into another task whether this one is delivering.
pub(crate) fn within_same<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let is_delivering = DELIVERING.try_with(|()| ()).is_ok();
    async move {
        if is_delivering {
            DELIVERING.scope((), future).await
        } else {
            future.await
        }
    }
}

async fn settle_all(followers: &mut [Follower]) -> Result<(), FollowerError> {
    let mut first_error = None;
    for _ in 0..MAX_ROUNDS {
        let mut n_handled = 0;
        for follower in followers.iter_mut().filter(|f| !f.is_stopped()) {
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
