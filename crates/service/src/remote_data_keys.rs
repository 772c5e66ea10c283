//! The data keys of a log far away.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_application::{DataKeySource, Error};
use boxes_http::RemoteNotificationLog;
use boxes_mapper::WrappedDataKeys;
use boxes_recorder::RecorderError;
use serde::Deserialize;

/// The wrapped data keys that a service publishes next to a log: who has the configured keys can unwrap them.
#[derive(Debug)]
pub(crate) struct RemoteDataKeys(pub(crate) Arc<RemoteNotificationLog>);

#[derive(Deserialize)]
struct Keys {
    #[serde(default)]
    data_keys: Option<String>,
}

#[async_trait]
impl DataKeySource for RemoteDataKeys {
    async fn wrapped(&self) -> Result<Option<WrappedDataKeys>, Error> {
        let asked = self.0.document("keys").await;
        let asked = asked.map_err(|error| {
            RecorderError::unavailable("asking a followed box for its data keys", error)
        })?;
        let Some(document) = asked else {
            return Ok(None);
        };
        let malformed = |_| RecorderError::Unavailable {
            reason: "what a followed box says of its data keys can't be understood".to_owned(),
            source: None,
        };
        let keys: Keys =
            serde_json::from_slice(&document).map_err(|error| malformed(error.to_string()))?;
        let Some(text) = keys.data_keys else {
            return Ok(None);
        };
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Some(WrappedDataKeys::from_bytes(&bytes)))
    }
}
