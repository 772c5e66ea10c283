//! The one address of a page, for those who ask for it with an encoded comma.

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use boxes_notification_log::canonical_integer;
use url::Url;

/// How long the way may be remembered: a day. It only ever changes with the path of the log.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=86400");

/// The two forms of an encoded comma (RFC 3986, 2.1).
const COMMAS: [&str; 2] = ["%2C", "%2c"];

/// `1,20` for `1%2C20`; `None` for everything else.
///
/// Clients and proxies may encode a comma; but a comma and an encoded one are not the same to caches (RFC 3986, 2.2: it is
/// reserved), and a page has one address.
fn decoded(segment: &str) -> Option<String> {
    let (low, high) = COMMAS.iter().find_map(|comma| segment.split_once(comma))?;
    let (low, high) = (canonical_integer(low).ok()?, canonical_integer(high).ok()?);
    Some(format!("{low},{high}"))
}

/// Sends the request for `path` on to the address of the page that it names with an encoded comma, for good: in its last segment, or
/// in the last one but `suffix`. `None` for every other path.
pub(crate) fn moved(base: Option<&Url>, path: &str, suffix: &str) -> Option<Response> {
    let (above, segment) = path.strip_suffix(suffix)?.rsplit_once('/')?;
    let base = base.map_or("", Url::as_str).trim_end_matches('/');
    let location = format!("{base}{above}/{}{suffix}", decoded(segment)?);
    let location = HeaderValue::try_from(location).ok()?;
    let headers = [(LOCATION, location), (CACHE_CONTROL, CACHED)];
    Some((StatusCode::PERMANENT_REDIRECT, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_ids_with_an_encoded_comma_between_them_are_decoded() {
        for (segment, expected) in [
            ("1%2C20", Some("1,20")),
            ("1%2c20", Some("1,20")),
            ("0%2C18446744073709551615", Some("0,18446744073709551615")),
            ("1,20", None),
            ("1%2C20%2C40", None),
            ("1%2C", None),
            ("%2C20", None),
            ("01%2C20", None),
            ("%31%2C20", None),
            ("1%2C18446744073709551616", None),
            ("1%252C20", None),
            ("1%0A2", None),
            ("20", None),
            ("", None),
        ] {
            assert_eq!(decoded(segment).as_deref(), expected, "{segment}");
        }
    }
}
