//! The log of a box in this process. (To be written.)

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_recorder::{GroupCommit, Recorder};

use crate::{LogDescription, LogError, NotificationLog, Section, SectionLink};

/// The log of a box in this process.
#[derive(Debug, Clone)]
pub struct LocalNotificationLog {
    recorder: Arc<dyn Recorder>,
}

impl LocalNotificationLog {
    /// The log of what is recorded there.
    #[must_use]
    pub fn new(writer: &GroupCommit) -> Self {
        Self { recorder: Arc::clone(writer.recorder()) }
    }
}

#[allow(clippy::todo)]
#[async_trait]
impl NotificationLog for LocalNotificationLog {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        todo!("{:?}", self.recorder)
    }

    async fn current(&self) -> Result<Section, LogError> {
        todo!()
    }

    async fn section(&self, _link: &SectionLink) -> Result<Section, LogError> {
        todo!()
    }

    async fn wait(&self, _after: u64, _timeout: Duration) -> Result<bool, LogError> {
        todo!()
    }
}
