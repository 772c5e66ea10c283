//! A request names one host.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use http::Version;
use http::header::HOST;
use http::uri::Authority;

use crate::Problem;

/// Refuses a request that names no host, two, or one that is none (400).
///
/// A request that two servers on its way take for one of two hosts is a way around what the first one checks (RFC 9112, 3.2).
pub(crate) async fn name_one_host(request: Request, next: Next) -> Response {
    match mistake(&request) {
        None => next.run(request).await,
        Some(detail) => Problem::new(&ProblemKind::MALFORMED_REQUEST, detail).into_response(),
    }
}

fn mistake(request: &Request) -> Option<&'static str> {
    let mut named = request.headers().get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    let Some(host) = first else {
        // HTTP/1.0 has no such header, and HTTP/2 says it in the request's own address.
        return (request.version() == Version::HTTP_11).then_some("the request has no Host");
    };
    if second.is_some() {
        return Some("the request has two Host headers");
    }
    let authority = host.to_str().ok();
    let authority = authority.and_then(|host| host.parse::<Authority>().ok());
    match authority {
        Some(authority) if !authority.as_str().contains('@') => None,
        _ => Some("Host is no host with a port or without"),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_refused(version: Version, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        mistake(&request.body(Body::empty()).unwrap()).is_some()
    }

    #[test]
    fn a_request_names_one_host() {
        for host in ["shop.example", "127.0.0.1:8080", "[::1]:8080", "localhost"] {
            assert!(!is_refused(Version::HTTP_11, &[host]), "{host}");
        }
        for hosts in [
            &[][..],
            &["a.example", "a.example"],
            &["a.example", "b.example"],
            &[""],
            &["a b"],
            &["me@a.example"],
            &["a.example/x"],
            &["http://a.example"],
        ] {
            assert!(is_refused(Version::HTTP_11, hosts), "{hosts:?}");
        }
        assert!(!is_refused(Version::HTTP_10, &[]));
        assert!(!is_refused(Version::HTTP_2, &[]));
        assert!(is_refused(Version::HTTP_2, &["a b"]));
    }
}
