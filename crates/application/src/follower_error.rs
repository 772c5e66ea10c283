//! What can keep a follower from continuing.

use std::time::Duration;

use boxes_notification_log::LogError;
use boxes_recorder::{Notification, RecorderError};
use thiserror::Error;

use crate::Error;

/// What can keep a follower from continuing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowerError {
    /// The upstream's log can't be read, or contradicts what was read of it before.
    #[error(transparent)]
    Log(#[from] LogError),
    /// This box's own store can't be used now.
    #[error(transparent)]
    Store(#[from] RecorderError),
    /// A policy failed on a notification.
    #[error("notification {id} ({topic}) can't be handled: {source}")]
    Policy {
        /// The notification.
        id: u64,
        /// Its topic.
        topic: String,
        /// What the policy returned.
        source: Error,
    },
    /// A policy panicked on a notification.
    #[error("notification {id} ({topic}) can't be handled: the policy panicked")]
    Panicked {
        /// The notification.
        id: u64,
        /// Its topic.
        topic: String,
    },
    /// Boxes kept reacting to each other, and it was given up in one process.
    #[error("after {n_rounds} rounds the boxes still react to each other")]
    Endless {
        /// How many rounds were tried.
        n_rounds: u32,
    },
}

impl FollowerError {
    /// A policy failed on `notification`.
    pub(crate) fn of_policy(notification: &Notification, source: Error) -> Self {
        Self::Policy {
            id: notification.id,
            topic: notification.event.topic.to_string(),
            source,
        }
    }

    /// Whether the log contradicts what was read of it before, so that reading on might skip or repeat something.
    #[must_use]
    pub const fn is_contradiction(&self) -> bool {
        matches!(self, Self::Log(error) if error.is_contradiction())
    }

    /// Whether something does not answer now, and nothing is known to be wrong.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Store(error) => matches!(
                error,
                RecorderError::Unavailable { .. } | RecorderError::OutcomeUnknown { .. }
            ),
            Self::Policy { source, .. } => source.is_transient(),
            Self::Panicked { .. } | Self::Endless { .. } => false,
        }
    }

    /// Whether it may be the failure of a single notification, so that those before it can be taken without it.
    pub(crate) const fn is_of_policy(&self) -> bool {
        matches!(self, Self::Policy { .. } | Self::Panicked { .. })
    }

    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Log(error) => error.retry_after(),
            _ => None,
        }
    }

    /// The error with its causes, in one line, each said once.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}
