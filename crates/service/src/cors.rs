//! Scripts of other origins: which of them a browser lets read what is served.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use http::{HeaderValue, Method, StatusCode};
use url::Url;

/// Whose scripts may read what is served, and command: an origin, such as `https://shop.example`, or any.
///
/// That a script may is no more than a browser's consent: where tokens are set, it needs one as everybody does. Cookies
/// are never asked for, and never let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Any: `*`.
    Any,
    /// This one, as browsers write it in `Origin`.
    One(String),
}

/// A text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `*`, or an origin such as https://shop.example: scheme and host, and the port where it is another than the scheme's own"
)]
pub struct ParseCorsOriginError;

impl FromStr for CorsOrigin {
    type Err = ParseCorsOriginError;

    fn from_str(text: &str) -> Result<Self, ParseCorsOriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let url = Url::parse(text).map_err(|_| ParseCorsOriginError)?;
        let origin = url.origin();
        let written = origin.ascii_serialization();
        let plain = origin.is_tuple()
            && !text.contains('*')
            && text.trim_end_matches('/').eq_ignore_ascii_case(&written);
        plain
            .then_some(Self::One(written))
            .ok_or(ParseCorsOriginError)
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => f.write_str(origin),
        }
    }
}

/// What scripts may send beyond what they always may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, if-none-match, last-event-id, notification-log-epoch, notification-log-position, prefer, traceparent, x-request-id",
);

/// What scripts may see beyond what they always may.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "allow, etag, link, location, preference-applied, retry-after, www-authenticate, x-request-id",
);

const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// How long a browser may keep what it was told of these, in seconds: two hours is the most that some take.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Answers browsers that ask beforehand, and marks what scripts of the origins may read; errors too.
///
/// `tower-http`'s layer takes every OPTIONS for such a question. Here, others are answered with `Allow` as ever.
pub(crate) async fn share(
    State(origins): State<Arc<[CorsOrigin]>>,
    request: Request,
    next: Next,
) -> Response {
    let takes_any = origins.contains(&CorsOrigin::Any);
    // Said to everyone where it is true of everyone: a cache gives a browser what it kept of an answer to another client.
    let allowed = match request.headers().get(ORIGIN) {
        _ if takes_any => Some(HeaderValue::from_static("*")),
        Some(origin) => allowed(&origins, origin),
        None => None,
    };
    let asks = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if !takes_any {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = allowed else {
        return response;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if asks {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    response
}

/// What to say of the origin, if it is one of these.
fn allowed(origins: &[CorsOrigin], origin: &HeaderValue) -> Option<HeaderValue> {
    origins.iter().find_map(|allowed| match allowed {
        CorsOrigin::One(allowed) if origin == allowed => Some(origin.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let read = |text: &str| text.parse::<CorsOrigin>().map(|origin| origin.to_string());
        for (text, expected) in [
            ("*", "*"),
            ("https://shop.example", "https://shop.example"),
            ("https://Shop.example/", "https://shop.example"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "null",
            "shop.example",
            "https://shop.example:443",
            "https://shop.example/page",
            "https://user@shop.example",
            "https://*.example",
            "file:///page.html",
        ] {
            assert_eq!(read(text), Err(ParseCorsOriginError), "{text}");
        }
    }
}
