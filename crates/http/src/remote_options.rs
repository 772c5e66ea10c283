//! How a log far away is reached.

use std::time::Duration;

use thiserror::Error;

use crate::{Authorities, BearerToken};

/// How a log far away is reached. Every bound has a name and a default.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Shown with every request to the log's own origin, and to no other.
    pub token: Option<BearerToken>,
    /// Who is trusted to say which host a log at `https://` is; `None` for those that the system trusts.
    pub authorities: Option<Authorities>,
    /// The name that the log must have, if that is known: another one's pages are refused.
    pub expected_name: Option<String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a request may take, to the end of its body; what it waits for news comes on top.
    pub request_timeout: Duration,
    /// The largest body that is read, in bytes: as it is sent, and when it is whole again.
    pub max_body_bytes: usize,
    /// How often one request is sent on, within the log's origin.
    pub max_redirects: usize,
    /// Whether pages are asked for in compressed form. That spares the network and costs time on both sides; on one
    /// machine there is no network to spare.
    pub compressed: bool,
    /// How often a log that can't be waited for is asked whether there is something new.
    pub poll_interval: Duration,
    /// How long an id of a Python application that is missing behind a higher one is waited for. Zero takes every gap for one.
    pub max_gap_wait: Duration,
}

impl RemoteOptions {
    /// Within a network a connection takes milliseconds.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// For a large page over a slow line.
    pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
    /// 64 MiB: twenty events of three megabytes.
    pub const DEFAULT_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
    /// A log that moved within its host, and not one that leads round in circles.
    pub const DEFAULT_MAX_REDIRECTS: usize = 3;
    /// Longer than a transaction takes to commit.
    pub const DEFAULT_MAX_GAP_WAIT: Duration = Duration::from_secs(10);
    /// What a log that is only polled costs in lateness.
    pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            token: None,
            authorities: None,
            expected_name: None,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            request_timeout: Self::DEFAULT_REQUEST_TIMEOUT,
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            max_redirects: Self::DEFAULT_MAX_REDIRECTS,
            compressed: true,
            poll_interval: Self::DEFAULT_POLL_INTERVAL,
            max_gap_wait: Self::DEFAULT_MAX_GAP_WAIT,
        }
    }
}

/// A log can't be reached like this: mend the configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The URL is not that of a log.
    #[error(
        "`{url}` is not the address of a log: it must be http:// or https:// with a host, without user, query or fragment"
    )]
    Url {
        /// The scheme and the host: the rest may be a secret.
        url: String,
    },
    /// TLS can't be set up, such as when the system has no certificates of authorities.
    #[error("HTTP can't be set up: {reason}")]
    Setup {
        /// What is missing.
        reason: String,
    },
}
