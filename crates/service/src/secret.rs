//! Bearer tokens: kept out of sight, compared in constant time.

use std::fmt;

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
}

impl ConstantTimeEq for Token {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.padded.as_slice().ct_eq(other.padded.as_slice())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let printed = format!("{:#?}", Token::new("alpha-0123456789abcdef"));
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
