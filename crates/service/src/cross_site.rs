//! Requests that a web page of another site makes a browser send.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use url::Url;

use crate::{CorsOrigin, Problem};
use boxes_http::ProblemKind;

pub(crate) const CROSS_SITE: ProblemKind = ProblemKind {
    slug: "cross-site",
    status: StatusCode::FORBIDDEN,
    title: "Pages of other sites may not command this service",
    advice: "Ask its operator to allow the page's origin with --cors-origin, or to set tokens.",
};

/// What browsers say of the site that a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whose pages may command a service without tokens: those of its own origin, and of those that are configured.
///
/// A browser sends what a page asks for even if it does not let the page read the answer: forms, and `fetch` without
/// a JSON body, need no consent beforehand. Where tokens are set a page has none, so this is for services without.
#[derive(Debug, Clone)]
pub(crate) struct TrustedOrigins {
    public: Option<Arc<str>>,
    allowed: Arc<[CorsOrigin]>,
}

impl TrustedOrigins {
    pub(crate) fn new(public_url: Option<&Url>, allowed: &[CorsOrigin]) -> Self {
        let public = public_url.map(|url| url.origin().ascii_serialization().into());
        Self {
            public,
            allowed: allowed.into(),
        }
    }

    /// The origin that may not command the service, if the request is of one.
    fn foreign<'a>(&self, uri: &Uri, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut origins = headers.get_all(ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            // Every browser of today that leaves out `Origin` says at least this much.
            let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
            let allows_all = self.allowed.contains(&CorsOrigin::Any);
            return (site == Some(b"cross-site") && !allows_all).then_some("another site");
        }
        origins
            .map(|origin| origin.to_str().unwrap_or("an unreadable one"))
            .find(|origin| !self.trusts(origin) && !is_own(origin, uri, headers))
    }

    fn trusts(&self, origin: &str) -> bool {
        let is_allowed = |allowed: &CorsOrigin| match allowed {
            CorsOrigin::Any => true,
            CorsOrigin::One(allowed) => allowed == origin,
        };
        self.public.as_deref() == Some(origin) || self.allowed.iter().any(is_allowed)
    }
}

/// Whether the origin is where the request goes. The scheme is not compared: a proxy that ends TLS changes it.
fn is_own(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some((scheme, place)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(Authority::as_str));
    let host = host.map(|host| host.strip_suffix(default_port).unwrap_or(host));
    host.is_some_and(|host| host.eq_ignore_ascii_case(place))
}

/// Refuses requests of foreign pages that may change something (403).
pub(crate) async fn refuse_cross_site(
    State(trusted): State<TrustedOrigins>,
    request: Request,
    next: Next,
) -> Response {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let foreign = (!is_safe)
        .then(|| trusted.foreign(request.uri(), request.headers()))
        .flatten();
    let Some(origin) = foreign else {
        return next.run(request).await;
    };
    let shown: String = origin.chars().take(100).collect();
    let detail = format!(
        "this request comes from a web page of {shown}; set --cors-origin (BOXES_CORS_ORIGIN) to that origin to allow it"
    );
    Problem::new(&CROSS_SITE, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(trusted: &TrustedOrigins, headers: &[(&str, &str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        trusted
            .foreign(&Uri::from_static("/orders/orders"), &headers)
            .is_some()
    }

    #[test]
    fn a_page_of_another_origin_is_foreign_unless_it_is_allowed() {
        let none = TrustedOrigins::new(None, &[]);
        let public = Url::parse("https://shop.example/base").unwrap();
        let one = TrustedOrigins::new(
            Some(&public),
            &[CorsOrigin::One("http://localhost:3000".to_owned())],
        );
        let any = TrustedOrigins::new(None, &[CorsOrigin::Any]);
        let host = ("host", "127.0.0.1:8080");
        // Headers, and for whom they are foreign: without settings, with some origins, with any.
        type Case<'a> = (&'a [(&'a str, &'a str)], [bool; 3]);
        let cases: &[Case<'_>] = &[
            (&[host], [false, false, false]),
            (
                &[host, ("origin", "http://127.0.0.1:8080")],
                [false, false, false],
            ),
            (
                &[host, ("origin", "http://127.0.0.1:8081")],
                [true, true, false],
            ),
            (
                &[host, ("origin", "http://localhost:3000")],
                [true, false, false],
            ),
            (
                &[host, ("origin", "https://shop.example")],
                [true, false, false],
            ),
            (&[host, ("origin", "null")], [true, true, false]),
            (
                &[host, ("sec-fetch-site", "cross-site")],
                [true, true, false],
            ),
            (
                &[host, ("sec-fetch-site", "same-origin")],
                [false, false, false],
            ),
            (&[host, ("sec-fetch-site", "none")], [false, false, false]),
            (
                &[
                    host,
                    ("origin", "http://localhost:3000"),
                    ("sec-fetch-site", "cross-site"),
                ],
                [true, false, false],
            ),
            (
                &[("host", "localhost:80"), ("origin", "http://localhost")],
                [false, false, false],
            ),
        ];
        for (headers, expected) in cases {
            let seen = [&none, &one, &any].map(|trusted| is_foreign(trusted, headers));
            assert_eq!(seen, *expected, "{headers:?}");
        }
    }
}
