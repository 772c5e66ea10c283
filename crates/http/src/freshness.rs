//! How long caches may keep what a log has archived.

use std::time::Duration;

use axum::http::HeaderValue;

/// `Cache-Control` of what is archived in a log, at an address that carries the log's epoch or names its content.
///
/// For a year, because they never change. Of a log from which streams may be deleted only for as long as
/// `redactable` says, and then not without asking: so what was redacted is out of every cache after that time.
/// Only in the caches of those who asked where access depends on who that is.
#[must_use]
pub fn archived_freshness(restricted: bool, redactable: Option<Duration>) -> HeaderValue {
    let scope = if restricted { "private" } else { "public" };
    let text = match redactable {
        None => format!("{scope}, max-age=31536000, immutable"),
        Some(max_age) => format!("{scope}, max-age={}, must-revalidate", max_age.as_secs()),
    };
    // It consists of letters, digits and `-=, `.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_redacted_is_asked_for_again_after_a_while() {
        let hour = Some(Duration::from_secs(3600));
        for (restricted, redactable, expected) in [
            (false, None, "public, max-age=31536000, immutable"),
            (true, None, "private, max-age=31536000, immutable"),
            (false, hour, "public, max-age=3600, must-revalidate"),
            (true, hour, "private, max-age=3600, must-revalidate"),
        ] {
            assert_eq!(archived_freshness(restricted, redactable), expected);
        }
    }
}
