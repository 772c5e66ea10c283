//! The seals of a log far away.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_http::RemoteNotificationLog;
use boxes_integrity::Seals;
use boxes_notification_log::{LogError, SectionId};
use bytes::Bytes;

/// The seals that are served beside a log far away.
#[derive(Debug)]
pub(crate) struct RemoteSeals(pub(crate) Arc<RemoteNotificationLog>);

#[async_trait]
impl Seals for RemoteSeals {
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError> {
        self.0.document(&format!("{page}/seal")).await
    }
}
