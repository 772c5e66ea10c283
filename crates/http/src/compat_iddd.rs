//! What the `IDDD_Samples` of Vernon's book ask: pages of twenty, whatever the log's own are.

use std::num::NonZeroU32;

use boxes_notification_log::{LogError, SectionId, SectionIdError};
use boxes_recorder::Notification;

use crate::iddd;
use crate::link::Addresses;
use crate::log_range::LogRange;
use crate::section_cache::SectionCache;
use crate::{Problem, log_problem};

/// The size of the book's pages.
const PAGE_SIZE: NonZeroU32 = match NonZeroU32::new(20) {
    Some(size) => size,
    None => NonZeroU32::MIN,
};

/// What the last segment of a path names; `None` for the current page.
pub(crate) fn target(segment: Option<&str>) -> Result<Option<SectionId>, Problem> {
    let malformed = |error: SectionIdError| log_problem::to_problem(&error.into());
    let Some(segment) = segment else {
        return Ok(None);
    };
    let id: SectionId = segment.parse().map_err(malformed)?;
    id.on_grid(PAGE_SIZE).map(Some).map_err(malformed)
}

/// A page of the book's grid.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) id: SectionId,
    /// Whether the log has gone beyond it.
    pub(crate) archived: bool,
    pub(crate) items: Vec<Notification>,
}

impl Page {
    /// Reads the page `wanted`; for `None` the one that holds the newest notification.
    ///
    /// # Errors
    ///
    /// What reading sections fails with.
    pub(crate) async fn read(
        wanted: Option<SectionId>,
        sections: &SectionCache,
        page_size: NonZeroU32,
    ) -> Result<Self, LogError> {
        let (id, end) = match wanted {
            Some(id) => (id, u64::MAX),
            None => {
                let (_, current) = sections.current().await?;
                let last = current.last.unwrap_or(current.id.high());
                // As of this head; what comes while it is read is left to the next request.
                (holding(last), last)
            }
        };
        let range = LogRange {
            from: id.low(),
            // One more tells whether the log has gone on.
            limit: 21,
            topics: Vec::new(),
        };
        let mut items = range.read(sections, page_size).await?;
        items.retain(|item| item.id <= end);
        let archived = items.last().is_some_and(|item| item.id > id.high());
        items.retain(|item| item.id <= id.high());
        Ok(Self {
            id,
            archived,
            items,
        })
    }

    /// The page as a body, with its links.
    pub(crate) fn body(&self, addresses: &Addresses) -> Vec<u8> {
        let address = |id: SectionId| addresses.plain_page(id);
        let previous = self.id.previous().map(address);
        let next = self.archived.then(|| address(self.id.next()));
        iddd::page(&iddd::Page {
            id: self.id,
            archived: self.archived,
            items: &self.items,
            own: &address(self.id),
            previous: previous.as_deref(),
            next: next.as_deref(),
        })
    }
}

/// The page of the book's grid that holds a notification.
pub(crate) fn holding(id: u64) -> SectionId {
    SectionId::containing(id, PAGE_SIZE)
}
