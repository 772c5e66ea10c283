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
    /// The URL that is written so, if it names a host, or several with commas between.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let (with_one_host, others) = without_other_hosts(text);
        let url = Url::parse(&with_one_host).ok()?;
        if !url.has_host() {
            return None;
        }
        let shown = shown(url)?;
        let end = authority_end(&shown);
        let (authority, path) = shown.split_at_checked(end)?;
        Some(Self {
            whole: Arc::new(Zeroizing::new(text.to_owned())),
            shown: format!("{authority}{others}{path}").into(),
        })
    }

    /// The URL itself, to connect with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.whole
    }
}

/// The URL with the first of its hosts, and the others, each with its comma.
fn without_other_hosts(text: &str) -> (Zeroizing<String>, &str) {
    let end = authority_end(text);
    let (authority, path) = text.split_at_checked(end).unwrap_or((text, ""));
    // A comma before the last `@` is one of the password.
    let hosts = authority.rfind('@').map_or(0, |at| at.saturating_add(1));
    let comma = authority
        .get(hosts..)
        .and_then(|hosts_of| hosts_of.find(',').map(|at| at.saturating_add(hosts)));
    let (first, others) = authority
        .split_at_checked(comma.unwrap_or(end))
        .unwrap_or((authority, ""));
    (Zeroizing::new(format!("{first}{path}")), others)
}

/// Where the path of a URL begins, or what is in its place.
fn authority_end(text: &str) -> usize {
    let begin = text.find("://").map_or(0, |at| at.saturating_add(3));
    let path = text
        .get(begin..)
        .and_then(|rest| rest.find(['/', '?', '#']));
    path.map_or(text.len(), |at| at.saturating_add(begin))
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
        let several = "postgres://shop:se,cret@a:5432,b:5433,c/shop?schema=orders";
        let url = DatabaseUrl::new(several).unwrap();
        assert_eq!(
            url.to_string(),
            "postgres://shop:***@a:5432,b:5433,c/shop?schema=orders"
        );
        assert_eq!(url.expose(), several);
    }
}
