//! Flags before variables before the file: which value holds, and where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::ConfigError;
use crate::setting::{CONFIG, SETTINGS, Setting, Shape};

/// The most of a value that an error repeats, in characters.
const MAX_QUOTED: usize = 80;

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What was given for the settings, by one source: values as they were written.
pub(crate) type Values = BTreeMap<&'static str, Vec<String>>;

/// Where a value came from, in the words that its reader would use for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Positional(&'static str),
    Flag(&'static str),
    Variable(&'static str),
    File { path: PathBuf, key: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Positional(name) => write!(f, "[{name}]"),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, key } => write!(f, "`{key}` in {}", path.display()),
        }
    }
}

/// A value as it was written, and where.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) value: String,
    pub(crate) origin: Origin,
    /// Whether it may be a piece of a URL that holds a password with a comma, so that no error may repeat it.
    pub(crate) is_fragment: bool,
}

impl Given {
    /// Reads the value, or says what would be right.
    pub(crate) fn parse<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        read(self.value.trim()).ok_or_else(|| self.wrong(expected))
    }

    /// The error that a source has two values for one name.
    fn twice(&self, name: &str) -> ConfigError {
        let name = if self.is_fragment { HIDDEN } else { name };
        let of = if name.is_empty() {
            String::new()
        } else {
            format!(" for `{name}`")
        };
        ConfigError::Value {
            origin: self.origin.to_string(),
            problem: format!("has two values{of}: leave one of them out"),
        }
    }

    /// The error that the value is not what was expected.
    pub(crate) fn wrong(&self, expected: &str) -> ConfigError {
        let shown = if self.is_fragment {
            HIDDEN.to_owned()
        } else {
            without_password(&self.value)
        };
        let quoted: String = shown.chars().take(MAX_QUOTED).collect();
        ConfigError::Value {
            origin: self.origin.to_string(),
            problem: format!("is `{quoted}`: expected {expected}"),
        }
    }
}

/// What is shown in the place of what may be secret.
const HIDDEN: &str = "***";

/// What an error may repeat of a value that may be a URL, or meant to be one: nothing in which a password may be.
fn without_password(value: &str) -> String {
    if let Some((scheme, _)) = value.split_once("://") {
        return format!("{scheme}://{HIDDEN}");
    }
    match value.split_once(':') {
        Some((scheme, _)) if is_database(scheme) || value.contains('@') => {
            format!("{scheme}:{HIDDEN}")
        }
        _ if value.contains('@') => HIDDEN.to_owned(),
        _ => value.to_owned(),
    }
}

fn is_database(scheme: &str) -> bool {
    ["postgres", "mysql", "mariadb"]
        .iter()
        .any(|database| scheme.contains(database))
}

/// The three sources, strongest first.
#[derive(Debug)]
pub(crate) struct Layers {
    flags: Values,
    variables: BTreeMap<String, String>,
    file: Option<(PathBuf, toml::Table)>,
}

impl Layers {
    /// Puts flags over variables over the file that either of them names.
    pub(crate) fn new(
        flags: Values,
        variables: BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self {
            flags,
            variables,
            file: None,
        };
        if let Some(path) = layers.one(&CONFIG)? {
            layers.file = Some(read_file(&path)?);
        }
        Ok(layers)
    }

    /// The value of a setting that has one.
    pub(crate) fn one(&self, setting: &Setting) -> Result<Option<Given>, ConfigError> {
        for source in self.sources(setting)? {
            if let Some((_, given)) = source.into_iter().next_back() {
                return Ok(Some(given));
            }
        }
        Ok(None)
    }

    /// Whether the variable of a setting is set, and has nothing in it.
    pub(crate) fn has_empty_variable(&self, setting: &Setting) -> bool {
        let text = self.variables.get(setting.variable);
        text.is_some_and(|text| text.trim().is_empty())
    }

    /// The values of a setting that has several: all of the strongest source that has any.
    pub(crate) fn list(&self, setting: &Setting) -> Result<Vec<Given>, ConfigError> {
        for source in self.sources(setting)? {
            if !source.is_empty() {
                return Ok(source.into_iter().map(|(_, given)| given).collect());
            }
        }
        Ok(Vec::new())
    }

