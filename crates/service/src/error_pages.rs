//! Every error that leaves a service is a problem document.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::{PROBLEM_JSON, ProblemKind};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Version};

use crate::Problem;

/// The longest text of an error that is taken over into its problem document, in bytes.
const MAX_DETAIL_BYTES: usize = 2048;

/// Turns errors that are no problem documents into such: those of the router (404, 405), of other extractors,
/// and of routes that return a bare status.
///
/// The text of a client's error is kept as the detail; that of the service's own is not shown. Headers stay.
/// Errors in a media type of their own are left alone.
pub(crate) async fn as_problems(request: Request, next: Next) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    let status = response.status();
    // What is too large, or too slow, is not read to its end, and the connection is closed: a client that did not hear of it would send its
    // next request there, and get no answer.
    let is_half_read = matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if is_half_read && version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    if !(status.is_client_error() || status.is_server_error()) || has_own_type(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = detail(status, body).await;
    let mut response = match kind_of(status) {
        Some(kind) => Problem::new(kind, text).into_response(),
        // A status that the kit gives no meaning: an untyped problem, as RFC 9457 has it.
        None => {
            let title = status.canonical_reason().unwrap_or("Error");
            let body = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": text });
            (
                status,
                [
                    (CONTENT_TYPE, PROBLEM_JSON),
                    (http::header::CACHE_CONTROL, "no-store"),
                ],
                body.to_string(),
            )
                .into_response()
        }
    };
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    for (name, value) in &parts.headers {
        response
            .headers_mut()
            .entry(name)
            .or_insert_with(|| value.clone());
    }
    *response.extensions_mut() = parts.extensions;
    response
}

fn has_own_type(response: &Response) -> bool {
    let media_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| !media_type.starts_with("text/plain"))
}

async fn detail(status: StatusCode, body: Body) -> String {
    if status.is_client_error() {
        let text = to_bytes(body, MAX_DETAIL_BYTES)
            .await
            .ok()
            .and_then(|bytes| String::from_utf8(bytes.into()).ok());
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            return text;
        }
    }
    kind_of(status).map_or_else(String::new, |kind| kind.advice.to_owned())
}

/// The kind of problem that a bare status stands for.
fn kind_of(status: StatusCode) -> Option<&'static ProblemKind> {
    Some(match status {
        StatusCode::BAD_REQUEST => &ProblemKind::MALFORMED_REQUEST,
        StatusCode::UNAUTHORIZED => &ProblemKind::UNAUTHENTICATED,
        StatusCode::FORBIDDEN => &ProblemKind::FORBIDDEN,
        StatusCode::NOT_FOUND => &ProblemKind::UNKNOWN_PATH,
        StatusCode::METHOD_NOT_ALLOWED => &ProblemKind::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE => &ProblemKind::NOT_ACCEPTABLE,
        StatusCode::CONFLICT => &ProblemKind::CONFLICT,
        StatusCode::GONE => &ProblemKind::DISCARDED,
        StatusCode::PAYLOAD_TOO_LARGE => &ProblemKind::BODY_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &ProblemKind::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY => &ProblemKind::REJECTED,
        StatusCode::TOO_MANY_REQUESTS => &ProblemKind::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR => &ProblemKind::INTERNAL,
        _ => return None,
    })
}
