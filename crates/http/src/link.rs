//! The ways from one page to others.

use std::borrow::Cow;

use axum::http::HeaderValue;
use boxes_notification_log::{Section, SectionId};
use boxes_recorder::LogIdentity;
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

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
    /// What single notifications are below.
    items: String,
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

    /// Where a notification of the page is by itself.
    pub(crate) fn notification(&self, id: u64) -> String {
        format!("{}/{id}", self.items)
    }

    /// The same, but `self` is where the way with this name leads.
    pub(crate) fn with_self(mut self, name: &str) -> Self {
        if let Some(href) = self.href(name).map(str::to_owned) {
            for link in self.ways.iter_mut().filter(|link| link.name == "self") {
                link.href.clone_from(&href);
            }
        }
        self
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
            // A link for each relation: many clients take several in one for a single name.
            for relation in link.relations.split(' ') {
                add(&link.href, relation, None);
            }
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
    /// What single notifications are below, with the epoch between.
    notifications: String,
    service_description: Option<String>,
    topics: Option<String>,
    has_seals: bool,
    /// What tags of bodies end with that have these addresses: other bases make other bodies.
    tag: String,
}

/// How many bytes of the digest of a base are part of a tag.
const BASE_TAG_BYTES: usize = 4;

impl Addresses {
    /// Below `path`, absolute if there is a public base.
    pub(crate) fn new(path: &str, base: Option<&Url>, service_description: Option<String>) -> Self {
        let tag = base.map_or_else(String::new, |base| {
            let digest = Sha256::digest(base.as_str().trim_end_matches('/'));
            let digest = digest.iter().take(BASE_TAG_BYTES);
            digest.fold("-".to_owned(), |tag, byte| format!("{tag}{byte:02x}"))
        });
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        let current = format!("{base}{path}");
        Self {
            notifications: current.clone(),
            current,
            service_description: service_description.map(|path| format!("{base}{path}")),
            topics: None,
            has_seals: false,
            tag,
        }
    }

    /// The same pages below another path, with the same single notifications.
    pub(crate) fn of_pages_below(&self, path: &str, base: Option<&Url>) -> Self {
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        Self {
            current: format!("{base}{path}"),
            ..self.clone()
        }
    }

    /// The same with a listing of the log's topics at this path.
    pub(crate) fn with_topics(mut self, path: Option<String>, base: Option<&Url>) -> Self {
        let base = base.map_or("", Url::as_str).trim_end_matches('/');
        self.topics = path.map(|path| format!("{base}{path}"));
        self
    }

    /// The same with seals alongside the pages, or without.
    pub(crate) const fn with_seals(mut self, has_seals: bool) -> Self {
        self.has_seals = has_seals;
        self
    }

    /// The tag of a format whose bodies have these addresses.
    pub(crate) fn tag(&self, format: &'static str) -> Cow<'static, str> {
        if self.tag.is_empty() {
            Cow::Borrowed(format)
        } else {
            Cow::Owned(format!("{format}{}", self.tag))
        }
    }

    /// A template for the address of a page's seal, if there are seals.
    pub(crate) fn seal_template(&self, epoch: Uuid) -> Option<String> {
        self.has_seals
            .then(|| format!("{}/seal", self.page_template(epoch)))
    }

    /// Where a page is for ever: another epoch is another history.
    pub(crate) fn page(&self, epoch: Uuid, id: SectionId) -> String {
        format!("{}/{epoch}/{id}", self.current)
    }

    /// Where a page is for readers of older systems, whatever the epoch.
    pub(crate) fn plain_page(&self, id: SectionId) -> String {
        format!("{}/{id}", self.current)
    }

    /// A template (RFC 6570) for the address of a page.
    pub(crate) fn page_template(&self, epoch: Uuid) -> String {
        format!("{}/{epoch}/{{low}},{{high}}", self.current)
    }

    /// The ways from a page; `last` where the log is known to grow from it.
    pub(crate) fn of_page(&self, section: &Section) -> Links {
        let (epoch, id, page_size) = (section.log.epoch, section.id, section.log.page_size);
        let (previous, next, last) = (&section.previous, &section.next, section.last);
        let mut links = self.links(epoch);
        links.add("self", "self", self.page(epoch, id));
        links.add("current", "current", self.current.clone());
        let first = SectionId::first(page_size);
        links.add("first", "first", self.page(epoch, first));
        if let Some(previous) = previous {
            let href = self.page(epoch, previous.id);
            links.add("previous", "prev previous", href.clone());
            // The page before an archived one is archived; before a growing one it may lie past the end.
            if last.is_none_or(|last| previous.id.high() < last) {
                links.add("prev-archive", "prev-archive", href);
            }
        }
        if let Some(next) = next {
            links.add("next", "next", self.page(epoch, next.id));
        }
        if let Some(last) = last {
            let newest = SectionId::containing(last, page_size);
            links.add("last", "last", self.page(epoch, newest));
        }
        self.describe(&mut links);
        links
    }

    /// The ways from a single notification.
    pub(crate) fn of_notification(&self, epoch: Uuid, id: u64, page: SectionId) -> Links {
        let mut links = self.links(epoch);
        let own = links.notification(id);
        links.add("self", "self", own);
        links.add("collection", "collection", self.page(epoch, page));
        self.describe(&mut links);
        links
    }

    /// The ways from the description of the log.
    pub(crate) fn of_description(&self, log: &LogIdentity) -> Links {
        let mut links = self.links(log.epoch);
        links.add("self", "self", format!("{}/log", self.current));
        links.add("current", "current", self.current.clone());
        let first = SectionId::first(log.page_size);
        links.add("first", "first", self.page(log.epoch, first));
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

    fn links(&self, epoch: Uuid) -> Links {
        Links {
            items: format!("{}/{epoch}", self.notifications),
            ..Links::default()
        }
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

    use boxes_notification_log::SectionLink;
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
            let log = LogIdentity { name: "a".to_owned(), epoch: Uuid::from_u128(7), page_size: size };
            let section = Section {
                log,
                id,
                archived: is_archived,
                items: Vec::new(),
                previous: id.previous().map(SectionLink::from),
                next: is_archived.then(|| id.next().into()),
                last: (!is_archived).then_some(id.low()),
            };
            let links = addresses
                .of_page(&section)
                .with_alternates(["text/html", "application/atom+xml"].into_iter());
            let read = HeaderLink::parse(links.header().as_bytes()).unwrap();
            let mut read = read.iter();
            for link in links.iter() {
                for relation in link.relations.split(' ') {
                    let found = read.next().unwrap();
                    prop_assert_eq!(found.target(), &link.href);
                    prop_assert_eq!(found.relations().collect::<Vec<_>>(), [relation]);
                }
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
