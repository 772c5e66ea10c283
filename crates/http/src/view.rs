//! The ways to look at the pages of a log.

use axum::http::{HeaderMap, HeaderValue};
use boxes_notification_log::Section;

use crate::Problem;
use crate::atom::Atom;
use crate::entity_tag::EntityTag;
use crate::link::{Addresses, Links};
use crate::rendered::{Caching, Rendered};
use crate::representation::{self, PAGES, Representation, alternatives};

/// Pages below one path, with links that stay there.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) addresses: Addresses,
    /// The format of all pages; `None` for the one that the request accepts.
    pub(crate) only: Option<&'static Atom>,
}

/// The one format of the view for readers that can't say what they accept.
pub(crate) static FEED: Atom = Atom::FEED;

impl View {
    /// The format of the page for a request.
    ///
    /// # Errors
    ///
    /// 406 if the request accepts none.
    pub(crate) fn format(
        &self,
        request: &HeaderMap,
        is_current: bool,
    ) -> Result<&'static dyn Representation, Problem> {
        let format: &'static dyn Representation = match self.only {
            Some(format) => format,
            None => representation::of_page(request)?,
        };
        Ok(format.of_current().filter(|_| is_current).unwrap_or(format))
    }

    /// A section as a page.
    pub(crate) fn render(
        &self,
        section: &Section,
        format: &'static dyn Representation,
    ) -> Rendered {
        let mut links = self.addresses.of_page(section);
        if format.is_of_current() {
            links = links.with_self("current");
        }
        let links = self.with_alternates(links, format);
        let body = format.page(section, &links);
        let tag = self.tag_of(section, format);
        Rendered::in_format(body, format, links.header(), tag)
    }

    /// The links with those to other formats, where there are any.
    pub(crate) fn with_alternates(
        &self,
        links: Links,
        format: &'static dyn Representation,
    ) -> Links {
        match self.only {
            Some(_) => links,
            None => links.with_alternates(alternatives(PAGES, format)),
        }
    }

    /// What the state of a section is known by; `None` past the end of the log.
    fn tag_of(&self, section: &Section, format: &'static dyn Representation) -> Option<EntityTag> {
        let (epoch, id, n_redacted) = (section.log.epoch, section.id, section.n_redacted());
        let format = self.addresses.tag(format.tag());
        match section.last {
            None => Some(EntityTag::archived(epoch, id, n_redacted, &format)),
            Some(last) if is_newest(section) => {
                Some(EntityTag::growing(epoch, id, last, n_redacted, &format))
            }
            Some(_) => None,
        }
    }
}

/// Whether the section holds the newest notification, or is the first one of an empty log.
pub(crate) fn is_newest(section: &Section) -> bool {
    section
        .last
        .is_some_and(|last| section.id.low() <= last.max(1))
}

/// What an answer in this format tells caches.
pub(crate) fn caching(
    format: &'static dyn Representation,
    cache_control: HeaderValue,
    waits: bool,
) -> Caching {
    Caching {
        cache_control,
        vary: format.vary(waits),
    }
}
