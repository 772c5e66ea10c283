//! `If-Match`: a request that is to be answered only if its resource is in a state that the client knows.

use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::accept::elements;
use crate::{Problem, ProblemKind};

/// The answer, or 412 `precondition-failed` if the request names states by `If-Match` and this is none of them (RFC 9110, 13.1.1).
///
/// Tags are compared strongly: a weak one names no bytes.
pub(crate) fn met(request: &HeaderMap, response: Response) -> Response {
    let status = response.status();
    let has_state = status.is_success() || status == StatusCode::NOT_MODIFIED;
    if !request.contains_key(IF_MATCH) || !has_state {
        return response;
    }
    let tag = response.headers().get(ETAG);
    let tag = tag.and_then(|tag| tag.to_str().ok());
    let mut named = request
        .get_all(IF_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| elements(text, b','));
    if named.any(|name| name == "*" || Some(name) == tag) {
        return response;
    }
    Problem::new(&ProblemKind::PRECONDITION_FAILED).into_response()
}
