//! The place that a reader names as its own, and whether that is a place in this log.

use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};
use boxes_notification_log::{
    LogDescription, LogError, NotificationLog, SectionId, canonical_integer,
};
use boxes_recorder::LogIdentity;
use uuid::Uuid;

use crate::log_problem::to_problem;
use crate::{Problem, ProblemKind};

/// The epoch that a reader follows, a UUID: sent with a request, it is answered with 409 `epoch-changed` if the
/// log has another.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("notification-log-epoch");
/// The id of the last notification that a reader has read, 0 for none: sent with a request, it is answered with
/// 409 `ahead-of-log` if the log ends before it.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("notification-log-position");

/// The notification after which a reader continues: `42`, or `42@{epoch}`, by which another history of the log is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResumePoint {
    pub(crate) id: u64,
    pub(crate) epoch: Option<Uuid>,
}

impl FromStr for ResumePoint {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let malformed = || Problem::new(&ProblemKind::MALFORMED_RESUME_POINT);
        let (id, epoch) = match text.split_once('@') {
            Some((id, epoch)) => (id, Some(epoch_of(epoch).ok_or_else(malformed)?)),
            None => (text, None),
        };
        let id = canonical_integer(id).map_err(|_| malformed())?;
        Ok(Self { id, epoch })
    }
}

impl ResumePoint {
    /// Whether it is a place in this log.
    ///
    /// # Errors
    ///
    /// 409 `epoch-changed` or `ahead-of-log` if it is none.
    pub(crate) async fn check(&self, log: &dyn NotificationLog) -> Result<(), Problem> {
        let known = log.describe().await.map_err(|error| failed(&error))?;
        if let Some(epoch) = self.epoch {
            check_epoch(&known.log, epoch)?;
        }
        check_ahead(log, &known, self.id).await
    }
}

/// An epoch as it is in addresses: in lower case, with hyphens, so that there is one address for each.
pub(crate) fn epoch_of(text: &str) -> Option<Uuid> {
    let epoch = Uuid::try_parse(text).ok()?;
    (epoch.hyphenated().to_string() == text).then_some(epoch)
}

/// Whether the log has this epoch.
///
/// # Errors
///
/// 409 `epoch-changed` if it has another.
pub(crate) fn check_epoch(log: &LogIdentity, expected: Uuid) -> Result<(), Problem> {
    if expected == log.epoch {
        return Ok(());
    }
    Err(to_problem(&LogError::EpochChanged {
        log: log.name.clone(),
        expected,
        found: log.epoch,
    }))
}

/// Whether the place that a request names in [`EPOCH_HEADER`] and [`POSITION_HEADER`], if it names one, is a place in this log.
///
/// # Errors
///
/// 409 `epoch-changed` or `ahead-of-log` if it is none, 400 `malformed-resume-point` if it can't be read, and what a log is
/// answered with that can't be asked.
pub async fn check_resume_point(
    log: &dyn NotificationLog,
    request: &HeaderMap,
) -> Result<(), Problem> {
    if !request.contains_key(EPOCH_HEADER) && !request.contains_key(POSITION_HEADER) {
        return Ok(());
    }
    let malformed = || Problem::new(&ProblemKind::MALFORMED_RESUME_POINT);
    let known = log.describe().await.map_err(|error| failed(&error))?;
    for epoch in request.get_all(EPOCH_HEADER) {
        let epoch = epoch.to_str().ok();
        let epoch = epoch.and_then(|text| Uuid::try_parse(text).ok());
        check_epoch(&known.log, epoch.ok_or_else(malformed)?)?;
    }
    for position in request.get_all(POSITION_HEADER) {
        let position = position.to_str().ok();
        let position = position.and_then(|text| canonical_integer(text).ok());
        check_ahead(log, &known, position.ok_or_else(malformed)?).await?;
    }
    Ok(())
}

/// Whether the log really ends before the position, and not only as far as is known without reading.
async fn check_ahead(
    log: &dyn NotificationLog,
    known: &LogDescription,
    position: u64,
) -> Result<(), Problem> {
    if position <= known.last {
        return Ok(());
    }
    let page_size = known.log.page_size;
    let last = match SectionId::containing(position, page_size).on_grid(page_size) {
        Ok(id) => {
            let section = log.section(&id.into()).await;
            section
                .map_err(|error| failed(&error))?
                .last
                .unwrap_or(u64::MAX)
        }
        Err(_) => known.last,
    };
    if position <= last {
        return Ok(());
    }
    Err(to_problem(&LogError::AheadOfLog { position, last }))
}

/// The problem of a log that can't be asked, which is logged here with its cause.
fn failed(error: &LogError) -> Problem {
    let problem = to_problem(error);
    if problem.status().is_server_error() {
        tracing::warn!(%error, "a notification log can't be read");
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_with_the_epoch_or_without() {
        let epoch = Uuid::from_u128(0xa7);
        let with = format!("42@{epoch}");
        let point = |text: &str| text.parse::<ResumePoint>().ok();
        assert_eq!(
            point("42"),
            Some(ResumePoint {
                id: 42,
                epoch: None
            })
        );
        let expected = ResumePoint {
            id: 42,
            epoch: Some(epoch),
        };
        assert_eq!(point(&with), Some(expected));
        for text in ["", "-1", "01", "42@", "42@x", "@", "x@42"] {
            assert_eq!(point(text), None, "{text}");
        }
        assert_eq!(point(&with.to_uppercase()), None);
        assert_eq!(point(&format!("42@{}", epoch.simple())), None);
    }
}
