//! The URL of a database on a server, with its password out of sight.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

/// What stands in place of a password.
const HIDDEN: &str = "***";

/// The URL of a database on a server. Its password is never printed, and its memory is wiped.
#[derive(Clone)]
pub struct DatabaseUrl {
    whole: Arc<Zeroizing<String>>,
    /// The same without secrets.
    shown: Arc<str>,
}

impl DatabaseUrl {
    /// The URL that is written so, if it names a host.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        if !url.has_host() {
            return None;
        }
        Some(Self {
            whole: Arc::new(Zeroizing::new(text.to_owned())),
            shown: shown(url)?.into(),
        })
    }

    /// The URL itself, to connect with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.whole
    }
}

fn shown(mut url: Url) -> Option<String> {
    if url.password().is_some() {
        url.set_password(Some(HIDDEN)).ok()?;
    }
    let parameters: Vec<_> = url
        .query_pairs()
        .into_owned()
        .map(|(key, value)| {
            let is_secret = key.to_lowercase().contains("password");
            (key, if is_secret { HIDDEN.to_owned() } else { value })
        })
        .collect();
    if parameters.iter().any(|(_, value)| value == HIDDEN) {
        url.query_pairs_mut().clear().extend_pairs(parameters);
    }
    Some(url.into())
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.whole.as_bytes().ct_eq(other.whole.as_bytes()).into()
    }
}

impl Eq for DatabaseUrl {}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_connected_with_and_never_printed() {
        for text in [
            "postgres://shop:secret@db/shop?schema=orders",
            "postgres://shop@db/shop?password=secret&schema=orders",
        ] {
            let url = DatabaseUrl::new(text).unwrap();
            let printed = format!("{url} {url:?}");
            assert!(
                !printed.contains("secret") && printed.contains("schema=orders"),
                "{printed}"
            );
            assert_eq!(url.expose(), text);
        }
        let plain = "postgres://shop@db:5433/shop?sslmode=verify-full";
        assert_eq!(DatabaseUrl::new(plain).unwrap().to_string(), plain);
        assert_eq!(DatabaseUrl::new("postgres:shop"), None);
    }
}
