//! What is known by its content, sent once to each client.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use boxes_http::is_known;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

/// How something is sent that has one content.
#[derive(Debug)]
pub(crate) struct FinalAnswer {
    pub(crate) tag: HeaderValue,
    pub(crate) media_type: &'static str,
    pub(crate) cache_control: HeaderValue,
}

impl FinalAnswer {
    /// The body, or 304 if the request has it already.
    pub(crate) fn to(self, request: &HeaderMap, body: impl Into<Body>) -> Response {
        let known = is_known(request, &self.tag);
        let caching = [(CACHE_CONTROL, self.cache_control), (ETAG, self.tag)];
        if known {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(CONTENT_TYPE, self.media_type)], body.into()).into_response()
    }
}
