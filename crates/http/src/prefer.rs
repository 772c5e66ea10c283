//! How long a request would wait.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::accept::elements;

/// `Prefer` (RFC 7240).
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied` (RFC 7240).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The longest time that a request waits, whatever it prefers.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// How long the request prefers to wait for something new: `Prefer: wait=20`, at most [`MAX_WAIT`].
///
/// Of several the first counts. `None` without a preference, and for one that is no number of seconds: a
/// preference that is not understood is ignored.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let wait = values.find_map(|text| elements(text, b',').find_map(wait_of))?;
    let digits = !wait.is_empty() && wait.bytes().all(|b| b.is_ascii_digit());
    // More digits than fit are more seconds than anybody waits.
    digits.then(|| Duration::from_secs(wait.parse().unwrap_or(u64::MAX)).min(MAX_WAIT))
}

/// What a preference says of waiting, if it does.
fn wait_of(preference: &str) -> Option<&str> {
    let (name, value) = elements(preference, b';').next()?.split_once('=')?;
    let value = value.trim_matches([' ', '\t']);
    name.trim_end_matches([' ', '\t'])
        .eq_ignore_ascii_case("wait")
        .then(|| value.trim_matches('"'))
}

/// That the preference was followed, and how far.
pub(crate) fn applied(wait: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("wait={}", wait.as_secs()))
        .unwrap_or(HeaderValue::from_static("wait"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn preferred(line: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_str(line).unwrap());
        preferred_wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_within_the_bound() {
        for (line, expected) in [
            ("wait=20", Some(20)),
            ("Wait = \"20\"", Some(20)),
            ("respond-async, wait=7; x=1", Some(7)),
            ("wait=0", Some(0)),
            ("wait=31", Some(30)),
            ("wait=99999999999999999999999", Some(30)),
            ("wait=5, wait=6", Some(5)),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("wait=", None),
            ("wait", None),
            ("waiting=5", None),
            ("x=\"wait=5\"", None),
            ("", None),
        ] {
            assert_eq!(preferred(line), expected, "{line}");
        }
        assert_eq!(preferred_wait(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_understood_or_ignored(line in "[wait=0-9,; \"\\\\\u{80}-\u{ff}]{0,60}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
                headers.insert(PREFER, value);
            }
            prop_assert!(preferred_wait(&headers).is_none_or(|wait| wait <= MAX_WAIT));
        }
    }
}
