//! Which tokens a service is told to accept, and to send.

use std::collections::BTreeMap;

use crate::config::read_secret_file;
use crate::layers::{Given, Layers, is_box_name};
use crate::scope::SCOPE;
use crate::setting::{self, Setting};
use crate::{ConfigError, Scopes, Token, Tokens};

/// The tokens that are accepted: those without a name, those that may only read, and those whose scopes stand by name.
pub(crate) fn accepted_tokens(layers: &Layers) -> Result<Tokens, ConfigError> {
    let scopes = scopes(layers)?;
    let (mut command, mut named) = (Vec::new(), Vec::new());
    for given in given_tokens(layers, &setting::TOKENS, &setting::TOKENS_FILE)? {
        let Some((name, text)) = split_name(&given.text) else {
            command.push(given.token(&given.text)?);
            continue;
        };
        let Some(scopes) = scopes.get(name) else {
            return Err(ConfigError::Value {
                origin: given.origin,
                problem: format!(
                    "has a token of `{name}`, and nothing says what it allows: set --scopes {name}=read:BOX"
                ),
            });
        };
        named.push((name.to_owned(), scopes.clone(), given.token(text)?));
    }
    let mut read = Vec::new();
    for given in given_tokens(layers, &setting::READ_TOKENS, &setting::READ_TOKENS_FILE)? {
        read.push(given.token(&given.text)?);
    }
    let tokens = Tokens::new(command, read);
    Ok(named
        .into_iter()
        .fold(tokens, |tokens, (name, scopes, token)| {
            tokens.with(name, scopes, token)
        }))
}

/// A token for each upstream: a variable before a file, one by name before the one for all.
pub(crate) fn upstream_tokens(layers: &Layers) -> Result<BTreeMap<String, Token>, ConfigError> {
    let mut tokens = BTreeMap::new();
    for (name, given) in layers.entries(&setting::UPSTREAM_TOKEN_FILE)? {
        let text = read_secret_file(&given)?;
        let origin = format!("{} ({})", given.origin, given.value);
        tokens.insert(name, token(text.trim(), &origin)?);
    }
    for (name, given) in layers.entries(&setting::UPSTREAM_TOKEN)? {
        tokens.insert(name, token(&given.value, &given.origin.to_string())?);
    }
    Ok(tokens)
}

/// What the tokens of each name allow.
pub(crate) fn scopes(layers: &Layers) -> Result<BTreeMap<String, Scopes>, ConfigError> {
    let mut scopes = BTreeMap::new();
    for (name, given) in layers.entries(&setting::SCOPES)? {
        if !is_box_name(&name) {
            return Err(ConfigError::Value {
                origin: given.origin.to_string(),
                problem: format!(
                    "names `{name}`: a name is a lower-case letter, then lower-case letters, digits and hyphens"
                ),
            });
        }
        let expected = format!("scopes with spaces between them, each {SCOPE}");
        scopes.insert(name, given.parse(&expected, |text| text.parse().ok())?);
    }
    Ok(scopes)
}

/// A token as it was written, and where.
struct GivenToken {
    text: zeroize::Zeroizing<String>,
    origin: String,
}

impl GivenToken {
    fn token(&self, text: &str) -> Result<Token, ConfigError> {
        token(text, &self.origin)
    }
}

/// The tokens of the variable, then those of the file.
fn given_tokens(
    layers: &Layers,
    variable: &Setting,
    file: &Setting,
) -> Result<Vec<GivenToken>, ConfigError> {
    let mut tokens = Vec::new();
    for given in layers.list(variable)? {
        tokens.push(GivenToken {
            text: given.value.trim().to_owned().into(),
            origin: given.origin.to_string(),
        });
    }
    if let Some(given) = layers.one(file)? {
        let in_file = tokens_in_file(&given)?;
        if in_file.is_empty() {
            return Err(ConfigError::Value {
                origin: given.origin.to_string(),
                problem: format!("names {}, which holds no token", given.value),
            });
        }
        tokens.extend(in_file);
    }
    Ok(tokens)
}

fn tokens_in_file(given: &Given) -> Result<Vec<GivenToken>, ConfigError> {
    let text = read_secret_file(given)?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens = lines.map(|line| GivenToken {
        text: line.to_owned().into(),
        origin: format!("{} ({})", given.origin, given.value),
    });
    Ok(tokens.collect())
}

/// `NAME=TOKEN`; not a token that ends with `=`.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, token) = text.split_once('=')?;
    let (name, token) = (name.trim(), token.trim());
    (is_box_name(name) && !token.trim_matches('=').is_empty()).then_some((name, token))
}

fn token(text: &str, origin: &str) -> Result<Token, ConfigError> {
    Token::new(text).map_err(|error| ConfigError::Value {
        origin: origin.to_owned(),
        problem: format!("holds no usable token: {error}"),
    })
}
