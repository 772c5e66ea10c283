//! How a service is told to write, compress and encrypt events.

use std::collections::BTreeMap;

use boxes_mapper::{Encryption, Keys, KeysError, Mapper};

use crate::layers::{Given, Layers, is_box_name};
use crate::secret_file::read_secret_file;
use crate::setting;
use crate::{ConfigError, StateFormat};

/// What the settings say of how events are stored.
pub(crate) fn mapper(layers: &Layers) -> Result<Mapper, ConfigError> {
    let mapper = match layers.one(&setting::COMPRESS)? {
        Some(given) if yes(&given, "zlib", "none")? => Mapper::default().compressed(),
        _ => Mapper::default(),
    };
    let topics = layers.list(&setting::ENCRYPT)?;
    let refuses_clear = match layers.one(&setting::IN_THE_CLEAR)? {
        Some(given) => yes(&given, "refuse", "read")?,
        None => false,
    };
    let Some(keys) = keys(layers)? else {
        let encrypts_none = topics.iter().all(|given| given.value.trim() == "none");
        if encrypts_none && !refuses_clear {
            return Ok(mapper);
        }
        return Err(ConfigError::Together {
            reason: "events are to be encrypted, and there are no keys: set BOXES_KEYS or --keys-file, or leave --encrypt and --in-the-clear out".to_owned(),
        });
    };
    let encryption = which(keys, &topics)?;
    Ok(mapper.encrypted(if refuses_clear {
        encryption.required()
    } else {
        encryption
    }))
}

/// Whether the settings say that nothing is to be encrypted, instead of leaving it open.
pub(crate) fn is_none(layers: &Layers) -> Result<bool, ConfigError> {
    let topics = layers.list(&setting::ENCRYPT)?;
    Ok(!topics.is_empty() && topics.iter().all(|given| given.value.trim() == "none"))
}

/// The formats of events by box; under an empty name for all others.
pub(crate) fn formats(layers: &Layers) -> Result<BTreeMap<String, StateFormat>, ConfigError> {
    let mut formats = BTreeMap::new();
    for (name, given) in layers.entries(&setting::FORMAT)? {
        if !name.is_empty() && !is_box_name(&name) {
            return Err(ConfigError::Value {
                origin: given.origin.to_string(),
                problem: format!("names `{name}`, which can't be a box"),
            });
        }
        let format = given.parse("`json` or `messagepack`, or BOX=json", |text| match text {
            "json" => Some(StateFormat::Json),
            "messagepack" => Some(StateFormat::MessagePack),
            _ => None,
        })?;
        formats.insert(name, format);
    }
    Ok(formats)
}

/// Whether a setting that knows two values has the first of them.
fn yes(given: &Given, yes: &str, no: &str) -> Result<bool, ConfigError> {
    given.parse(&format!("`{yes}` or `{no}`"), |text| {
        (text == yes || text == no).then_some(text == yes)
    })
}

fn keys(layers: &Layers) -> Result<Option<Keys>, ConfigError> {
    let unusable = |origin: String| {
        move |error: KeysError| ConfigError::Value {
            origin,
            problem: error.to_string(),
        }
    };
    // As if it were not there, it would be plaintext that is written: and somebody meant to set keys.
    for setting in [&setting::KEYS, &setting::KEYS_FILE] {
        if layers.has_empty_variable(setting) {
            return Err(ConfigError::Value {
                origin: setting.variable.to_owned(),
                problem: "is set and empty: set it to the keys, or unset it".to_owned(),
            });
        }
    }
    // Which key encrypts depends on their order, so there is one place for them.
    match (
        layers.one(&setting::KEYS)?,
        layers.one(&setting::KEYS_FILE)?,
    ) {
        (None, None) => Ok(None),
        (Some(given), None) => given
            .value
            .parse()
            .map(Some)
            .map_err(unusable(given.origin.to_string())),
        (None, Some(given)) => read_secret_file(&given)?
            .parse()
            .map(Some)
            .map_err(unusable(format!("{} ({})", given.origin, given.value))),
        (Some(_), Some(file)) => Err(ConfigError::Together {
            reason: format!(
                "keys are given by BOXES_KEYS and by {}: put all into one of them, the current one first",
                file.origin
            ),
        }),
    }
}

fn which(keys: Keys, given: &[Given]) -> Result<Encryption, ConfigError> {
    let mut topics = Vec::new();
    for entry in given {
        let topic = entry.parse(
            "`all`, `none`, or a topic such as `orders.order.placed`",
            |text| {
                (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
            },
        )?;
        if given.len() > 1 && (topic == "all" || topic == "none") {
            return Err(entry.wrong("topics alone, or `all` or `none` alone"));
        }
        topics.push(topic);
    }
    Ok(match topics.first().map(String::as_str) {
        None | Some("all") => Encryption::all(keys),
        Some("none") => Encryption::none(keys),
        Some(_) => Encryption::only(keys, topics),
    })
}
