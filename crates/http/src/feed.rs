//! The profile of HTTP Feeds: batches of `CloudEvents`, each asked for by the last one that was read.
//!
//! Source: <https://www.http-feeds.org>. Its readers know an event by its `id` alone, and ask for what comes after it; so
//! here the `id` of an event is its place in the log, with the log's epoch.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::Response;
use boxes_notification_log::{LogError, canonical_integer};
use boxes_recorder::Notification;
use tokio::time::Instant;

use crate::accept_encoding::AcceptedCodings;
use crate::cloud_events::{self, CloudEventsBatch, EventId};
use crate::entity_tag::EntityTag;
use crate::log_range::LogRange;
use crate::rendered::{Caching, Rendered};
use crate::representation::Format as _;
use crate::resume_point::ResumePoint;
use crate::section_cache::SectionCache;
use crate::served::{NOT_KEPT, Served};
use crate::{MAX_WAIT, Problem, ProblemKind, query, representation};

/// What batches are known by.
const FORMAT: &str = "feed-batch-2";

/// Before the first event.
const BEGINNING: ResumePoint = ResumePoint { id: 0, epoch: None };

/// What a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedRequest {
    /// The last event that it has; 0 for none.
    pub(crate) after: ResumePoint,
    /// How long it would wait where there is nothing after it.
    pub(crate) wait: Duration,
}

impl FeedRequest {
    /// Its parameters.
    pub(crate) const PARAMETERS: &[&str] = &["lastEventId", "timeout"];

    /// `lastEventId` from 0, with the epoch or without, absent or empty for the beginning; `timeout` in milliseconds, at most
    /// [`MAX_WAIT`] of them count.
    ///
    /// # Errors
    ///
    /// 400 `malformed-resume-point` or `malformed-request` for what is no integer, `unknown-parameter` for other parameters.
    pub(crate) fn of(query: Option<&str>) -> Result<Self, Problem> {
        let mut request = Self {
            after: BEGINNING,
            wait: Duration::ZERO,
        };
        for (name, value) in query::parameters(query, Self::PARAMETERS)? {
            if name == "timeout" {
                let milliseconds = canonical_integer(&value).map_err(|_| {
                    Problem::new(&ProblemKind::MALFORMED_REQUEST)
                        .with_detail("timeout is a number of milliseconds, such as 5000")
                })?;
                request.wait = Duration::from_millis(milliseconds).min(MAX_WAIT);
            } else if value.is_empty() {
                request.after = BEGINNING;
            } else {
                request.after = value.parse().map_err(|problem: Problem| {
                    problem.with_detail("lastEventId is the id of an event of this feed")
                })?;
            }
        }
        Ok(request)
    }

    /// What there is after it: at most as much as a page of the log holds.
    ///
    /// # Errors
    ///
    /// What reading sections fails with.
    pub(crate) async fn read(
        &self,
        sections: &SectionCache,
        page_size: NonZeroU32,
    ) -> Result<Vec<Notification>, LogError> {
        let range = LogRange {
            from: self.after.id.saturating_add(1),
            limit: limit(page_size),
            topics: Vec::new(),
        };
        range.read(sections, page_size).await
    }

    /// Whether the same question will always have the same answer.
    pub(crate) fn is_whole(items: &[Notification], page_size: NonZeroU32) -> bool {
        items.len() == limit(page_size)
    }
}

fn limit(page_size: NonZeroU32) -> usize {
    usize::try_from(page_size.get()).unwrap_or(usize::MAX)
}

impl Served {
    /// What comes after the last event that the request names, waiting for it as long as it says.
    pub(crate) async fn feed(&self, request: &Parts) -> Result<Response, Problem> {
        let log = self.identity().await?;
        self.check_resume_point(&request.headers).await?;
        representation::accepts(&request.headers, cloud_events::MEDIA_TYPE)?;
        let codings = AcceptedCodings::of(&request.headers)?;
        let asked = FeedRequest::of(request.uri.query())?;
        let after = asked.after.id;
        asked.after.check(self.sections.log()).await?;
        let until = Instant::now() + asked.wait;
        let mut room = None;
        let items = loop {
            let items = asked.read(&self.sections, log.page_size).await;
            let items = items.map_err(|error| self.problem(&error))?;
            if !items.is_empty() || asked.wait.is_zero() {
                break items;
            }
            let log = self.sections.log();
            let waiting = self.waiters.wait_until(log, after, until, &mut room);
            if !waiting.await? {
                break items;
            }
        };
        // As many as there may be are the same ones each time.
        let is_whole = FeedRequest::is_whole(&items, log.page_size);
        let (cache_control, tag) = if is_whole {
            let tag = EntityTag::range(log.epoch, &items, FORMAT);
            (self.archived_at(asked.after.epoch.is_some()), tag)
        } else {
            (NOT_KEPT, None)
        };
        let body = cloud_events::batch(log, &items, EventId::OfNotification);
        let link = HeaderValue::from_static("");
        let made = Rendered::in_format(body, &CloudEventsBatch, link, tag);
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        let caching = Caching {
            cache_control,
            vary: CloudEventsBatch.vary(false),
        };
        Ok(made.answer(&request.headers, &codings, &caching))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<(u64, u64)> {
        let request = FeedRequest::of(Some(query)).ok()?;
        Some((
            request.after.id,
            request.wait.as_millis().try_into().unwrap(),
        ))
    }

    #[test]
    fn a_request_says_what_it_has_and_how_long_it_waits() {
        assert_eq!(read(""), Some((0, 0)));
        assert_eq!(read("lastEventId=&timeout=0"), Some((0, 0)));
        assert_eq!(read("lastEventId=42&timeout=5000"), Some((42, 5_000)));
        assert_eq!(read("timeout=99999999"), Some((0, 30_000)));
        for query in [
            "lastEventId=-1",
            "lastEventId=0190a5f2-1111-7000-8000-000000000001",
            "compacted=true",
            "timeout=",
            "timeout=soon",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
