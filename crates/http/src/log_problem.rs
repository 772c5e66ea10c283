//! The errors of a log as problems, there and back.
//!
//! Both directions are here, so that an error is the same whether the log is near or far.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use boxes_notification_log::{LogError, SectionId, SectionIdError};
use serde::Deserialize;
use uuid::Uuid;

use crate::{Problem, ProblemKind};

/// What `Retry-After` says when the log itself says nothing.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The problem that an error of the log is told as. What the store said is not part of it.
pub(crate) fn to_problem(error: &LogError) -> Problem {
    let of = Problem::new;
    let problem = match error {
        LogError::SectionId(SectionIdError::WrongSize { page_size, length }) => {
            of(&ProblemKind::WRONG_PAGE_SIZE)
                .with_member("page_size", page_size.get())
                .with_member("length", *length)
        }
        LogError::SectionId(SectionIdError::Misaligned {
            page_size,
            low,
            enclosing,
        }) => of(&ProblemKind::MISALIGNED_PAGE)
            .with_member("page_size", page_size.get())
            .with_member("low", *low)
            .with_member("enclosing_page", enclosing.to_string()),
        LogError::SectionId(_) => of(&ProblemKind::MALFORMED_PAGE_ID),
        LogError::EpochChanged {
            log,
            expected,
            found,
        } => of(&ProblemKind::EPOCH_CHANGED)
            .with_member("log", log.as_str())
            .with_member("expected_epoch", expected.to_string())
            .with_member("epoch", found.to_string()),
        LogError::AheadOfLog { position, last } => of(&ProblemKind::AHEAD_OF_LOG)
            .with_member("position", *position)
            .with_member("last", *last),
        LogError::Pruned { first_available } => {
            of(&ProblemKind::PAGE_PRUNED).with_member("first_available", *first_available)
        }
        LogError::Gap { expected, found } => of(&ProblemKind::LOG_DAMAGED)
            .with_member("expected", *expected)
            .with_member("found", *found),
        _ => {
            let delay = error.retry_after().unwrap_or(DEFAULT_RETRY_AFTER);
            return of(&ProblemKind::STORE_UNAVAILABLE).with_retry_after(delay);
        }
    };
    problem.with_detail(error.to_string())
}

/// The members of a problem document that errors are made from. Others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemDocument {
    r#type: String,
    page_size: Option<NonZeroU32>,
    length: Option<u64>,
    low: Option<u64>,
    enclosing_page: Option<String>,
    log: Option<String>,
    expected_epoch: Option<Uuid>,
    epoch: Option<Uuid>,
    position: Option<u64>,
    last: Option<u64>,
    first_available: Option<u64>,
    expected: Option<u64>,
    found: Option<u64>,
    scope: Option<String>,
}

/// The longest name of a scope that is repeated.
const MAX_SCOPE_BYTES: usize = 100;

/// The error that a log far away answered with: by the `type` of the problem where there is one, else by the
/// status. `place` names the log; texts of the answer are not repeated.
pub(crate) fn from_answer(
    status: StatusCode,
    body: &[u8],
    retry_after: Option<Duration>,
    place: &str,
) -> LogError {
    let document: ProblemDocument = serde_json::from_slice(body).unwrap_or_default();
    let slug = document
        .r#type
        .rsplit_once("/problems/")
        .map_or("", |(_, slug)| slug);
    if let Some(error) = from_problem(slug, &document) {
        return error;
    }
    let slug = ProblemKind::find(slug).map_or("", |kind| kind.slug);
    let answered = format!("{place} answered {status} {slug}");
    let reason = match document.scope.as_deref().filter(|scope| is_scope(scope)) {
        Some(scope) => format!("{answered}: the token lacks the scope {scope}"),
        None => answered.trim_end().to_owned(),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LogError::Forbidden { reason },
        StatusCode::GONE => LogError::Pruned { first_available: 0 },
        _ if status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status == StatusCode::NOT_FOUND =>
        {
            LogError::Unavailable {
                reason,
                retry_after,
                source: None,
            }
        }
        _ => LogError::Garbage { reason },
    }
}

/// Whether the log has no room for another request that waits.
pub(crate) fn is_no_room_to_wait(status: StatusCode, body: &[u8]) -> bool {
    let document: ProblemDocument = serde_json::from_slice(body).unwrap_or_default();
    let kind = &ProblemKind::TOO_MANY_WAITERS;
    let slug = document.r#type.rsplit_once("/problems/");
    status == kind.status && slug.is_some_and(|(_, slug)| slug == kind.slug)
}

/// Whether it is the name of a scope, such as `read:orders`, and no text.
fn is_scope(scope: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":*-_.".contains(&b);
    !scope.is_empty() && scope.len() <= MAX_SCOPE_BYTES && scope.bytes().all(plain)
}

/// `None` for a kind that is no error of a log, and where a member is missing.
fn from_problem(slug: &str, document: &ProblemDocument) -> Option<LogError> {
    let is = |kind: &ProblemKind| slug == kind.slug;
    let error = if is(&ProblemKind::MALFORMED_PAGE_ID) {
        SectionIdError::Malformed.into()
    } else if is(&ProblemKind::WRONG_PAGE_SIZE) {
        let (page_size, length) = (document.page_size?, document.length?);
        SectionIdError::WrongSize { page_size, length }.into()
    } else if is(&ProblemKind::MISALIGNED_PAGE) {
        let enclosing: SectionId = document.enclosing_page.as_ref()?.parse().ok()?;
        let (page_size, low) = (document.page_size?, document.low?);
        SectionIdError::Misaligned {
            page_size,
            low,
            enclosing,
        }
        .into()
    } else if is(&ProblemKind::EPOCH_CHANGED) {
        LogError::EpochChanged {
            log: document.log.clone()?,
            expected: document.expected_epoch?,
            found: document.epoch?,
        }
    } else if is(&ProblemKind::AHEAD_OF_LOG) {
        LogError::AheadOfLog {
            position: document.position?,
            last: document.last?,
        }
    } else if is(&ProblemKind::PAGE_PRUNED) {
        LogError::Pruned {
            first_available: document.first_available?,
        }
    } else if is(&ProblemKind::LOG_DAMAGED) {
        LogError::Gap {
            expected: document.expected?,
            found: document.found?,
        }
    } else {
        return None;
    };
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_scope_that_is_missing_and_repeats_no_text() {
        let refusal = |scope: &str| {
            let body = format!(r#"{{"type":"/problems/forbidden","scope":"{scope}"}}"#);
            from_answer(StatusCode::FORBIDDEN, body.as_bytes(), None, "http://a/b").to_string()
        };
        let named = refusal("read:orders");
        assert!(
            named.contains("forbidden: the token lacks the scope read:orders"),
            "{named}"
        );
        for text in ["", "call 555 now", "\\u001b[31m", &"x".repeat(101)] {
            assert!(!refusal(text).contains("lacks"), "{text}");
        }
    }
}
