//! Pages as Atom feeds (RFC 4287), of which the archived ones are archives (RFC 5005, 4).

use std::borrow::Cow;

use axum::http::HeaderValue;
use boxes_notification_log::Section;
use boxes_recorder::{LogIdentity, Notification};

use crate::json_page;
use crate::link::Links;
use crate::markup_text::MarkupText;
use crate::representation::{Format, Representation};

/// The time of a feed in which nothing has happened yet; it has to have one.
const NEVER: &str = "1970-01-01T00:00:00.000000Z";
/// The bytes of an entry besides its content, and of a feed besides its entries: about, for one allocation.
const ENTRY_OVERHEAD: usize = 480;
const FEED_OVERHEAD: usize = 1_536;

/// Feeds for feed readers, newest entry first, as they are used to: whoever goes from the current page on by
/// `prev-archive` has the whole log in one order.
///
/// All pages are documents of one feed, whose id is the URN of the log's epoch, as the id of an entry is that of its
/// event: none names a host. The content of an entry is the item as it stands in a JSON page, as text; state that is
/// not plain JSON is base64 in it. A single notification is an entry by itself.
///
/// The current feed at its own address is known by that address, so that a reader that subscribes to it stays with it; and a feed for
/// readers that can't say what they accept has links to such feeds alone. Each is a body of its own, with a tag of its own.
#[derive(Debug)]
pub(crate) struct Atom {
    tag: &'static str,
    is_current: bool,
    is_negotiated: bool,
}

impl Atom {
    /// A page among other formats of it.
    pub(crate) const PAGE: Self = Self {
        tag: "atom-2",
        is_current: false,
        is_negotiated: true,
    };
    const CURRENT: Self = Self {
        tag: "atom-current-2",
        is_current: true,
        is_negotiated: true,
    };
    /// A page below a path on which there is nothing else.
    pub(crate) const FEED: Self = Self {
        tag: "feed-2",
        is_current: false,
        is_negotiated: false,
    };
    const FEED_CURRENT: Self = Self {
        tag: "feed-current-2",
        is_current: true,
        is_negotiated: false,
    };
}

impl Format for Atom {
    fn media_type(&self) -> &'static str {
        "application/atom+xml"
    }

    fn tag(&self) -> &'static str {
        self.tag
    }

    fn vary(&self, waits: bool) -> HeaderValue {
        HeaderValue::from_static(match (self.is_negotiated, waits) {
            (true, true) => "Accept, Accept-Encoding, Prefer",
            (true, false) => "Accept, Accept-Encoding",
            (false, true) => "Accept-Encoding, Prefer",
            (false, false) => "Accept-Encoding",
        })
    }
}

impl Representation for Atom {
    fn of_current(&self) -> Option<&'static dyn Representation> {
        if self.is_negotiated {
            Some(&Self::CURRENT)
        } else {
            Some(&Self::FEED_CURRENT)
        }
    }

    fn is_of_current(&self) -> bool {
        self.is_current
    }

    fn page(&self, section: &Section, links: &Links) -> Vec<u8> {
        let sizes = section.items.iter().map(size);
        let mut xml = MarkupText::with_capacity(FEED_OVERHEAD + sizes.sum::<usize>());
        xml.raw("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        xml.raw("<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:fh=\"http://purl.org/syndication/history/1.0\">\n");
        feed_identity(&mut xml, &section.log);
        let newest = section
            .items
            .iter()
            .map(|item| item.event.occurred_on)
            .max();
        let updated = newest.map_or_else(|| NEVER.to_owned(), |time| format!("{time:.6}"));
        xml.raw("<updated>").raw(&updated).raw("</updated>\n");
        if section.archived {
            xml.raw("<fh:archive/>\n");
        }
        write_links(&mut xml, links, self.media_type());
        for item in section.items.iter().rev() {
            xml.raw("<entry>\n");
            entry(&mut xml, item);
            // What a person gets who follows it.
            link(
                &mut xml,
                "alternate",
                "text/html",
                &links.notification(item.id),
            );
            xml.raw("</entry>\n");
        }
        xml.raw("</feed>\n");
        xml.into_bytes()
    }

    fn notification(&self, log: &LogIdentity, item: &Notification, links: &Links) -> Vec<u8> {
        let mut xml = MarkupText::with_capacity(FEED_OVERHEAD + size(item));
        xml.raw("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        xml.raw("<entry xmlns=\"http://www.w3.org/2005/Atom\">\n");
        entry(&mut xml, item);
        write_links(&mut xml, links, self.media_type());
        xml.raw("<source>\n");
        feed_identity(&mut xml, log);
        xml.raw("</source>\n</entry>\n");
        xml.into_bytes()
    }
}

fn size(item: &Notification) -> usize {
    // Most of the content is JSON, in which each quote is written as six characters.
    let event = &item.event;
    ENTRY_OVERHEAD + (event.state.len() + event.metadata.len()) * 2 + event.topic.len() * 3
}

fn feed_identity(xml: &mut MarkupText, log: &LogIdentity) {
    xml.raw("<id>")
        .raw(&log.epoch.urn().to_string())
        .raw("</id>\n<title>")
        .text(&log.name);
    xml.raw("</title>\n<author><name>")
        .text(&log.name)
        .raw("</name></author>\n");
}

fn entry(xml: &mut MarkupText, item: &Notification) {
    let event = &item.event;
    xml.raw("<id>").raw(&event.event_id.urn().to_string());
    xml.raw("</id>\n<title>").text(&event.topic);
    xml.raw("</title>\n<updated>")
        .raw(&format!("{:.6}", event.occurred_on));
    xml.raw("</updated>\n<category")
        .attribute("term", &event.topic)
        .raw("/>\n");
    let content = json_page::item(item);
    xml.raw("<content type=\"text\">")
        .text(&representable(&String::from_utf8_lossy(&content)))
        .raw("</content>\n");
}

/// JSON without the characters that XML can't hold, which JSON escapes: they are within strings, where each is the same as its escape.
fn representable(json: &str) -> Cow<'_, str> {
    let is_not = |c: char| matches!(c, '\u{7f}' | '\u{fffe}' | '\u{ffff}');
    if !json.contains(is_not) {
        return Cow::Borrowed(json);
    }
    let escaped = json.chars().map(|c| {
        if is_not(c) {
            format!("\\u{:04x}", u32::from(c))
        } else {
            c.to_string()
        }
    });
    Cow::Owned(escaped.collect())
}

fn write_links(xml: &mut MarkupText, links: &Links, own_type: &str) {
    for way in links.iter() {
        // Here each relation is a link.
        for relation in way.relations.split(' ') {
            if relation == "service-desc" {
                link(xml, relation, "application/json", &way.href);
            } else {
                link(xml, relation, own_type, &way.href);
            }
        }
    }
    for (href, media_type) in links.alternates() {
        link(xml, "alternate", media_type, href);
    }
}

fn link(xml: &mut MarkupText, relation: &str, media_type: &str, href: &str) {
    xml.raw("<link").attribute("rel", relation);
    xml.attribute("type", media_type);
    xml.attribute("href", href).raw("/>\n");
}
