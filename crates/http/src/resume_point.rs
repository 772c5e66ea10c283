//! Where a reader says that it is, and whether that is a place in this log.

use axum::http::{HeaderMap, HeaderName};
use boxes_notification_log::{LogError, SectionId, canonical_integer};
use boxes_recorder::LogIdentity;
use uuid::Uuid;

use crate::served::Served;
use crate::{Problem, ProblemKind};

/// The epoch that a reader follows, a UUID: sent with a request, it is answered with 409 `epoch-changed` if the
/// log has another.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("notification-log-epoch");
/// The id of the last notification that a reader has read, 0 for none: sent with a request, it is answered with
/// 409 `ahead-of-log` if the log ends before it.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("notification-log-position");
impl Served {
    /// Whether the place at which the reader says it is, if it says so, is one of this log.
    pub(crate) async fn check_resume_point(
        &self,
        log: &LogIdentity,
        request: &HeaderMap,
    ) -> Result<(), Problem> {
        let malformed = || Problem::new(&ProblemKind::MALFORMED_RESUME_POINT);
        if let Some(epoch) = request.get(EPOCH_HEADER) {
            let epoch = epoch
                .to_str()
                .ok()
                .and_then(|text| Uuid::try_parse(text).ok());
            let expected = epoch.ok_or_else(malformed)?;
            if expected != log.epoch {
                let (log, found) = (log.name.clone(), log.epoch);
                return Err(self.problem(&LogError::EpochChanged {
                    log,
                    expected,
                    found,
                }));
            }
        }
        if let Some(position) = request.get(POSITION_HEADER) {
            let position = position
                .to_str()
                .ok()
                .and_then(|text| canonical_integer(text).ok());
            let position = position.ok_or_else(malformed)?;
            if position > self.last().await? {
                self.check_ahead(log, position).await?;
            }
        }
        Ok(())
    }

    /// Whether the log really ends before the position, and not only as far as is known without reading.
    pub(crate) async fn check_ahead(
        &self,
        log: &LogIdentity,
        position: u64,
    ) -> Result<(), Problem> {
        let holding = SectionId::containing(position, log.page_size);
        let last = match holding.on_grid(log.page_size) {
            Ok(id) => self.read(id).await?.last.unwrap_or(u64::MAX),
            Err(_) => self.last().await?,
        };
        if position <= last {
            return Ok(());
        }
        Err(self.problem(&LogError::AheadOfLog { position, last }))
    }
}
