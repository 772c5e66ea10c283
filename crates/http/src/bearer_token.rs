//! What a reader shows to be let in.

use std::fmt;

use axum::http::HeaderValue;
use thiserror::Error;

/// A bearer token (RFC 6750), which is never printed.
///
/// ```
/// let token = boxes_http::BearerToken::new("s3cret")?;
/// assert_eq!(format!("{token:?}"), "BearerToken(…)");
/// # Ok::<(), boxes_http::InvalidToken>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    header: HeaderValue,
}

/// A text is no bearer token: it is empty, or has characters that can't be sent. The text is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a bearer token is one word of visible ASCII characters")]
pub struct InvalidToken;

impl BearerToken {
    /// The token that is this text; space around it, such as the end of a line in a file, is no part of it.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] if it is empty, or has other than visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken);
        }
        let mut header =
            HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| InvalidToken)?;
        header.set_sensitive(true);
        Ok(Self { header })
    }

    /// The value of `Authorization`, marked as sensitive.
    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_visible_word() {
        for text in ["", " ", "a b", "a\nb", "ü", "a\u{7f}"] {
            assert_eq!(BearerToken::new(text), Err(InvalidToken), "{text:?}");
        }
        assert_eq!(
            BearerToken::new(" s3cret\n").unwrap().header(),
            "Bearer s3cret"
        );
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = BearerToken::new("s3cret").unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("s3cret"));
    }
}
