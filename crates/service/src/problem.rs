//! What a client is told when a request can't be done.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use boxes_application::Error;
use boxes_domain::Rejection;
use boxes_http::ProblemKind;
use boxes_recorder::RecorderError;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use crate::cross_site::CROSS_SITE;
use crate::known_host::MISDIRECTED;

/// What a client is told when a request can't be done: a problem document (RFC 9457).
///
/// Routes return it as their error. An error of a command becomes one by `?`; for what a route finds wrong
/// by itself there are constructors. Nothing internal is in it: what is the program's own fault is logged,
/// where it becomes a problem, and told as `internal`.
///
/// | error of a command | status | slug |
/// |---|---|---|
/// | [`Error::Rejected`] | 422, with the domain's own text | `rejected` |
/// | [`Error::NotFound`] | 404 | `not-found` |
/// | [`Error::NoValue`] | 404 | `not-found` |
/// | [`Error::TooLarge`] | 413 | `body-too-large` |
/// | [`Error::Discarded`] | 410 | `discarded` |
/// | [`Error::Deleted`] | 410 | `deleted` |
/// | [`Error::AlreadyExists`] | 409 | `already-exists` |
/// | [`Error::OtherKind`] | 409 | `other-kind` |
/// | [`Error::Conflict`] | 409, with `Retry-After` | `conflict` |
/// | [`Error::NotYet`] | 503, with `Retry-After` | `not-yet` |
/// | [`Error::Store`], the store not answering | 503, with `Retry-After` | `store-unavailable` |
/// | [`Error::Store`], the store lost or damaged | 503 | `store-unavailable` |
/// | all others | 500 | `internal` |
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(boxes_http::Problem);

/// The kinds of problems that are a service's own, beside [`ProblemKind::ALL`].
pub(crate) static OWN_KINDS: &[ProblemKind] = &[
    ALREADY_EXISTS,
    OTHER_KIND,
    DELETED,
    NOT_YET,
    OUTCOME_UNKNOWN,
    UNEXPECTED_BODY,
    NOT_SEALED,
    MISDIRECTED,
    CROSS_SITE,
    TOO_MANY_CONNECTIONS,
    SLOW_BODY,
];

const ALREADY_EXISTS: ProblemKind = ProblemKind {
    slug: "already-exists",
    status: StatusCode::CONFLICT,
    title: "It exists already",
    advice: "Something with this id was created before. If that was an earlier attempt of yours, treat it as done; otherwise take another id.",
};

const OTHER_KIND: ProblemKind = ProblemKind {
    slug: "other-kind",
    status: StatusCode::CONFLICT,
    title: "The id is that of something else",
    advice: "An id is that of one thing, of one kind. Take another id.",
};

const DELETED: ProblemKind = ProblemKind {
    slug: "deleted",
    status: StatusCode::GONE,
    title: "It was deleted",
    advice: "It will not come back, and what was known of it is gone. Its id is not used again: take another one for something new.",
};

/// Without `Retry-After`: sent again, a command that was recorded may be recorded twice.
pub(crate) const OUTCOME_UNKNOWN: ProblemKind = ProblemKind {
    slug: "outcome-unknown",
    status: StatusCode::GATEWAY_TIMEOUT,
    title: "It is not known whether the command was recorded",
    advice: "It was recorded as a whole or not at all. Look at what it was to change before you send it again.",
};

const NOT_YET: ProblemKind = ProblemKind {
    slug: "not-yet",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Something that this depends on has not happened yet",
    advice: "detail says what. Try again after the time in Retry-After.",
};

pub(crate) const UNEXPECTED_BODY: ProblemKind = ProblemKind {
    slug: "unexpected-body",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The body is not what is expected here",
    advice: "It is JSON, but detail says which member is missing, unknown, or of the wrong type.",
};

pub(crate) const TOO_MANY_CONNECTIONS: ProblemKind = ProblemKind {
    slug: "too-many-connections",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Too many connections",
    advice: "Use one connection for several requests, and try again after the time in Retry-After.",
};

