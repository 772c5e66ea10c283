//! A part of a log.

use boxes_recorder::{LogIdentity, Notification};

use crate::SectionId;

/// A part of a log: the notifications of one place on the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Which log it is of.
    pub log: LogIdentity,
    /// Its place.
    pub id: SectionId,
    /// Whether the log has gone beyond it, so that it will never change again.
    pub archived: bool,
    /// Its notifications, ascending by id, without holes.
    pub items: Vec<Notification>,
    /// The section before it: there exactly when `low > 1`.
    pub previous: Option<SectionLink>,
    /// The section after it: there exactly when it is archived.
    pub next: Option<SectionLink>,
    /// The id of the newest notification of the log: there exactly when it is not archived.
    pub last: Option<u64>,
}

/// A way to another section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionLink {
    /// Which section.
    pub id: SectionId,
    /// Where it is, as the log said; `None` for a log in this process, or where the caller counted.
    pub href: Option<String>,
}

impl From<SectionId> for SectionLink {
    fn from(id: SectionId) -> Self {
        Self { id, href: None }
    }
}
