//! Bodies of requests in a content coding.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::Problem;

/// Refuses a body in a content coding (415): it would be read as what it is not.
///
/// Which codings are taken is said by `Accept-Encoding` (RFC 9110, 12.5.3): none.
pub(crate) async fn refuse_coded(request: Request, next: Next) -> Response {
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    let is_plain = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain {
        return next.run(request).await;
    }
    let problem = Problem::new(
        &ProblemKind::UNSUPPORTED_MEDIA_TYPE,
        "the body is in a content coding: send it as it is, without Content-Encoding",
    );
    let mut response = problem.into_response();
    let none = HeaderValue::from_static("identity");
    response.headers_mut().insert(ACCEPT_ENCODING, none);
    response
}