pub(crate) const SLOW_BODY: ProblemKind = ProblemKind {
    slug: "slow-body",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The body took too long to arrive",
    advice: "Nothing was done. Send the request again, faster or in smaller pieces.",
};

pub(crate) const NOT_SEALED: ProblemKind = ProblemKind {
    slug: "not-sealed",
    status: StatusCode::NOT_FOUND,
    title: "The page has no seal",
    advice: "A page is sealed after it is archived, if the service was told to seal (--seal). Try again later, or ask those who run it.",
};

/// After how long a client may try again what could not be done now.
const RETRY_SOON: Duration = Duration::from_secs(1);

const SEE_LOG: &str = "the service failed; its log has the details";

impl Problem {
    pub(crate) fn new(kind: &ProblemKind, detail: impl Into<String>) -> Self {
        Self(boxes_http::Problem::new(kind).with_detail(detail))
    }

    pub(crate) fn with_retry_after(self) -> Self {
        self.with_retry_after_of(RETRY_SOON)
    }

    pub(crate) fn with_retry_after_of(self, wait: Duration) -> Self {
        Self(self.0.with_retry_after(wait))
    }

    /// With `WWW-Authenticate`.
    pub(crate) fn with_challenge(self, challenge: HeaderValue) -> Self {
        Self(self.0.with_header(WWW_AUTHENTICATE, challenge))
    }

    pub(crate) fn with_member(self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        Self(self.0.with_member(name, value))
    }

    /// The request makes no sense to the route (400, `malformed-request`). `detail` is shown to the client.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(&ProblemKind::MALFORMED_REQUEST, detail)
    }

    /// There is no such thing (404, `not-found`). `detail` is shown to the client.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(&ProblemKind::NOT_FOUND, detail)
    }

    /// What was asked for does not go with what is there (409, `conflict`). `detail` is shown to the client.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(&ProblemKind::CONFLICT, detail)
    }

    /// The domain refused (422, `rejected`), with the domain's own text.
    #[must_use]
    pub fn rejected(rejection: impl Into<Rejection>) -> Self {
        Self::new(&ProblemKind::REJECTED, rejection.into().to_string())
    }

    /// The program failed (500, `internal`). `error` is logged; the client is not told of it.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::failed()
    }

    /// As [`internal`](Self::internal), for what is logged already.
    pub(crate) fn failed() -> Self {
        Self::new(&ProblemKind::INTERNAL, SEE_LOG)
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The last part of the problem's type: `rejected` of `/problems/rejected`.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.0.kind().slug
    }

    /// What is wrong this time.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.detail().unwrap_or_default()
    }
}

