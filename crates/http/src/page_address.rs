//! The page that an address names.

use axum::http::Uri;
use axum::response::Response;
use boxes_notification_log::{SectionId, SectionIdError};
use boxes_recorder::LogIdentity;
use url::Url;
use uuid::Uuid;

use crate::encoded_page_id::moved;
use crate::resume_point::{check_epoch, epoch_of};
use crate::{Problem, ProblemKind, log_problem};

/// What an address `…/{low},{high}` or `…/{epoch}/{low},{high}` names, with something below it or not.
#[derive(Debug)]
pub enum AddressedPage {
    /// This page, which is on the log's grid. With the epoch in its address what it gives is the same for ever.
    Page {
        /// Which page.
        id: SectionId,
        /// Whether the address carries the epoch of the log.
        has_epoch: bool,
    },
    /// A page whose comma is encoded: the answer sends the request on to its one address.
    Moved(Response),
}

impl AddressedPage {
    /// The page that `uri` names before `suffix`, such as `/seal`; the segment before it is an epoch if `has_epoch`.
    ///
    /// # Errors
    ///
    /// - 400 `malformed-page-id`, `misaligned-page` or `wrong-page-size` if it is no page of this log.
    /// - 409 `epoch-changed` if the epoch is that of another history.
    pub fn of(
        log: &LogIdentity,
        base: Option<&Url>,
        uri: &Uri,
        suffix: &str,
        has_epoch: bool,
    ) -> Result<Self, Problem> {
        let path = uri.path();
        let page = path.strip_suffix(suffix).unwrap_or(path);
        let mut segments = page.rsplit('/');
        let id = segments.next().unwrap_or_default();
        if has_epoch {
            check_epoch_segment(log, segments.next().unwrap_or_default())?;
        }
        if let Some(moved) = moved(base, path, suffix) {
            return Ok(Self::Moved(moved));
        }
        let id = id
            .parse()
            .and_then(|id: SectionId| id.on_grid(log.page_size));
        let id = id.map_err(|error: SectionIdError| log_problem::to_problem(&error.into()))?;
        Ok(Self::Page { id, has_epoch })
    }
}

/// The epoch that a segment of an address names, if it is the log's.
///
/// # Errors
///
/// 400 `malformed-page-id` if it is no epoch in its one form, lower case with hyphens; 409 `epoch-changed` if it is another's.
pub(crate) fn check_epoch_segment(log: &LogIdentity, segment: &str) -> Result<Uuid, Problem> {
    let Some(epoch) = epoch_of(segment) else {
        return Err(Problem::new(&ProblemKind::MALFORMED_PAGE_ID).with_detail(
            "before the id of a page is the epoch of the log: a UUID in lower case, with hyphens",
        ));
    };
    check_epoch(log, epoch)?;
    Ok(epoch)
}
