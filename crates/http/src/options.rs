//! How a log is served.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::WaitingPlaces;

/// How a log is served. Every bound has a name; [`new`](Self::new) gives all but the path their defaults.
#[derive(Debug, Clone)]
pub struct NotificationLogOptions {
    /// Where the current page is, such as `/orders/notifications`; everything else is below it.
    pub path: String,
    /// The path at which the pages are Atom feeds for readers that can't say what they accept, such as `/orders/atom`, if there is
    /// one.
    pub atom: Option<String>,
    /// What stands before paths in links, such as `https://shop.example`; `None` for links without a host.
    /// Forwarded headers are never trusted for it.
    pub public_base: Option<Url>,
    /// Whether access depends on who asks, so that shared caches must not keep pages.
    pub restricted: bool,
    /// How long caches may keep archived pages and single notifications before they ask again, if streams may be deleted
    /// from the log, which redacts their notifications; whole seconds count. `None` for a log that is never redacted: then caches
    /// may keep them for a year.
    pub redactable: Option<Duration>,
    /// How many bytes of sections and pages are kept in memory, about, in all the formats and codings that were asked for; 0 for
    /// none.
    pub cache_bytes: u64,
    /// How many requests may wait for news at once, streams of events included; further ones are told to come later.
    pub max_waiters: usize,
    /// The places for these requests, to share them with other logs, or to see how many are taken; `None` makes
    /// `max_waiters` new ones.
    pub waiting_places: Option<WaitingPlaces>,
    /// How long a stream of events is silent before a comment is sent, so that nobody on the way takes it for dead.
    pub heartbeat: Duration,
    /// How long the client of a stream of events may leave it unread before it is given up; it may connect again and
    /// go on where it was.
    pub slow_client_timeout: Duration,
    /// Ends what waits: a process that stops should not have to sit it out.
    pub shutdown: CancellationToken,
    /// The path of a description of the whole service, such as `/orders/openapi.json`, if there is one: pages
    /// then link to it as `service-desc`.
    pub service_description: Option<String>,
    /// The path of a listing of the log's topics, such as `/orders/topics`, if there is one: the description of the log
    /// then links to it as `describedby`.
    pub topics: Option<String>,
    /// Whether seals of archived pages are served below the path, at `/{low},{high}/seal`, and at `/keys` the key that they are
    /// signed with: the description of the log then says where they are. Pages don't, which are to stay as they are whether
    /// or not they are sealed later.
    pub seals: bool,
}

impl NotificationLogOptions {
    /// 64 MiB: some ten thousand pages of twenty.
    pub const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;
    /// One that waits costs a connection and a few kilobytes.
    pub const DEFAULT_MAX_WAITERS: usize = 1_024;

    /// An hour: a redaction has reached every cache by then, and pages are still seldom asked for.
    pub const DEFAULT_REDACTABLE: Duration = Duration::from_secs(3_600);

    /// Proxies give up what is silent for half a minute or more.
    pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
    /// As long as other requests may take.
    pub const DEFAULT_SLOW_CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Served below `path`, publicly, with defaults.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            atom: None,
            public_base: None,
            restricted: false,
            redactable: None,
            cache_bytes: Self::DEFAULT_CACHE_BYTES,
            max_waiters: Self::DEFAULT_MAX_WAITERS,
            waiting_places: None,
            heartbeat: Self::DEFAULT_HEARTBEAT,
            slow_client_timeout: Self::DEFAULT_SLOW_CLIENT_TIMEOUT,
            shutdown: CancellationToken::new(),
            service_description: None,
            topics: None,
            seals: false,
        }
    }

    /// Paths become routes, links and headers as they are, so what would need escaping is refused.
    pub(crate) fn check(&self) -> Result<(), InvalidPath> {
        let paths = std::iter::once(&self.path)
            .chain(&self.atom)
            .chain(&self.service_description)
            .chain(&self.topics);
        for path in paths {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
            let whole = path.starts_with('/') && !path.ends_with('/') && !path.contains("//");
            if !whole || !path.chars().all(plain) {
                return Err(InvalidPath { path: path.clone() });
            }
        }
        Ok(())
    }
}

/// A path can't be served: it is a mistake in the program, or in its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct InvalidPath {
    path: String,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` can't be served: a path begins with a slash, does not end with one, and consists of letters, digits and -._~",
            self.path
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain() {
        let valid = |path: &str| NotificationLogOptions::new(path).check().is_ok();
        assert!(valid("/orders/notifications") && valid("/a"));
        for path in [
            "", "/", "orders", "/orders/", "//orders", "/{box}", "/a b", "/ü", "/a?b", "/a%20",
        ] {
            assert!(!valid(path), "{path}");
        }
    }
}
