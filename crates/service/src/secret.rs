//! Bearer tokens: kept out of sight, compared in constant time.

use std::fmt;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// The shortest token, in bytes: shorter ones can be guessed.
pub const MIN_TOKEN_BYTES: usize = 16;

/// The longest token, in bytes: every comparison costs as much as one of this length.
pub const MAX_TOKEN_BYTES: usize = 256;

/// A bearer token. It is never printed, and its memory is wiped.
#[derive(Clone)]
pub struct Token {
    /// The token, followed by zeros. All tokens have one length here, so that a comparison tells nothing of it.
    /// Boxed, because a value that moves would leave copies behind that nobody wipes.
    padded: Box<Zeroizing<[u8; MAX_TOKEN_BYTES]>>,
    length: usize,
}

/// A text is no bearer token. The message does not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} letters, digits and -._~+/, then = if need be; `openssl rand -hex 32` makes one"
)]
pub struct TokenError;

impl Token {
    /// The token that is written so (RFC 6750's `b64token`).
    ///
    /// # Errors
    ///
    /// [`TokenError`] if the text is too short, too long, or has characters that don't go into a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
        let body = text.trim_end_matches('=');
        if text.len() < MIN_TOKEN_BYTES || body.is_empty() || !body.bytes().all(fits) {
            return Err(TokenError);
        }
        let mut padded = Box::new(Zeroizing::new([0; MAX_TOKEN_BYTES]));
        padded
            .get_mut(..text.len())
            .ok_or(TokenError)?
            .copy_from_slice(text.as_bytes());
        Ok(Self {
            padded,
            length: text.len(),
        })
    }

    /// The token itself, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.padded
            .get(..self.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    fn ct_eq(&self, other: &Self) -> Choice {
        self.padded.as_slice().ct_eq(other.padded.as_slice())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The tokens that a service accepts. Cloning it is cheap, and copies no token.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    command: Arc<[Token]>,
    read: Arc<[Token]>,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading and commanding.
    Command,
    /// Reading alone.
    Read,
}

impl Tokens {
    /// Tokens that may read and command, and tokens that may only read.
    #[must_use]
    pub fn new(command: Vec<Token>, read: Vec<Token>) -> Self {
        Self {
            command: command.into(),
            read: read.into(),
        }
    }

    /// Whether there is none, so that nobody is asked for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.command.is_empty() && self.read.is_empty()
    }

    /// What the presented token allows, if it is one of these.
    ///
    /// Takes as long whichever token it is, and whether it is one.
    #[must_use]
    pub fn check(&self, presented: &str) -> Option<Access> {
        let presented = Token::new(presented).ok()?;
        let among = |tokens: &[Token]| {
            tokens.iter().fold(Choice::from(0), |found, token| {
                found | token.ct_eq(&presented)
            })
        };
        let (command, read) = (among(&self.command), among(&self.read));
        if command.into() {
            Some(Access::Command)
        } else if read.into() {
            Some(Access::Read)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: &str = "alpha-0123456789abcdef";
    const BETA: &str = "beta-0123456789abcdef==";

    fn tokens() -> Tokens {
        Tokens::new(
            vec![Token::new(ALPHA).unwrap()],
            vec![Token::new(BETA).unwrap()],
        )
    }

    #[test]
    fn a_token_allows_what_it_was_given_for_and_nothing_like_it_does() {
        assert_eq!(tokens().check(ALPHA), Some(Access::Command));
        assert_eq!(tokens().check(BETA), Some(Access::Read));
        for other in [
            "",
            "alpha",
            &ALPHA[..ALPHA.len() - 1],
            &format!("{ALPHA}0"),
            &format!("{ALPHA}\0"),
            &format!("{ALPHA} "),
            &"x".repeat(10_000),
        ] {
            assert_eq!(tokens().check(other), None, "{other}");
        }
        assert_eq!(Tokens::default().check(ALPHA), None);
    }

    #[test]
    fn a_token_is_not_printed() {
        let printed = format!("{:?} {:#?}", tokens(), Token::new(ALPHA));
        assert!(!printed.contains("0123"), "{printed}");
    }

    #[test]
    fn what_is_short_long_or_does_not_go_into_a_header_is_no_token() {
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for text in [
            "",
            "short",
            "================",
            "has spaces in it, many",
            "line\nbreak-0123456789",
            "quote\"-0123456789abc",
            "inner=equals-0123456789",
            &long,
        ] {
            assert_eq!(Token::new(text).err(), Some(TokenError), "{text}");
        }
        assert_eq!(Token::new(&long[1..]).unwrap().expose(), &long[1..]);
    }
}