    /// The values of a setting by name, each from the strongest source that has it. The name is empty for the
    /// value that stands for all.
    pub(crate) fn entries(
        &self,
        setting: &Setting,
    ) -> Result<BTreeMap<String, Given>, ConfigError> {
        let mut entries = BTreeMap::new();
        for source in self.sources(setting)?.into_iter().rev() {
            let mut names = BTreeSet::new();
            for (name, given) in source {
                if !names.insert(name.clone()) {
                    return Err(given.twice(&name));
                }
                entries.insert(name, given);
            }
        }
        Ok(entries)
    }

    /// What each source says, strongest first, by name (the name is empty where the shape has none).
    fn sources(&self, setting: &Setting) -> Result<[Vec<(String, Given)>; 3], ConfigError> {
        let flag = setting
            .flag
            .map_or(Origin::Positional(setting.value), Origin::Flag);
        let flags = self.flags.get(setting.id()).into_iter().flatten();
        let flags = named(setting, flags.map(|text| (text.clone(), false)), &flag)?;

        let origin = Origin::Variable(setting.variable);
        // An empty variable is one that a file of variables left blank: as if it were not there.
        let text = self
            .variables
            .get(setting.variable)
            .map(String::as_str)
            .filter(|text| !text.trim().is_empty());
        let variables = match (text, setting.shape) {
            (None, _) => Vec::new(),
            (Some(text), Shape::One) => {
                named(setting, std::iter::once((text.to_owned(), false)), &origin)?
            }
            (Some(text), _) => named(setting, split(text).into_iter(), &origin)?,
        };
        Ok([flags, variables, self.file_values(setting)?])
    }

    fn file_values(&self, setting: &Setting) -> Result<Vec<(String, Given)>, ConfigError> {
        let (Some((path, table)), Some(key)) = (&self.file, setting.key) else {
            return Ok(Vec::new());
        };
        let Some(value) = table.get(key) else {
            return Ok(Vec::new());
        };
        let origin = |key: String| Origin::File {
            path: path.clone(),
            key,
        };
        let wrong = |key: String, expected: &str| ConfigError::Value {
            origin: origin(key).to_string(),
            problem: format!("has the wrong type: expected {expected}"),
        };
        let scalar = |key: String, value: &toml::Value| match value {
            toml::Value::String(text) => Ok(Given {
                value: text.clone(),
                origin: origin(key),
                is_fragment: false,
            }),
            toml::Value::Integer(number) => Ok(Given {
                value: number.to_string(),
                origin: origin(key),
                is_fragment: false,
            }),
            toml::Value::Float(number) => Ok(Given {
                value: number.to_string(),
                origin: origin(key),
                is_fragment: false,
            }),
            _ => Err(wrong(key, setting.value)),
        };
        match (setting.shape, value) {
            (Shape::One, value) => Ok(vec![(String::new(), scalar(key.to_owned(), value)?)]),
            (Shape::List, toml::Value::Array(values)) => values
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    Ok((String::new(), scalar(format!("{key}[{index}]"), value)?))
                })
                .collect(),
            (Shape::List, _) => Err(wrong(key.to_owned(), "an array")),
            (Shape::Entries | Shape::EntriesOrAll, toml::Value::Table(table)) => table
                .iter()
                .map(|(name, value)| Ok((name.clone(), scalar(format!("{key}.{name}"), value)?)))
                .collect(),
            (Shape::Entries, _) => Err(wrong(key.to_owned(), "a table")),
            (Shape::EntriesOrAll, value) => {
                Ok(vec![(String::new(), scalar(key.to_owned(), value)?)])
            }
        }
    }
}

