//! The ways from one page to others.

use axum::http::HeaderValue;
use boxes_notification_log::{SectionId, SectionLink};
use url::Url;

/// One way: its name in a body, its relations in a header, and where it leads.
///
/// The header names relations as they are registered with IANA; `prev` and `previous` are both in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) relations: &'static str,
    pub(crate) href: String,
}

/// The same set for the header and for the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Links(Vec<Link>);

impl Links {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.0.iter()
    }

    fn add(&mut self, name: &'static str, relations: &'static str, href: String) {
        self.0.push(Link {
            name,
            relations,
            href,
        });
    }

    /// As the value of a `Link` header (RFC 8288).
    pub(crate) fn header(&self) -> HeaderValue {
        let mut text = String::new();
        for Link {
            relations, href, ..
        } in &self.0
        {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push('<');
            text.push_str(href);
            text.push_str(">; rel=\"");
            text.push_str(relations);
            text.push('"');
        }
        // Addresses are of URL characters only: `Addresses::new` has seen to it.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Where the resources of one log are.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// The current page; everything else is below it.
    current: String,
    service_description: Option<String>,
}

impl Addresses {
    /// Below `path`, absolute if there is a public base.
    pub(crate) fn new(path: &str, base: Option<&Url>, service_description: Option<String>) -> Self {
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        Self {
            current: format!("{base}{path}"),
            service_description: service_description.map(|path| format!("{base}{path}")),
        }
    }

    pub(crate) fn page(&self, id: SectionId) -> String {
        format!("{}/{id}", self.current)
    }

    /// A template (RFC 6570) for the address of a page.
    pub(crate) fn page_template(&self) -> String {
        format!("{}/{{low}},{{high}}", self.current)
    }

    /// The ways from a page; `last` where the log is known to grow from it.
    pub(crate) fn of_page(
        &self,
        id: SectionId,
        first: SectionId,
        previous: Option<&SectionLink>,
        next: Option<&SectionLink>,
        last: Option<(u64, SectionId)>,
    ) -> Links {
        let mut links = Links::default();
        links.add("self", "self", self.page(id));
        links.add("current", "current", self.current.clone());
        links.add("first", "first", self.page(first));
        if let Some(previous) = previous {
            links.add("previous", "prev previous", self.page(previous.id));
            // The page before an archived one is archived; before a growing one it may lie past the end.
            if last.is_none_or(|(last, _)| previous.id.high() < last) {
                links.add("prev-archive", "prev-archive", self.page(previous.id));
            }
        }
        if let Some(next) = next {
            links.add("next", "next", self.page(next.id));
        }
        if let Some((_, newest)) = last {
            links.add("last", "last", self.page(newest));
        }
        self.describe(&mut links);
        links
    }

    /// The ways from a single notification.
    pub(crate) fn of_notification(&self, id: u64, page: SectionId) -> Links {
        let mut links = Links::default();
        links.add("self", "self", format!("{}/{id}", self.current));
        links.add("collection", "collection", self.page(page));
        self.describe(&mut links);
        links
    }

    /// The ways from the description of the log.
    pub(crate) fn of_description(&self, first: SectionId) -> Links {
        let mut links = Links::default();
        links.add("self", "self", format!("{}/log", self.current));
        links.add("current", "current", self.current.clone());
        links.add("first", "first", self.page(first));
        links.add("stream", "monitor", format!("{}/stream", self.current));
        self.describe(&mut links);
        links
    }

    fn describe(&self, links: &mut Links) {
        if let Some(href) = &self.service_description {
            links.add("service-desc", "service-desc", href.clone());
        }
    }
}
