//! What a token allows.

use std::fmt;
use std::str::FromStr;

use crate::layers::{is_box_name, is_log_name};

/// One thing that a token may allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To read a box: its logs, and what its own routes show (GET and HEAD); or, of a name such as `orders/sales`, to
    /// read that log alone. Of every box, for `None`.
    Read(Option<String>),
    /// To command a box, and to read it. Every box, for `None`.
    Command(Option<String>),
    /// To read the figures of the service, and what exactly is in the way of its readiness.
    Metrics,
}

/// All that a token allows. Written as scopes with spaces between them: `read:orders command:payments metrics`, where
/// `*` stands for every box.
///
/// Who may command a box may read it, and who may read every box may read the figures of the service, too: the names
/// of boxes, and how long their logs are, are no secret to them.
///
/// ```
/// use boxes_service::{Scope, Scopes};
///
/// let scopes: Scopes = "read:orders command:payments".parse()?;
/// assert!(scopes.allow(&Scope::Read(Some("payments".to_owned()))));
/// assert!(!scopes.allow(&Scope::Command(Some("orders".to_owned()))));
/// # Ok::<(), boxes_service::ParseScopesError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    scopes: Vec<Scope>,
}

/// A text names no scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected scopes with spaces between them, each {SCOPE}")]
pub struct ParseScopesError;

/// What a scope is, in words.
pub(crate) const SCOPE: &str =
    "`read:BOX`, `read:LOG`, `command:BOX`, with `*` for every box, or `metrics`";

impl Scopes {
    /// All that there is.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            scopes: vec![Scope::Command(None)],
        }
    }

    /// Reading everything, and commanding nothing.
    #[must_use]
    pub fn read_everything() -> Self {
        Self {
            scopes: vec![Scope::Read(None)],
        }
    }

    /// Whether what is needed is within them.
    #[must_use]
    pub fn allow(&self, needed: &Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }

    /// The boxes and logs that they name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().filter_map(|scope| match scope {
            Scope::Read(name) | Scope::Command(name) => name.as_deref(),
            Scope::Metrics => None,
        })
    }
}

impl Scope {
    fn covers(&self, needed: &Self) -> bool {
        let within = |allowed: &Option<String>, needed: &Option<String>| {
            let (Some(allowed), Some(needed)) = (allowed, needed) else {
                return allowed.is_none();
            };
            // A log that a box publishes beside its own one is part of it.
            let beyond = needed.strip_prefix(allowed.as_str());
            beyond.is_some_and(|beyond| beyond.is_empty() || beyond.starts_with('/'))
        };
        match (self, needed) {
            (Self::Read(allowed) | Self::Command(allowed), Self::Read(needed))
            | (Self::Command(allowed), Self::Command(needed)) => within(allowed, needed),
            (Self::Read(None) | Self::Command(None) | Self::Metrics, Self::Metrics) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, name) = match self {
            Self::Read(name) => ("read", name),
            Self::Command(name) => ("command", name),
            Self::Metrics => return f.write_str("metrics"),
        };
        write!(f, "{action}:{}", name.as_deref().unwrap_or("*"))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.scopes.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl FromStr for Scope {
    type Err = ParseScopesError;

    fn from_str(text: &str) -> Result<Self, ParseScopesError> {
        if text == "metrics" {
            return Ok(Self::Metrics);
        }
        let (action, name) = text.split_once(':').ok_or(ParseScopesError)?;
        let all = name == "*";
        let name = (!all).then(|| name.to_owned());
        match action {
            "read" if all || name.as_deref().is_some_and(is_log_name) => Ok(Self::Read(name)),
            "command" if all || name.as_deref().is_some_and(is_box_name) => Ok(Self::Command(name)),
            _ => Err(ParseScopesError),
        }
    }
}

impl FromStr for Scopes {
    type Err = ParseScopesError;

    fn from_str(text: &str) -> Result<Self, ParseScopesError> {
        let scopes: Vec<Scope> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if scopes.is_empty() {
            return Err(ParseScopesError);
        }
        Ok(Self { scopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_it_says_and_nothing_else() {
        // The scopes, what they allow of these, and nothing else of them.
        let all = [
            "read:orders",
            "read:orders/sales",
            "command:orders",
            "read:payments",
            "command:payments",
            "metrics",
        ];
        let cases: [(&str, &[&str]); 9] = [
            ("read:orders", &["read:orders", "read:orders/sales"]),
            ("read:orders/sales", &["read:orders/sales"]),
            (
                "command:orders",
                &["read:orders", "read:orders/sales", "command:orders"],
            ),
            (
                "read:*",
                &[
                    "read:orders",
                    "read:orders/sales",
                    "read:payments",
                    "metrics",
                ],
            ),
            ("command:*", &all),
            ("metrics", &["metrics"]),
            (
                "read:orders command:payments",
                &[
                    "read:orders",
                    "read:orders/sales",
                    "read:payments",
                    "command:payments",
                ],
            ),
            ("read:order", &[]),
            ("command:orders-archive metrics", &["metrics"]),
        ];
        for (scopes, allowed) in cases {
            let scopes: Scopes = scopes.parse().unwrap();
            let found: Vec<&str> = all
                .into_iter()
                .filter(|needed| scopes.allow(&needed.parse().unwrap()))
                .collect();
            assert_eq!(found, allowed, "{scopes}");
        }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        let scopes: Scopes = " read:*  command:orders metrics ".parse().unwrap();
        assert_eq!(scopes.to_string(), "read:* command:orders metrics");
        assert_eq!(scopes.names().collect::<Vec<_>>(), ["orders"]);
        for text in [
            "",
            " ",
            "read",
            "read:",
            "write:orders",
            "read:Orders",
            "read:orders,command:orders",
            "metrics:orders",
            "command:orders/sales",
            "read:orders/",
        ] {
            assert_eq!(text.parse::<Scopes>(), Err(ParseScopesError), "{text}");
        }
    }
}
