//! A log that is made of another one, notification by notification.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{Encoding, LogIdentity, Notification, StoredEvent};
use bytes::Bytes;
use uuid::Uuid;

use crate::{LogDescription, LogError, NotificationLog, Section, SectionId, SectionLink};

/// The topic of a notification that keeps the place of one that is not published. Its state is an empty object; of the
/// event in whose place it stands it tells the time alone.
pub const WITHHELD_TOPIC: &str = "boxes.withheld";

/// What is published of a notification.
///
/// The same notification is always translated in the same way, by every process and after every restart: pages are
/// kept by caches for ever. When that is to change, it is another log: see [`DerivedLog::new`].
pub trait Translation: Debug + Send + Sync + 'static {
    /// The event that is published in the place of this one, or `None` if nothing is. One whose event is redacted is
    /// redacted here as well, whatever it is made into.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the notification can't be understood: the section that holds it can't be read then, and nothing
    /// is skipped.
    fn translate(&self, notification: &Notification) -> Result<Option<StoredEvent>, LogError>;
}

/// A log whose notifications are those of another one, translated.
///
/// Every notification keeps its place: where nothing is published stands one of the topic [`WITHHELD_TOPIC`]. So ids are
/// dense here as well, sections are archived when those of the other log are, and a follower has to know nothing.
/// Nothing is stored: it is translated when it is read.
#[derive(Debug, Clone)]
pub struct DerivedLog {
    source: Arc<dyn NotificationLog>,
    translation: Arc<dyn Translation>,
    name: String,
    revision: u32,
    /// What else determines what is made of the events.
    variant: Vec<u8>,
}

impl DerivedLog {
    /// The log of that name, made of `source`.
    ///
    /// `revision` counts the translations that were ever published under that name. A log with another revision has
    /// another epoch: caches and followers take it for another history, and followers stop instead of reading on in what
    /// they understand differently.
    #[must_use]
    pub fn new(
        source: Arc<dyn NotificationLog>,
        translation: Arc<dyn Translation>,
        name: impl Into<String>,
        revision: u32,
    ) -> Self {
        Self {
            source,
            translation,
            name: name.into(),
            revision,
            variant: Vec::new(),
        }
    }

    /// The same in a variant: what else than the revision determines what is made of the events, such as a setting. Another one is
    /// another history, too; the empty one is the same as none.
    #[must_use]
    pub fn with_variant(mut self, variant: impl Into<Vec<u8>>) -> Self {
        self.variant = variant.into();
        self
    }

    /// What it is known by, where this is what it is made of: its name and revision give it an epoch of its own.
    #[must_use]
    pub fn identity(&self, source: &LogIdentity) -> LogIdentity {
        let revision = self.revision.to_be_bytes();
        LogIdentity {
            name: self.name.clone(),
            epoch: Uuid::new_v5(
                &source.epoch,
                &[self.name.as_bytes(), b"\0", &revision, &self.variant].concat(),
            ),
            page_size: source.page_size,
        }
    }

    fn translated(&self, section: Section) -> Result<Section, LogError> {
        let log = self.identity(&section.log);
        let items = section
            .items
            .into_iter()
            .map(|notification| {
                let event = self.translation.translate(&notification)?;
                let event = event.unwrap_or_else(|| withheld(&log, &notification));
                // What is redacted there is so here, published or not: by their number pages are known.
                let event = if notification.event.is_redacted() {
                    event.to_redacted()
                } else {
                    event
                };
                Ok(Notification {
                    id: notification.id,
                    event,
                })
            })
            .collect::<Result<_, LogError>>()?;
        Ok(Section {
            // The way to them leads through this log as well.
            previous: section.previous.map(|link| link.id.into()),
            next: section.next.map(|link| link.id.into()),
            log,
            items,
            ..section
        })
    }
}

/// Whether a notification of this log is one that keeps the place of another that is not published.
///
/// What was published stands no longer there once it is redacted: nobody can tell what it was made into, so it is a
/// redacted one of these.
#[must_use]
pub fn is_withheld(log: &LogIdentity, notification: &Notification) -> bool {
    let event = &notification.event;
    event.topic == WITHHELD_TOPIC
        && event.event_id == withheld_id(log, notification.id)
        && event.originator_id.is_nil()
        && event.originator_version == notification.id
}

fn withheld_id(log: &LogIdentity, id: u64) -> Uuid {
    Uuid::new_v5(&log.epoch, &id.to_be_bytes())
}

/// Keeps the place of a notification, and has an event id of its own as any other.
fn withheld(log: &LogIdentity, notification: &Notification) -> StoredEvent {
    StoredEvent {
        event_id: withheld_id(log, notification.id),
        originator_id: Uuid::nil(),
        originator_version: notification.id,
        topic: Cow::Borrowed(WITHHELD_TOPIC),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(b"{}"),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: notification.event.occurred_on,
    }
}

#[async_trait]
impl NotificationLog for DerivedLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        let description = self.source.describe().await?;
        Ok(LogDescription {
            log: self.identity(&description.log),
            ..description
        })
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.translated(self.source.current().await?)
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.translated(self.source.section(&link.id.into()).await?)
    }

    async fn n_redacted_in(&self, id: SectionId) -> Result<u64, LogError> {
        self.source.n_redacted_in(id).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.source.wait(after, timeout).await
    }

    async fn wait_for_change(
        &self,
        known: &LogDescription,
        timeout: Duration,
    ) -> Result<bool, LogError> {
        self.source.wait_for_change(known, timeout).await
    }
}
