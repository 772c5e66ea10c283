//! Documents for people with a browser.

use std::sync::LazyLock;

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxes_notification_log::{LogDescription, Section};
use boxes_recorder::{LogIdentity, Notification};
use sha2::{Digest as _, Sha256};

use crate::link::{Addresses, Links};
use crate::markup_text::MarkupText;
use crate::representation::{DescriptionFormat, Format, IndexFormat, Representation};
use crate::{ServiceIndex, html_description, html_index, html_page};

/// What all documents look like, in light and in dark.
const STYLE: &str = include_str!("html.css");

/// Nothing may be loaded, sent, run, or put in a frame; of styles there is the one in the document itself, known by
/// its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// HTML, readable at a glance, without scripts: the ways between pages as links, payloads folded and escaped.
#[derive(Debug)]
pub(crate) struct Html;

impl Format for Html {
    fn media_type(&self) -> &'static str {
        "text/html"
    }

    fn content_type(&self) -> &'static str {
        "text/html; charset=utf-8"
    }

    /// With the number of the layout: bodies that look otherwise need another tag, also where they show the same.
    fn tag(&self) -> &'static str {
        "html-2"
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers
    }
}

impl Representation for Html {
    fn page(&self, section: &Section, links: &Links) -> Vec<u8> {
        html_page::page(section, links)
    }

    fn notification(&self, log: &LogIdentity, item: &Notification, links: &Links) -> Vec<u8> {
        html_page::notification(log, item, links)
    }
}

impl DescriptionFormat for Html {
    fn description(&self, of: &LogDescription, addresses: &Addresses, links: &Links) -> Vec<u8> {
        html_description::description(of, addresses, links)
    }
}

impl IndexFormat for Html {
    fn index(&self, of: &ServiceIndex, links: &Links) -> Vec<u8> {
        html_index::index(of, links)
    }
}

/// A document that has begun, with its body still to be written: what it is called, and where it leads.
pub(crate) fn begin(title: &str, links: &Links, capacity: usize) -> MarkupText {
    let mut html = MarkupText::with_capacity(STYLE.len() + capacity);
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    html.text(title).raw("</title>\n");
    for link in links.iter() {
        html.raw("<link").attribute("rel", link.relations);
        html.attribute("href", &link.href).raw(">\n");
    }
    for (href, media_type) in links.alternates() {
        html.raw("<link rel=\"alternate\"")
            .attribute("type", media_type);
        html.attribute("href", href).raw(">\n");
    }
    html.raw("<style>").raw(STYLE);
    html.raw("</style>\n</head>\n<body>\n");
    html
}

/// The end of a document: in which formats the same is offered.
pub(crate) fn end(mut html: MarkupText, links: &Links) -> Vec<u8> {
    html.raw("<footer>\n<p>The same for programs, by <code>Accept</code>: ");
    for (place, (_, media_type)) in links.alternates().enumerate() {
        html.raw(if place == 0 { "" } else { ", " });
        html.raw("<code>").text(media_type).raw("</code>");
    }
    html.raw("</p>\n</footer>\n</body>\n</html>\n");
    html.into_bytes()
}

/// A link in the text.
pub(crate) fn anchor(html: &mut MarkupText, href: &str, relation: Option<&str>, text: &str) {
    html.raw("<a");
    if let Some(relation) = relation {
        html.attribute("rel", relation);
    }
    html.attribute("href", href).raw(">").text(text).raw("</a>");
}
