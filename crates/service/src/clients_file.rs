//! The file of clients: who may use a service, with which tokens, for what.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::layers::{Given, is_box_name};
use crate::scope::SCOPE;
use crate::secret_file::read_secret_file;
use crate::{ConfigError, Scopes, Token, Tokens};

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientsFile {
    clients: BTreeMap<String, Client>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    tokens: Vec<SecretText>,
    scopes: ScopesText,
}

/// A text whose memory is wiped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretText(Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// Scopes in one text with spaces between them, or one text for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopesText {
    Together(String),
    Each(Vec<String>),
}

/// The tokens of the clients that the file lists.
///
/// ```toml
/// [clients.shipping]
/// tokens = ["6d1f…"]            # two while one replaces the other
/// scopes = "read:orders"
/// ```
///
/// # Errors
///
/// [`ConfigError`] for the first thing that is wrong, without the text of a token. It is read as a whole or not at all.
pub(crate) fn read_clients(given: &Given) -> Result<Tokens, ConfigError> {
    let text = read_secret_file(given)?;
    let wrong = |problem: String| ConfigError::Value {
        origin: format!("{} ({})", given.origin, given.value.trim()),
        problem,
    };
    // Only the position and the name of what is wrong are repeated: the text around it may hold a token.
    let file: ClientsFile = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.lines().count().max(1));
        wrong(format!(
            "is no file of clients: line {line}: {}",
            kind(error.message())
        ))
    })?;
    if file.clients.is_empty() {
        return Err(wrong("names no client".to_owned()));
    }
    let mut tokens = Tokens::default();
    for (name, client) in file.clients {
        if !is_box_name(&name) {
            return Err(wrong(format!(
                "names the client `{name}`: a name is a lower-case letter, then lower-case letters, digits and hyphens, at most 63 in all"
            )));
        }
        let scopes = match client.scopes {
            ScopesText::Together(text) => text,
            ScopesText::Each(texts) => texts.join(" "),
        };
        let scopes: Scopes = scopes.parse().map_err(|_| {
            wrong(format!(
                "has the scopes `{scopes}` for `{name}`: expected one or more of {SCOPE}"
            ))
        })?;
        if client.tokens.is_empty() {
            return Err(wrong(format!(
                "has no token for `{name}`: leave the client out instead"
            )));
        }
        for SecretText(text) in &client.tokens {
            let token = Token::new(text)
                .map_err(|error| wrong(format!("holds no usable token for `{name}`: {error}")))?;
            tokens = tokens.with(name.clone(), scopes.clone(), token);
        }
    }
    Ok(tokens)
}

/// What is wrong, without a value: messages name unknown keys and missing ones, but may also repeat values.
fn kind(message: &str) -> &str {
    const WITHOUT_VALUES: [&str; 3] = ["unknown field", "missing field", "duplicate key"];
    if WITHOUT_VALUES.iter().any(|kind| message.starts_with(kind)) {
        message
    } else {
        "expected tables `[clients.NAME]` with `tokens = [\"…\"]` and `scopes = \"read:BOX\"`"
    }
}