/// The parts of a list in a variable, each with whether it may be a fragment of a URL whose password holds a comma: that
/// begins without a host in one part, and ends with one in another.
fn split(text: &str) -> Vec<(String, bool)> {
    let parts = text.split(',').map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let mut found: Vec<(String, bool)> = Vec::new();
    let mut open = None;
    for part in parts {
        if let Some((last, _)) = found
            .last_mut()
            .filter(|(last, _)| is_next_host(last, part))
        {
            last.push(',');
            last.push_str(part);
            continue;
        }
        let index = found.len();
        found.push((part.to_owned(), false));
        match (part.split_once("://"), open) {
            (Some((_, rest)), _) => open = (!rest.contains('@')).then_some(index),
            (None, Some(begin)) if part.contains('@') => {
                let fragments = found.iter_mut().skip(begin);
                fragments.for_each(|(_, is_fragment)| *is_fragment = true);
            }
            (None, _) => {}
        }
    }
    found
}

/// Whether it is the next host of the URL before it, which has not come to its path yet: `postgres://shop@a:5432,b:5432/shop`.
fn is_next_host(before: &str, part: &str) -> bool {
    let Some((_, authority)) = before.rsplit_once("://") else {
        return false;
    };
    let begins_entry = part
        .split_once('=')
        .is_some_and(|(name, _)| is_log_name(name.trim()));
    !authority.contains('/') && !part.contains("://") && !part.contains('@') && !begins_entry
}

/// Splits `NAME=VALUE` where the setting has values by name.
fn named(
    setting: &Setting,
    values: impl Iterator<Item = (String, bool)>,
    origin: &Origin,
) -> Result<Vec<(String, Given)>, ConfigError> {
    let mut found = Vec::new();
    for (text, is_fragment) in values {
        let given = |value: &str| Given {
            value: value.to_owned(),
            origin: origin.clone(),
            is_fragment,
        };
        let entry = match setting.shape {
            Shape::One | Shape::List => (String::new(), given(&text)),
            Shape::Entries | Shape::EntriesOrAll => match text.split_once('=') {
                Some((name, value))
                    if is_log_name(name.trim()) && !value.trim_matches('=').is_empty() =>
                {
                    (name.trim().to_owned(), given(value.trim()))
                }
                _ if setting.shape == Shape::EntriesOrAll => (String::new(), given(&text)),
                _ => return Err(given(&text).wrong(setting.value)),
            },
        };
        found.push(entry);
    }
    Ok(found)
}

/// Whether a box can have this name: it is a path segment, a file name and a part of topics.
pub(crate) fn is_box_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 63
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether a log can have this name: that of its box, or the box's and its own, as in `orders/sales`.
pub(crate) fn is_log_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((of_box, own)) => is_box_name(of_box) && is_box_name(own),
        None => is_box_name(name),
    }
}

fn read_file(given: &Given) -> Result<(PathBuf, toml::Table), ConfigError> {
    let path = PathBuf::from(given.value.trim());
    let unreadable = |reason: String| ConfigError::File {
        path: path.clone(),
        reason,
    };
    let text = read_bounded(&path, MAX_FILE_BYTES).map_err(unreadable)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.lines().count().max(1));
        ConfigError::File {
            path: path.clone(),
            reason: format!("line {line}: {}", error.message()),
        }
    })?;
    let known: Vec<&str> = SETTINGS.iter().filter_map(|setting| setting.key).collect();
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(ConfigError::UnknownKey {
            path,
            key: unknown.clone(),
            known: known.join(", "),
        });
    }
    Ok((path, table))
}

/// The text of a small file.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> Result<String, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > max_bytes {
        return Err(format!("it has {size} bytes; {max_bytes} are the most"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_a_url_stay_together_and_entries_do_not() {
        let split = |text| {
            let parts = split(text).into_iter();
            parts.map(|(part, _)| part).collect::<Vec<_>>()
        };
        assert_eq!(
            split("orders=postgres://u@a:5432,b:5432/shop?schema=x,payments=sqlite:p.db"),
            [
                "orders=postgres://u@a:5432,b:5432/shop?schema=x",
                "payments=sqlite:p.db"
            ]
        );
        assert_eq!(
            split("orders=mysql://a,b,c/shop, payments=mysql://a/shop"),
            ["orders=mysql://a,b,c/shop", "payments=mysql://a/shop"]
        );
        assert_eq!(
            split("orders=http://a:80,payments=http://b"),
            ["orders=http://a:80", "payments=http://b"]
        );
        assert_eq!(split("orders,payments"), ["orders", "payments"]);
    }
}
