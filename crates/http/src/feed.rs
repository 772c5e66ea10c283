//! The profile of HTTP Feeds: batches of `CloudEvents`, each asked for by the last one that was read.
//!
//! Source: <https://www.http-feeds.org>. Its readers know an event by its `id` alone, and ask for what comes after it; so
//! here the `id` of an event is its place in the log.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::Response;
use boxes_notification_log::{LogError, NotificationLog, canonical_integer};
use boxes_recorder::Notification;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::accept_encoding::AcceptedCodings;
use crate::cloud_events::{self, CloudEventsBatch, EventId};
use crate::log_range::LogRange;
use crate::page_cache::Rendered;
use crate::served::{PAST_THE_END, Served};
use crate::{MAX_WAIT, Problem, ProblemKind, representation};

/// What a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedRequest {
    /// The id of the last notification that it has, 0 for none.
    pub(crate) after: u64,
    /// How long it would wait where there is nothing after it.
    pub(crate) wait: Duration,
}

impl FeedRequest {
    /// `lastEventId` from 0, absent or empty for the beginning; `timeout` in milliseconds, at most [`MAX_WAIT`] of them
    /// count. Other members are ignored: the profile leaves them to each feed.
    ///
    /// # Errors
    ///
    /// 400 `malformed-resume-point` or `malformed-request` for what is no integer.
    pub(crate) fn of(query: &str) -> Result<Self, Problem> {
        let mut request = Self {
            after: 0,
            wait: Duration::ZERO,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "lastEventId" if value.is_empty() => request.after = 0,
                "lastEventId" => {
                    request.after = canonical_integer(&value).map_err(|_| {
                        Problem::new(&ProblemKind::MALFORMED_RESUME_POINT).with_detail(
                            "lastEventId is the id of an event of this feed: an integer from 0",
                        )
                    })?;
                }
                "timeout" => {
                    let milliseconds = canonical_integer(&value).map_err(|_| {
                        Problem::new(&ProblemKind::MALFORMED_REQUEST)
                            .with_detail("timeout is a number of milliseconds, such as 5000")
                    })?;
                    request.wait = Duration::from_millis(milliseconds).min(MAX_WAIT);
                }
                _ => {}
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
        log: &dyn NotificationLog,
        page_size: NonZeroU32,
    ) -> Result<Vec<Notification>, LogError> {
        let range = LogRange {
            from: self.after.saturating_add(1),
            limit: limit(page_size),
            topics: Vec::new(),
        };
        range.read(log, page_size).await
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
        representation::accepts(&request.headers, cloud_events::MEDIA_TYPE)?;
        let codings = AcceptedCodings::of(&request.headers)?;
        let asked = FeedRequest::of(request.uri.query().unwrap_or_default())?;
        if asked.after > self.last().await? {
            self.check_ahead(log, asked.after).await?;
        }
        let until = Instant::now() + asked.wait;
        let mut room = None;
        let items = loop {
            let items = asked.read(&*self.log, log.page_size).await;
            let items = items.map_err(|error| self.problem(&error))?;
            if !items.is_empty() || asked.wait.is_zero() {
                break items;
            }
            let waiting = self
                .waiters
                .wait_until(&*self.log, asked.after, until, &mut room);
            if !waiting.await? {
                break items;
            }
        };
        // As many as there may be are the same ones each time.
        let cache_control = if FeedRequest::is_whole(&items, log.page_size) {
            self.archived.clone()
        } else {
            PAST_THE_END
        };
        let body = cloud_events::batch(log, &items, EventId::OfNotification);
        let link = HeaderValue::from_static("");
        let made = Rendered::in_format(body, &CloudEventsBatch, link, cache_control, None);
        let coding = codings.for_body(made.n_bytes());
        let made = Arc::new(made).coded(coding).await?;
        Ok(made.answer(&request.headers, &codings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<(u64, u64)> {
        let request = FeedRequest::of(query).ok()?;
        Some((request.after, request.wait.as_millis().try_into().unwrap()))
    }

    #[test]
    fn a_request_says_what_it_has_and_how_long_it_waits() {
        assert_eq!(read(""), Some((0, 0)));
        assert_eq!(read("lastEventId=&timeout=0"), Some((0, 0)));
        assert_eq!(read("lastEventId=42&timeout=5000"), Some((42, 5_000)));
        assert_eq!(read("timeout=99999999&compacted=true"), Some((0, 30_000)));
        for query in [
            "lastEventId=-1",
            "lastEventId=0190a5f2-1111-7000-8000-000000000001",
            "timeout=",
            "timeout=soon",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
