//! Where a followed log is, and in what words it is served there.

use std::fmt;
use std::str::FromStr;

use boxes_http::ForeignDialect;
use url::Url;

use crate::config::http_url;

/// Where a followed log is: the address of a box's log, `http://host/payments/notifications`, or that of another system's,
/// with the dialect in front: `eventsourcing-9+http://host/notifications`.
///
/// ```
/// use boxes_service::UpstreamAddress;
///
/// let kennel: UpstreamAddress = "eventsourcing-9+https://kennel.example/notifications".parse()?;
/// assert_eq!(kennel.url().as_str(), "https://kennel.example/notifications");
/// # Ok::<(), boxes_service::NoUpstreamAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAddress {
    url: Url,
    dialect: Option<ForeignDialect>,
}

/// A text is no address of a log. The message does not repeat it, as it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {UPSTREAM_ADDRESS}")]
pub struct NoUpstreamAddress;

/// What is expected of the text of an address.
pub(crate) const UPSTREAM_ADDRESS: &str = "an address that begins with http:// or https://, without user, query and fragment; before it `eventsourcing-9+` or `eventsourcing-8+` for an application of the Python library";

const DIALECTS: [(&str, ForeignDialect); 2] = [
    ("eventsourcing-9", ForeignDialect::Eventsourcing9),
    ("eventsourcing-8", ForeignDialect::Eventsourcing8),
];

impl UpstreamAddress {
    /// The address without the dialect.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The dialect of another system; `None` for a box.
    #[must_use]
    pub const fn dialect(&self) -> Option<ForeignDialect> {
        self.dialect
    }
}

impl From<Url> for UpstreamAddress {
    /// The address of a box's log.
    fn from(url: Url) -> Self {
        Self { url, dialect: None }
    }
}

impl FromStr for UpstreamAddress {
    type Err = NoUpstreamAddress;

    fn from_str(text: &str) -> Result<Self, NoUpstreamAddress> {
        let (dialect, url) = match text.split_once('+') {
            Some((name, url)) if !name.contains([':', '/']) => {
                let dialect = DIALECTS.iter().find(|(known, _)| *known == name);
                let (_, dialect) = dialect.ok_or(NoUpstreamAddress)?;
                (Some(*dialect), url)
            }
            _ => (None, text),
        };
        let url = http_url(url).ok_or(NoUpstreamAddress)?;
        Ok(Self { url, dialect })
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = DIALECTS
            .iter()
            .find(|(_, dialect)| Some(*dialect) == self.dialect)
        {
            write!(f, "{name}+")?;
        }
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_with_its_dialect() {
        for text in [
            "http://127.0.0.1:8080/orders/notifications",
            "eventsourcing-9+http://127.0.0.1/notifications",
            "eventsourcing-8+https://kennel.example/a+b",
            "http://host/a+b",
        ] {
            let address: UpstreamAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "eventsourcing-9+",
            "eventsourcing-7+http://host/",
            "eventsourcing-9+ftp://host/",
            "http://user:secret@host/",
            "http://host/?a=b",
        ] {
            assert_eq!(
                text.parse::<UpstreamAddress>(),
                Err(NoUpstreamAddress),
                "{text}"
            );
        }
    }
}
