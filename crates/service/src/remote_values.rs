//! The values of a box far away.

use std::sync::Arc;

use async_trait::async_trait;
use boxes_application::{Error, ValueSource};
use boxes_domain::LargeId;
use boxes_http::RemoteNotificationLog;
use boxes_recorder::RecorderError;
use bytes::Bytes;

/// The values that a followed box serves beside its log.
#[derive(Debug)]
pub(crate) struct RemoteValues(pub(crate) Arc<RemoteNotificationLog>);

#[async_trait]
impl ValueSource for RemoteValues {
    async fn stored_value(&self, id: LargeId) -> Result<Option<Bytes>, Error> {
        let asked = self.0.value(&format!("values/{id}")).await;
        asked.map_err(|error| {
            RecorderError::unavailable(format!("asking a followed box for the value {id}"), error)
                .into()
        })
    }
}
