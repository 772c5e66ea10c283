//! The formats in which pages are offered.

use std::fmt::Debug;

use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue};
use boxes_notification_log::{LogDescription, Section};
use boxes_recorder::{LogIdentity, Notification};

use crate::accept::{names, negotiate};
use crate::atom::Atom;
use crate::cloud_events::CloudEventsBatch;
use crate::html::Html;
use crate::iddd::Iddd;
use crate::json_page::JsonPage;
use crate::link::{Addresses, Links};
use crate::ndjson::Ndjson;
use crate::{Problem, ProblemKind, ServiceIndex};

/// How a body is asked for, and labelled.
pub(crate) trait Format: Debug + Send + Sync {
    /// As it is asked for.
    fn media_type(&self) -> &'static str;

    /// As it is labelled, where that says more.
    fn content_type(&self) -> &'static str {
        self.media_type()
    }

    /// A short name of its own, for entity tags and caches.
    fn tag(&self) -> &'static str;

    /// Whether it is given only to those who name it: `*/*` and `application/*` do not cover it then, even where
    /// they cover nothing else.
    fn only_by_name(&self) -> bool {
        false
    }

    /// On which headers of a request its bodies depend; `waits` where a request may wait for another one.
    fn vary(&self, waits: bool) -> HeaderValue {
        HeaderValue::from_static(if waits {
            "Accept, Accept-Encoding, Prefer"
        } else {
            "Accept, Accept-Encoding"
        })
    }

    /// Headers that its bodies need wherever they are sent: the same ones each time.
    fn headers(&self) -> HeaderMap {
        HeaderMap::new()
    }
}

/// One format of pages: how a section becomes a body.
///
/// To add one, implement this and list it in [`PAGES`]; negotiation, entity tags, caching, `alternate` links, and the
/// formats that descriptions and 406 name follow from the list.
pub(crate) trait Representation: Format {
    /// The format in which the current page is given at its own address, where that is another one.
    fn of_current(&self) -> Option<&'static dyn Representation> {
        None
    }

    /// Whether it is what [`of_current`](Self::of_current) gives: the page is then known as the current one, by its address too.
    fn is_of_current(&self) -> bool {
        false
    }

    /// A page. The same section gives the same bytes, always and everywhere.
    fn page(&self, section: &Section, links: &Links) -> Vec<u8>;

    /// A single notification; likewise.
    fn notification(
        &self,
        log: &LogIdentity,
        notification: &Notification,
        links: &Links,
    ) -> Vec<u8>;
}

/// One format of the description of a log.
pub(crate) trait DescriptionFormat: Format {
    /// The description.
    fn description(&self, of: &LogDescription, addresses: &Addresses, links: &Links) -> Vec<u8>;
}

/// One format of what a service serves.
pub(crate) trait IndexFormat: Format {
    /// The index.
    fn index(&self, of: &ServiceIndex, links: &Links) -> Vec<u8>;
}

/// The formats of pages, the one first that is given to those who accept anything.
pub(crate) static PAGES: &[&dyn Representation] = &[
    &JsonPage,
    &Html,
    &Atom::PAGE,
    &CloudEventsBatch,
    &Ndjson,
    &Iddd,
];

/// The formats of descriptions; likewise.
pub(crate) static DESCRIPTIONS: &[&dyn DescriptionFormat] = &[&JsonPage, &Html];

/// The formats of the index of a service; likewise.
pub(crate) static INDEXES: &[&dyn IndexFormat] = &[&JsonPage, &Html];

/// The format of pages that the request wants.
pub(crate) fn of_page(headers: &HeaderMap) -> Result<&'static dyn Representation, Problem> {
    wanted(headers, PAGES)
}

/// The format of descriptions that the request wants.
pub(crate) fn of_description(
    headers: &HeaderMap,
) -> Result<&'static dyn DescriptionFormat, Problem> {
    wanted(headers, DESCRIPTIONS)
}

/// What pages are offered as.
pub(crate) fn page_media_types() -> impl Iterator<Item = &'static str> {
    media_types(PAGES)
}

/// What of these there is beside `format`.
pub(crate) fn alternatives<F: Format + ?Sized>(
    formats: &'static [&'static F],
    format: &F,
) -> impl Iterator<Item = &'static str> {
    let own = format.media_type();
    media_types(formats).filter(move |media_type| *media_type != own)
}

/// Whether the request takes this media type, where there is no other.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &'static str) -> Result<(), Problem> {
    match negotiate(headers, [media_type]) {
        Some(_) => Ok(()),
        None => Err(not_acceptable([media_type].into_iter())),
    }
}

/// Which of these media types the request wants, by its place.
pub(crate) fn place_of(
    headers: &HeaderMap,
    offered: impl Iterator<Item = &'static str> + Clone,
) -> Result<usize, Problem> {
    negotiate(headers, offered.clone()).ok_or_else(|| not_acceptable(offered))
}

fn media_types<F: Format + ?Sized>(
    formats: &'static [&'static F],
) -> impl Iterator<Item = &'static str> {
    formats.iter().map(|format| format.media_type())
}

fn wanted<F: Format + ?Sized>(
    headers: &HeaderMap,
    formats: &'static [&'static F],
) -> Result<&'static F, Problem> {
    let offered = || {
        let offers =
            |format: &&&'static F| !format.only_by_name() || names(headers, format.media_type());
        formats.iter().filter(offers).copied()
    };
    let place = negotiate(headers, offered().map(Format::media_type));
    let found = place.and_then(|place| offered().nth(place));
    found.ok_or_else(|| not_acceptable(media_types(formats)))
}

fn not_acceptable(offered: impl Iterator<Item = &'static str>) -> Problem {
    let offered: Vec<_> = offered.collect();
    Problem::new(&ProblemKind::NOT_ACCEPTABLE)
        .with_detail(format!("offered: {}", offered.join(", ")))
        .with_member("offered", offered)
        .with_header(VARY, HeaderValue::from_static("Accept, Accept-Encoding"))
}
