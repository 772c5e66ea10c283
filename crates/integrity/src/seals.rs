//! Where seals are read from.

use std::fmt::Debug;

use async_trait::async_trait;
use boxes_notification_log::{LogError, SectionId};
use bytes::Bytes;

/// The seals of a log, near or far: bytes, which whoever verifies makes out.
#[async_trait]
pub trait Seals: Debug + Send + Sync + 'static {
    /// The seal of a page, if it has one. It is there only after the page is archived.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`], [`LogError::Forbidden`] if they can't be read now.
    async fn seal(&self, page: SectionId) -> Result<Option<Bytes>, LogError>;

    /// What was signed about deleted aggregates, one statement each; `None` where that can't be had.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    async fn deletions(&self) -> Result<Option<Vec<Bytes>>, LogError> {
        Ok(None)
    }

    /// Why the sealer has stopped, if it has and that is known here.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    async fn stopped(&self) -> Result<Option<String>, LogError> {
        Ok(None)
    }
}
