//! The formats in which pages are offered.

use std::fmt::Debug;

use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue};
use boxes_notification_log::Section;
use boxes_recorder::{LogIdentity, Notification};

use crate::accept::{names, negotiate};
use crate::cloud_events::CloudEventsBatch;
use crate::json_page::JsonPage;
use crate::link::Links;
use crate::{Problem, ProblemKind, event_stream};

/// One format of pages: how a section becomes a body.
///
/// To add one, implement this and list it in [`PAGES`]; negotiation, entity tags, caching, and the formats that
/// descriptions and 406 name follow from the list.
pub(crate) trait Representation: Debug + Send + Sync {
    /// As it is asked for, and as it is labelled.
    fn media_type(&self) -> &'static str;

    /// A short name of its own, for entity tags and caches.
    fn tag(&self) -> &'static str;

    /// Whether it is given only to those who name it: `*/*` and `application/*` do not cover it then, even where
    /// they cover nothing else.
    fn only_by_name(&self) -> bool {
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

/// The formats of pages, the one first that is given to those who accept anything.
pub(crate) static PAGES: &[&dyn Representation] = &[&JsonPage, &CloudEventsBatch];

/// The format of pages that the request wants.
pub(crate) fn of_page(headers: &HeaderMap) -> Result<&'static dyn Representation, Problem> {
    let offered = || {
        let offers = |page: &&&'static dyn Representation| {
            !page.only_by_name() || names(headers, page.media_type())
        };
        PAGES.iter().filter(offers).copied()
    };
    let place = negotiate(headers, offered().map(Representation::media_type));
    let found = place.and_then(|place| offered().nth(place));
    found.ok_or_else(|| not_acceptable(media_types()))
}

/// What pages are offered as.
pub(crate) fn media_types() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.media_type())
}

/// How the description of a log is offered.
pub(crate) const DESCRIPTION_MEDIA_TYPE: &str = "application/json";

/// Whether the request takes the description of a log as it is offered.
pub(crate) fn accepts_description(headers: &HeaderMap) -> Result<(), Problem> {
    match negotiate(headers, [DESCRIPTION_MEDIA_TYPE]) {
        Some(_) => Ok(()),
        None => Err(not_acceptable([DESCRIPTION_MEDIA_TYPE].into_iter())),
    }
}

/// Whether the request takes a stream of events.
pub(crate) fn accepts_stream(headers: &HeaderMap) -> Result<(), Problem> {
    match negotiate(headers, [event_stream::MEDIA_TYPE]) {
        Some(_) => Ok(()),
        None => Err(not_acceptable([event_stream::MEDIA_TYPE].into_iter())),
    }
}

fn not_acceptable(offered: impl Iterator<Item = &'static str>) -> Problem {
    let offered: Vec<_> = offered.collect();
    Problem::new(&ProblemKind::NOT_ACCEPTABLE)
        .with_detail(format!("offered: {}", offered.join(", ")))
        .with_member("offered", offered)
        .with_header(VARY, HeaderValue::from_static("Accept, Accept-Encoding"))
}
