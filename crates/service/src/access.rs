//! Which tokens a service is told to accept, and to send.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;

use crate::clients_file::read_clients;
use crate::layers::{Given, Layers, is_box_name};
use crate::scope::SCOPE;
use crate::secret_file::read_secret_file;
use crate::setting::{self, Setting};
use crate::{ConfigError, Scopes, Token, Tokens};

/// The settings that the file of clients replaces.
const BEFORE_CLIENTS: [Setting; 5] = [
    setting::TOKENS,
    setting::TOKENS_FILE,
    setting::READ_TOKENS,
    setting::READ_TOKENS_FILE,
    setting::SCOPES,
];

/// Where those that are given stand, with commas between.
fn before_clients(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let mut origins = Vec::new();
    for setting in &BEFORE_CLIENTS {
        if let Some(given) = layers.list(setting)?.first() {
            origins.push(given.origin.to_string());
        }
    }
    Ok((!origins.is_empty()).then(|| origins.join(", ")))
}

/// What to say of settings that the file of clients replaces, if any are given.
pub(crate) fn warning(layers: &Layers) -> Result<Option<String>, ConfigError> {
    Ok(before_clients(layers)?.map(|origins| {
        format!(
            "the old settings of tokens and scopes are still read ({origins}): move the clients to one file, and name it with --clients-file"
        )
    }))
}

/// The tokens that are accepted: those of the file of clients, or of the settings that it replaces.
pub(crate) fn accepted_tokens(layers: &Layers) -> Result<Tokens, ConfigError> {
    let Some(file) = layers.one(&setting::CLIENTS_FILE)? else {
        return tokens_before_clients(layers);
    };
    match before_clients(layers)? {
        None => read_clients(&file),
        Some(origins) => Err(ConfigError::Together {
            reason: format!(
                "clients are given by {} and by {origins}: move all of them into the file",
                file.origin
            ),
        }),
    }
}

/// The tokens without a name, those that may only read, and those whose scopes are given by name.
fn tokens_before_clients(layers: &Layers) -> Result<Tokens, ConfigError> {
    let scopes = scopes(layers)?;
    let (mut command, mut named) = (Vec::new(), Vec::new());
    for given in given_tokens(layers, &setting::TOKENS, &setting::TOKENS_FILE)? {
        let Some((name, text)) = split_name(&given.text) else {
            push_new(&mut command, given.token(&given.text)?);
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
        push_new(&mut read, given.token(&given.text)?);
    }
    let tokens = Tokens::new(command, read);
    Ok(named
        .into_iter()
        .fold(tokens, |tokens, (name, scopes, token)| {
            tokens.with(name, scopes, token)
        }))
}

/// Adds a token that is not there yet: to write one twice changes nothing.
fn push_new(tokens: &mut Vec<Token>, token: Token) {
    if !tokens.iter().any(|other| other.ct_eq(&token).into()) {
        tokens.push(token);
    }
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