/// For a document that a route makes up from a [`ProblemKind`] of its own.
impl From<boxes_http::Problem> for Problem {
    fn from(problem: boxes_http::Problem) -> Self {
        Self(problem)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Rejected(rejection) => Self::new(&ProblemKind::REJECTED, rejection.to_string()),
            Error::NotFound { .. } | Error::NoValue { .. } => {
                Self::new(&ProblemKind::NOT_FOUND, error.to_string())
            }
            Error::TooLarge { .. } => Self::new(&ProblemKind::BODY_TOO_LARGE, error.to_string()),
            Error::Discarded { .. } => Self::new(&ProblemKind::DISCARDED, error.to_string()),
            Error::Deleted { .. } => Self::new(&DELETED, error.to_string()),
            Error::AlreadyExists { .. } => Self::new(&ALREADY_EXISTS, error.to_string()),
            Error::NotYet { reason } => Self::new(&NOT_YET, reason.as_str()).with_retry_after(),
            Error::OtherKind { .. } => Self::new(&OTHER_KIND, error.to_string()),
            Error::Conflict { .. } => {
                Self::new(&ProblemKind::CONFLICT, error.to_string()).with_retry_after()
            }
            Error::Store(RecorderError::Unavailable { .. } | RecorderError::Closed) => {
                let cause: &dyn std::error::Error = &error;
                tracing::warn!(error = cause, "the store can't be used");
                Self::new(
                    &ProblemKind::STORE_UNAVAILABLE,
                    "the store can't be used now",
                )
                .with_retry_after()
            }
            Error::Store(RecorderError::OutcomeUnknown { .. }) => {
                let cause: &dyn std::error::Error = &error;
                tracing::warn!(
                    error = cause,
                    "it is not known whether a command was recorded"
                );
                Self::new(
                    &OUTCOME_UNKNOWN,
                    "the store did not say whether the command was recorded",
                )
            }
            // Logged where it is found, once: it stays so until the box is started again.
            Error::Store(RecorderError::Broken { .. }) => Self::new(
                &ProblemKind::STORE_UNAVAILABLE,
                "the store is broken: an administrator has to see to it",
            ),
            _ => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[derive(Debug, thiserror::Error)]
    #[error("the order is already shipped")]
    struct AlreadyShipped;

    #[test]
    fn each_error_of_a_command_is_one_problem() {
        let id = Uuid::nil();
        let cases = [
            (
                Error::Rejected(AlreadyShipped.into()),
                422,
                "rejected",
                "the order is already shipped",
            ),
            (
                Error::NotFound {
                    aggregate: "Order",
                    id,
                },
                404,
                "not-found",
                "does not exist",
            ),
            (
                Error::Discarded {
                    aggregate: "Order",
                    id,
                },
                410,
                "discarded",
                "was discarded",
            ),
            (Error::Deleted { id }, 410, "deleted", "was deleted"),
            (
                Error::not_yet("the price list has not been read"),
                503,
                "not-yet",
                "the price list has not been read",
            ),
            (
                Error::NotRedactable {
                    name: "inner".to_owned(),
                },
                500,
                "internal",
                "its log has the details",
            ),
            (
                Error::AlreadyExists {
                    aggregate: "Order",
                    id,
                },
                409,
                "already-exists",
                "exists already",
            ),
            (
                Error::OtherKind {
                    aggregate: "Order",
                    id,
                    found: "shop.customer",
                },
                409,
                "other-kind",
                "is the id of a `shop.customer`, so no Order",
            ),
            (
                Error::Conflict { id, attempts: 24 },
                409,
                "conflict",
                "24 times",
            ),
            (
                Error::Store(RecorderError::unavailable(
                    "selecting from /secret/orders.db",
                    AlreadyShipped,
                )),
                503,
                "store-unavailable",
                "the store can't be used now",
            ),
            (
                Error::Store(RecorderError::outcome_unknown(
                    "committing to /secret/orders.db",
                    AlreadyShipped,
                )),
                504,
                "outcome-unknown",
                "did not say whether the command was recorded",
            ),
            (
                Error::Store(RecorderError::Closed),
                503,
                "store-unavailable",
                "now",
            ),
            (
                Error::Store(RecorderError::Invalid {
                    reason: "inner thing".to_owned(),
                }),
                500,
                "internal",
                "its log has the details",
            ),
            (
                Error::Damaged {
                    aggregate: "Order",
                    id,
                    reason: "inner thing".to_owned(),
                },
                500,
                "internal",
                "its log has the details",
            ),
            (
                Error::TransactionEnded,
                500,
                "internal",
                "its log has the details",
            ),
        ];
        for (error, status, slug, detail) in cases {
            let problem = Problem::from(error);
            assert_eq!((problem.status().as_u16(), problem.slug()), (status, slug));
            assert!(
                problem.detail().contains(detail)
                    && !problem.detail().contains("inner")
                    && !problem.detail().contains("secret"),
                "{problem:?}"
            );
            let response = problem.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["content-type"], boxes_http::PROBLEM_JSON);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(
                response.headers().contains_key("retry-after"),
                status == 503 || slug == "conflict"
            );
        }
    }

    #[test]
    fn no_kind_is_described_twice() {
        for kind in OWN_KINDS {
            assert_eq!(ProblemKind::find(kind.slug), None, "{}", kind.slug);
        }
    }
}
