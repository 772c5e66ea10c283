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
pub(crate) struct Links {
    ways: Vec<Link>,
    /// The media types in which the same is offered besides, at the same address.
    alternates: Vec<&'static str>,
}

impl Links {
    /// The one way of what leads nowhere else.
    pub(crate) fn to_itself(href: String) -> Self {
        let mut links = Self::default();
        links.add("self", "self", href);
        links
    }

    /// All but the alternates.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.ways.iter()
    }

    /// Where the way with this name leads.
    pub(crate) fn href(&self, name: &str) -> Option<&str> {
        let mut ways = self.ways.iter();
        let found = ways.find(|link| link.name == name)?;
        Some(&found.href)
    }

    /// The address and the media type of each other format.
    pub(crate) fn alternates(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let own = self.href("self").unwrap_or_default();
        self.alternates
            .iter()
            .map(move |media_type| (own, *media_type))
    }

    /// The same, offered in these media types besides.
    pub(crate) fn with_alternates(
        mut self,
        media_types: impl Iterator<Item = &'static str>,
    ) -> Self {
        self.alternates = media_types.collect();
        self
    }

    fn add(&mut self, name: &'static str, relations: &'static str, href: String) {
        self.ways.push(Link {
            name,
            relations,
            href,
        });
    }

    /// As the value of a `Link` header (RFC 8288).
    pub(crate) fn header(&self) -> HeaderValue {
        let mut text = String::new();
        let mut add = |href: &str, relations: &str, media_type: Option<&str>| {
            if !text.is_empty() {
                text.push_str(", ");
            }
            for part in ["<", href, ">; rel=\"", relations, "\""] {
                text.push_str(part);
            }
            if let Some(media_type) = media_type {
                for part in ["; type=\"", media_type, "\""] {
                    text.push_str(part);
                }
            }
        };
        for link in &self.ways {
            add(&link.href, link.relations, None);
        }
        for (href, media_type) in self.alternates() {
            add(href, "alternate", Some(media_type));
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
    topics: Option<String>,
    has_seals: bool,
}

impl Addresses {
    /// Below `path`, absolute if there is a public base.
    pub(crate) fn new(path: &str, base: Option<&Url>, service_description: Option<String>) -> Self {
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        Self {
            current: format!("{base}{path}"),
            service_description: service_description.map(|path| format!("{base}{path}")),
            topics: None,
            has_seals: false,
        }
    }

    /// The same with a listing of the log's topics at this path.
    pub(crate) fn with_topics(mut self, path: Option<String>, base: Option<&Url>) -> Self {
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        self.topics = path.map(|path| format!("{base}{path}"));
        self
    }

    /// The same with seals beside the pages, or without.
    pub(crate) const fn with_seals(mut self, has_seals: bool) -> Self {
        self.has_seals = has_seals;
        self
    }

    /// A template for the address of a page's seal, if there are seals.
    pub(crate) fn seal_template(&self) -> Option<String> {
        self.has_seals
            .then(|| format!("{}/seal", self.page_template()))
    }

    pub(crate) fn page(&self, id: SectionId) -> String {
        self.below(&id.to_string())
    }

    /// What is named by this segment, below the current page.
    pub(crate) fn below(&self, segment: &str) -> String {
        format!("{}/{segment}", self.current)
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
        // Not from pages: those that are archived stay as they are.
        if let Some(href) = &self.topics {
            links.add("topics", "describedby", href.clone());
        }
        // No relation is registered for what signs something, and this one promises no more than it keeps.
        if self.has_seals {
            links.add("keys", "related", format!("{}/keys", self.current));
        }
        self.describe(&mut links);
        links
    }

    fn describe(&self, links: &mut Links) {
        if let Some(href) = &self.service_description {
            links.add("service-desc", "service-desc", href.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::HeaderLink;

    proptest! {
        #[test]
        fn whatever_ways_a_page_names_a_reader_finds_in_its_header(
            path in "(/[a-zA-Z0-9._~-]{1,12}){1,4}",
            base in proptest::option::of("https?://[a-z]{1,9}[.]example(:[1-9][0-9]{0,3})?(/[a-z]{1,5},[a-z;=]{1,5})?/?"),
            page in 0..u64::MAX / 20,
            is_archived: bool,
        ) {
            let base = base.map(|base| Url::parse(&base).unwrap());
            let addresses = Addresses::new(&path, base.as_ref(), Some("/a/openapi.json".to_owned()));
            let size = NonZeroU32::new(20).unwrap();
            let id = SectionId::containing(page * 20 + 1, size);
            let (previous, next) = (id.previous().map(SectionLink::from), id.next().into());
            let (next, last) = if is_archived {
                (Some(next), None)
            } else {
                (None, Some((id.low(), id)))
            };
            let links = addresses
                .of_page(id, SectionId::first(size), previous.as_ref(), next.as_ref(), last)
                .with_alternates(["text/html", "application/atom+xml"].into_iter());
            let read = HeaderLink::parse(links.header().as_bytes()).unwrap();
            let mut read = read.iter();
            for link in links.iter() {
                let found = read.next().unwrap();
                prop_assert_eq!(found.target(), &link.href);
                let relations: Vec<_> = found.relations().collect();
                prop_assert_eq!(relations.join(" "), link.relations);
            }
            for (href, media_type) in links.alternates() {
                let found = read.next().unwrap();
                prop_assert!(found.has_relation("alternate"));
                prop_assert_eq!((found.target(), found.parameter("type")), (href, Some(media_type)));
            }
            prop_assert_eq!(read.next(), None);
        }
    }
}
