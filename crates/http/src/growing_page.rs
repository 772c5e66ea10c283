//! The newest page of a log, which is read once for all of those who wait for it.

use std::sync::Arc;

use boxes_notification_log::{LogDescription, Section, SectionId};

use crate::Problem;
use crate::page_cache::Rendered;
use crate::representation::Representation;
use crate::served::Served;

/// What the newest page was when it was read, and what was made of it: at most one page for each format.
#[derive(Debug)]
pub(crate) struct GrowingSection {
    section: Section,
    last: u64,
    /// Of the whole log, when it was asked for.
    n_redacted: u64,
    pages: Vec<(&'static str, Arc<Rendered>)>,
}

/// The newest page in one format.
#[derive(Debug)]
pub(crate) struct Growing {
    pub(crate) last: u64,
    /// Others wrote beyond it before it was read.
    pub(crate) is_archived: bool,
    pub(crate) page: Arc<Rendered>,
}

impl Served {
    /// The page that holds the newest notification, which is the last one that is known or a later one.
    pub(crate) async fn growing_page(
        &self,
        id: SectionId,
        known: &LogDescription,
        format: &'static dyn Representation,
    ) -> Result<Growing, Problem> {
        let mut growing = self.growing.lock().await;
        let kept = growing.take().filter(|kept| {
            kept.section.id == id && kept.last >= known.last && kept.n_redacted == known.n_redacted
        });
        let mut kept = match kept {
            Some(kept) => kept,
            None => {
                let section = self.read(id).await?;
                GrowingSection {
                    last: last_of(&section),
                    n_redacted: known.n_redacted,
                    section,
                    pages: Vec::new(),
                }
            }
        };
        let made = kept.pages.iter().find(|(tag, _)| *tag == format.tag());
        let page = if let Some((_, page)) = made {
            Arc::clone(page)
        } else {
            let page = self.render(&kept.section, format);
            kept.pages.push((format.tag(), Arc::clone(&page)));
            page
        };
        let (last, is_archived) = (kept.last, kept.section.archived);
        if !is_archived {
            *growing = Some(kept);
        }
        Ok(Growing {
            last,
            is_archived,
            page,
        })
    }

    /// The page that is the current one for the log itself, which looks at the store for it where it has to.
    pub(crate) async fn current_page(
        &self,
        format: &'static dyn Representation,
    ) -> Result<Growing, Problem> {
        let read = self.log.current().await;
        let whole = read.and_then(|section| section.check().map(|()| section));
        let section = whole.map_err(|error| self.problem(&error))?;
        Ok(Growing {
            last: last_of(&section),
            is_archived: section.archived,
            page: self.render(&section, format),
        })
    }
}

/// The newest one that the section tells of: its last one, if it is archived.
fn last_of(section: &Section) -> u64 {
    section.last.unwrap_or(section.id.high())
}
