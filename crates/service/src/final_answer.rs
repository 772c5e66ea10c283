//! What never changes, sent once to each client.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use boxes_http::is_known;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{Config, Problem};

/// How something is sent that never changes, and is known by where it is.
#[derive(Debug)]
pub(crate) struct FinalAnswer {
    /// What its entity tag consists of: letters, digits and `.-`.
    pub(crate) tag: String,
    pub(crate) media_type: &'static str,
    pub(crate) cache_control: &'static str,
}

impl FinalAnswer {
    /// For a year, in shared caches only where everybody may ask.
    pub(crate) fn cache_control(config: &Config) -> &'static str {
        if config.tokens.is_empty() {
            "public, max-age=31536000, immutable"
        } else {
            "private, max-age=31536000, immutable"
        }
    }

    /// The body, or 304 if the request has it already.
    pub(crate) fn to(&self, request: &HeaderMap, body: impl Into<Body>) -> Response {
        let tag = match HeaderValue::try_from(format!("\"{}\"", self.tag)) {
            Ok(tag) => tag,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        let known = is_known(request, &tag);
        let caching = [
            (CACHE_CONTROL, HeaderValue::from_static(self.cache_control)),
            (ETAG, tag),
        ];
        if known {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, [(CONTENT_TYPE, self.media_type)], body.into()).into_response()
    }
}
