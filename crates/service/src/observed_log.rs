//! A followed log, with the newest notification that is known of: what a follower's lag is measured by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionLink};
use boxes_recorder::{Notification, Position};
use uuid::Uuid;

/// A log that remembers the newest notification that it gave or told of.
#[derive(Debug)]
pub(crate) struct ObservedLog {
    log: Arc<dyn NotificationLog>,
    newest: AtomicU64,
    /// Whether it has answered since it was last looked at.
    answered: AtomicBool,
}

impl ObservedLog {
    pub(crate) fn new(log: Arc<dyn NotificationLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            newest: AtomicU64::new(0),
            answered: AtomicBool::new(false),
        })
    }

    /// The newest notification that is known of, 0 for none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Asks for the newest notification whenever no one else has got an answer for `interval`: a follower that is
    /// held up, has stopped, or hangs in a policy does not ask, and falls behind all the same.
    pub(crate) async fn keep_looking(&self, interval: Duration) {
        loop {
            // A follower that waits for news gets its answers just as often.
            tokio::time::sleep(interval + interval / 4).await;
            if !self.answered.swap(false, Ordering::Relaxed) {
                // A log that can't be reached is reported by its follower.
                drop(self.describe().await);
                self.answered.store(false, Ordering::Relaxed);
            }
        }
    }

    fn saw(&self, section: &Section) {
        let newest = section
            .last
            .unwrap_or_else(|| section.items.last().map_or(0, |item| item.id));
        self.newest.fetch_max(newest, Ordering::Relaxed);
        self.answered.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl NotificationLog for ObservedLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        let description = self.log.describe().await?;
        // A log that was replaced by a shorter one has no more than that.
        self.newest.store(description.last, Ordering::Relaxed);
        self.answered.store(true, Ordering::Relaxed);
        Ok(description)
    }

    async fn current(&self) -> Result<Section, LogError> {
        let section = self.log.current().await?;
        self.saw(&section);
        Ok(section)
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        let section = self.log.section(link).await?;
        self.saw(&section);
        Ok(section)
    }

    async fn section_after(
        &self,
        link: &SectionLink,
        position: Position,
    ) -> Result<Section, LogError> {
        let section = self.log.section_after(link, position).await?;
        self.saw(&section);
        Ok(section)
    }

    async fn notification(&self, id: u64, epoch: Uuid) -> Result<Option<Notification>, LogError> {
        self.log.notification(id, epoch).await
    }

    fn fingerprint(&self, notification: &Notification) -> Option<Uuid> {
        self.log.fingerprint(notification)
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        let has_news = self.log.wait(after, timeout).await?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(has_news)
    }
}
