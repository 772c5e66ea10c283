//! The hosts that a service without tokens answers to, so that no web page reaches it under a name of its own.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HOST;
use http::uri::Authority;
use url::Url;

use crate::Problem;
use boxes_http::ProblemKind;

pub(crate) const MISDIRECTED: ProblemKind = ProblemKind {
    slug: "misdirected",
    status: StatusCode::MISDIRECTED_REQUEST,
    title: "The service does not answer to this host",
    advice: "Use its address, or ask its operator to set --public-url to the address that clients use.",
};

/// The hosts that a service without tokens answers to: addresses, `localhost`, and the host of its public URL.
///
/// Such a service trusts everyone who reaches its loopback address. A web page reaches it as well once the name of the
/// page's own host resolves to that address (DNS rebinding); then the browser takes both for one origin, and only the
/// `Host` header tells them apart. A page has no IP literal or `localhost` as its name, unless it is served from there.
#[derive(Debug, Clone)]
pub(crate) struct KnownHosts {
    public: Option<Arc<str>>,
}

impl KnownHosts {
    pub(crate) fn new(public_url: Option<&Url>) -> Self {
        let host = public_url.and_then(Url::host_str);
        Self {
            public: host.map(|host| host.to_ascii_lowercase().into()),
        }
    }

    fn has(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || self.public.as_deref() == Some(host)
    }
}

/// Refuses requests for hosts that the service does not answer to (421).
///
/// A request that names none passes: no browser sends one.
pub(crate) async fn check_host(
    State(known): State<KnownHosts>,
    request: Request,
    next: Next,
) -> Response {
    let by_header = request.headers().get_all(HOST).iter();
    let mut named = by_header
        .map(|host| host.to_str().unwrap_or_default())
        .chain(request.uri().authority().map(Authority::as_str));
    let Some(unknown) = named.find(|host| !known.has(host)) else {
        return next.run(request).await;
    };
    let shown: String = unknown.chars().take(100).collect();
    let detail = format!(
        "without tokens, this service answers to IP addresses, localhost and the host of --public-url (BOXES_PUBLIC_URL), not to `{shown}`"
    );
    Problem::new(&MISDIRECTED, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_public_host_are_known() {
        let public = Url::parse("https://Shop.example/base").unwrap();
        let known = KnownHosts::new(Some(&public));
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.0.7:80",
            "localhost",
            "LocalHost:8080",
            "localhost.",
            "shop.example",
            "SHOP.example:443",
        ] {
            assert!(known.has(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
            "shop.example.evil.example",
            "not a host",
        ] {
            assert!(!known.has(host), "{host}");
        }
        assert!(!KnownHosts::new(None).has("shop.example"));
    }
}
