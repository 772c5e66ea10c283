//! The tokens that a service accepts: who has them, and what they allow.

use std::sync::Arc;

use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use crate::{Scopes, Token};

/// The tokens that a service accepts. Cloning it is cheap, and copies no token.
///
/// Several tokens may be given to one client, so that one can replace another.
///
/// ```
/// use boxes_service::{Scope, Token, Tokens};
///
/// let token = Token::new("6a1e5b0c9d8f4e7a")?;
/// let tokens = Tokens::default().with("shipping", "read:orders".parse()?, token);
/// let grant = tokens.check("6a1e5b0c9d8f4e7a").expect("it is accepted");
/// assert_eq!(grant.client(), "shipping");
/// assert!(!grant.scopes().allow(&Scope::Command(Some("orders".to_owned()))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    accepted: Vec<(Arc<Token>, Arc<Grant>)>,
}

/// To whom a token is given, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    client: String,
    scopes: Scopes,
}

impl Grant {
    /// Who has the token: the name that it was given with, or `command-1`, `read-1`, … for those without one. No
    /// secret.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What it allows.
    #[must_use]
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

impl Tokens {
    /// Tokens that may do everything, and tokens that may only read.
    #[must_use]
    pub fn new(command: Vec<Token>, read: Vec<Token>) -> Self {
        let numbered = |class: &'static str, scopes: Scopes, tokens: Vec<Token>| {
            let tokens = tokens.into_iter().zip(1..);
            tokens.map(move |(token, n): (_, u32)| (format!("{class}-{n}"), scopes.clone(), token))
        };
        let command = numbered("command", Scopes::everything(), command);
        let read = numbered("read", Scopes::read_everything(), read);
        command
            .chain(read)
            .fold(Self::default(), |tokens, (client, scopes, token)| {
                tokens.with(client, scopes, token)
            })
    }

    /// The same, and a token that is given to this client.
    #[must_use]
    pub fn with(mut self, client: impl Into<String>, scopes: Scopes, token: Token) -> Self {
        let grant = Grant {
            client: client.into(),
            scopes,
        };
        self.accepted.push((Arc::new(token), Arc::new(grant)));
        self
    }

    /// Whether there is none, so that nobody is asked for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    /// Two clients that have the same token, if there are any.
    pub(crate) fn shared(&self) -> Option<(&str, &str)> {
        let mut rest = self.accepted.as_slice();
        while let [(token, grant), others @ ..] = rest {
            let same = others.iter().find(|(other, of)| {
                of.client != grant.client && bool::from(other.ct_eq(token.as_ref()))
            });
            if let Some((_, other)) = same {
                return Some((grant.client(), other.client()));
            }
            rest = others;
        }
        None
    }

    /// The boxes and logs that their scopes name, with the client.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accepted.iter().flat_map(|(_, grant)| {
            let names = grant.scopes.names();
            names.map(|name| (grant.client(), name))
        })
    }

    /// Who has the presented token, and what it allows, if it is one of these.
    ///
    /// Takes as long whichever token it is, and whether it is one.
    #[must_use]
    pub fn check(&self, presented: &str) -> Option<&Arc<Grant>> {
        let presented = Token::new(presented).ok()?;
        // Counted from 1: 0 is none.
        let found = self
            .accepted
            .iter()
            .zip(1_u64..)
            .fold(0_u64, |found, ((token, _), number)| {
                u64::conditional_select(&found, &number, token.ct_eq(&presented))
            });
        let index = usize::try_from(found.checked_sub(1)?).ok()?;
        self.accepted.get(index).map(|(_, grant)| grant)
    }
}

/// The tokens that are accepted now; others may take their place while requests are served.
#[derive(Debug)]
pub(crate) struct AcceptedTokens(watch::Sender<Arc<Tokens>>);

impl AcceptedTokens {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(watch::Sender::new(Arc::new(tokens)))
    }

    pub(crate) fn current(&self) -> Arc<Tokens> {
        Arc::clone(&self.0.borrow())
    }

    /// Those that are accepted now, and from now on those that take their place.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Tokens>> {
        self.0.subscribe()
    }

    pub(crate) fn replace(&self, tokens: Tokens) {
        self.0.send_replace(Arc::new(tokens));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: &str = "alpha-0123456789abcdef";
    const BETA: &str = "beta-0123456789abcdef==";

    fn tokens() -> Tokens {
        let token = |text| Token::new(text).unwrap();
        Tokens::new(vec![token(ALPHA)], vec![token(BETA)])
    }

    #[test]
    fn a_token_allows_what_it_was_given_for_and_nothing_like_it_does() {
        let tokens = tokens();
        let scopes = |text| tokens.check(text).map(|grant| grant.scopes().to_string());
        assert_eq!(scopes(ALPHA).as_deref(), Some("command:*"));
        assert_eq!(scopes(BETA).as_deref(), Some("read:*"));
        for other in [
            "",
            "alpha",
            &ALPHA[..ALPHA.len() - 1],
            &format!("{ALPHA}0"),
            &format!("{ALPHA}\0"),
            &format!("{ALPHA} "),
            &"x".repeat(10_000),
        ] {
            assert_eq!(tokens.check(other), None, "{other}");
        }
        assert_eq!(Tokens::default().check(ALPHA), None);
    }

    #[test]
    fn two_tokens_of_one_client_count_both_until_one_is_taken_away() {
        let scopes: Scopes = "read:orders".parse().unwrap();
        let token = |text| Token::new(text).unwrap();
        let both = tokens()
            .with("shipping", scopes.clone(), token("old-0123456789abcdef"))
            .with("shipping", scopes, token("new-0123456789abcdef"));
        let client = |text| both.check(text).map(|grant| grant.client().to_owned());
        for text in ["old-0123456789abcdef", "new-0123456789abcdef"] {
            assert_eq!(client(text).as_deref(), Some("shipping"));
        }
        assert_eq!(client(ALPHA).as_deref(), Some("command-1"));
        assert_eq!(client(BETA).as_deref(), Some("read-1"));
    }

    #[test]
    fn tokens_are_not_printed() {
        let printed = format!("{:?} {:#?}", tokens(), tokens());
        assert!(!printed.contains("0123"), "{printed}");
    }
}
