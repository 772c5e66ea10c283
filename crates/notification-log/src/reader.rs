//! The reader that goes from section to section. (To be written.)

use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{LogIdentity, Notification, Position};

use crate::{LogError, NotificationLog};

/// How the reader finds its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Navigation {
    /// By links alone: current, back by `previous` to where it left off, then on by `next`.
    Links,
    /// Straight to the section after its position, by the grid that the log describes; prefetches.
    #[default]
    Jump,
}

/// Bounds of a reader.
#[derive(Debug, Clone, Copy)]
pub struct ReaderBounds {
    /// Sections that are fetched ahead of the one that is handed out, at most.
    pub max_prefetch: usize,
}

/// Goes from section to section and hands out every notification once, in order.
#[derive(Debug)]
pub struct NotificationLogReader {
    log: Arc<dyn NotificationLog>,
    position: Option<Position>,
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::todo, clippy::unused_async)]
impl NotificationLogReader {
    /// A reader that continues after `position`; from the beginning for `None`.
    #[must_use]
    pub fn new(log: Arc<dyn NotificationLog>, position: Option<Position>) -> Self {
        Self { log, position }
    }
    #[must_use]
    pub fn with_navigation(self, _navigation: Navigation) -> Self {
        self
    }
    #[must_use]
    pub fn with_bounds(self, _bounds: ReaderBounds) -> Self {
        self
    }
    /// The identity of the log, known once something was asked of it.
    #[must_use]
    pub fn log_identity(&self) -> Option<&LogIdentity> {
        None
    }
    /// After which notification it continues: `None` before the first answer of a log read from the beginning.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }
    /// What comes after the position, at most to the end of one section; empty at the end of the log. The
    /// position moves to the last one handed out.
    pub async fn next_batch(&mut self) -> Result<Vec<Notification>, LogError> {
        todo!("{:?}", self.log)
    }
    /// Whether the log certainly goes on after the position: the last section handed out was archived. When
    /// it says no, the next batch may still hold what came meanwhile.
    #[must_use]
    pub fn has_more(&self) -> bool {
        false
    }
    /// Waits until there is something after the position.
    pub async fn wait(&mut self, _timeout: Duration) -> Result<bool, LogError> {
        todo!()
    }
}
