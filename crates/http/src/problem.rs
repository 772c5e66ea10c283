//! What went wrong, for a program.

use std::time::Duration;

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::ProblemKind;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, as a document that a program can act on (RFC 9457).
///
/// `type`, `title` and `status` come from the [`ProblemKind`]; `detail` is about this one occasion; further
/// members are data, such as `page_size`. It is never stored by caches. What it says is public: causes, paths
/// and queries belong into the log of the service.
///
/// ```
/// use boxes_http::{Problem, ProblemKind};
///
/// let problem = Problem::new(&ProblemKind::AHEAD_OF_LOG)
///     .with_detail("the position 17 is ahead of the log, which ends at 13")
///     .with_member("last", 13);
/// assert_eq!(problem.status(), 409);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Problem {
    // Boxed, because it is the error of many functions that seldom fail.
    inner: Box<Inner>,
}

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    kind: ProblemKind,
    detail: Option<String>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: &ProblemKind) -> Self {
        Self {
            inner: Box::new(Inner {
                kind: *kind,
                detail: None,
                members: Map::new(),
                headers: HeaderMap::new(),
            }),
        }
    }

    /// 405, with the methods that there are in `Allow`.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(&ProblemKind::METHOD_NOT_ALLOWED)
            .with_header(ALLOW, HeaderValue::from_static(allow))
    }

    /// With what happened on this occasion, for people.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    /// With a further member, for programs. Those that the format itself defines can't be replaced.
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.inner.members.insert(name.to_owned(), value.into());
        self
    }

    /// With `Retry-After`, in whole seconds, rounded up.
    pub fn with_retry_after(self, delay: Duration) -> Self {
        let whole = delay.as_secs();
        let seconds = whole.saturating_add(u64::from(delay.subsec_nanos() > 0));
        self.with_header(RETRY_AFTER, seconds.into())
    }

    /// With this header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner.headers.insert(name, value);
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &ProblemKind {
        &self.inner.kind
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.kind.status
    }

    /// What happened on this occasion, if that was said.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = self.inner.members.clone();
        document.insert("type".to_owned(), self.inner.kind.type_path().into());
        document.insert("title".to_owned(), self.inner.kind.title.into());
        document.insert("status".to_owned(), self.inner.kind.status.as_u16().into());
        if let Some(detail) = &self.inner.detail {
            document.insert("detail".to_owned(), detail.as_str().into());
        }
        Value::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.document().to_string();
        // Of the answer to HEAD as well, which has no body to take it from.
        let length = HeaderValue::from(body.len());
        let mut response = body.into_response();
        *response.status_mut() = self.inner.kind.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        headers.extend(self.inner.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Answers what no route knows: make it the fallback of the whole server, so that no error is plain text.
#[allow(
    clippy::unused_async,
    reason = "a handler is a function that returns a future"
)]
pub async fn unknown_path() -> Problem {
    Problem::new(&ProblemKind::UNKNOWN_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_kind_whatever_members_it_is_given() {
        let problem = Problem::new(&ProblemKind::REJECTED)
            .with_detail("the order is \"shipped\"")
            .with_member("order", 7)
            .with_member("status", "shipped")
            .with_retry_after(Duration::from_millis(1_001));
        let document = problem.document();
        assert_eq!(document["type"], "/problems/rejected");
        assert_eq!(document["title"], ProblemKind::REJECTED.title);
        assert_eq!(document["status"], 422);
        assert_eq!(document["detail"], "the order is \"shipped\"");
        assert_eq!(document["order"], 7);
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/problem+json");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("retry-after"), "2");
    }
}
