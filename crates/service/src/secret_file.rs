//! Files that hold secrets: small, and not to be changed by others.

use std::path::Path;

use zeroize::Zeroizing;

use crate::ConfigError;
use crate::layers::{Given, Layers, read_bounded};
use crate::setting::{self, Setting};

/// The largest file of tokens, keys or certificates, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The settings that name files which no one else should read.
const OF_SECRETS: [Setting; 7] = [
    setting::CLIENTS_FILE,
    setting::TOKENS_FILE,
    setting::READ_TOKENS_FILE,
    setting::UPSTREAM_TOKEN_FILE,
    setting::KEYS_FILE,
    setting::SEAL_KEY_FILE,
    setting::TLS_KEY,
];

/// The text of the file that a setting names.
///
/// # Errors
///
/// [`ConfigError::Value`] if it can't be read, or other users of the machine can write to it: they could let themselves in.
pub(crate) fn read_secret_file(given: &Given) -> Result<Zeroizing<String>, ConfigError> {
    let path = Path::new(given.value.trim());
    let wrong = |problem: String| ConfigError::Value {
        origin: given.origin.to_string(),
        problem: format!("names {}, which {problem}", path.display()),
    };
    check_writers(path).map_err(wrong)?;
    let text = read_bounded(path, MAX_BYTES);
    let text = text.map_err(|reason| wrong(format!("can't be read: {reason}")))?;
    Ok(Zeroizing::new(text))
}

/// Whether only the file's owner and group can write to it; otherwise what is wrong with it, and what to do.
///
/// A file that is not there is left to the one who reads it.
pub(crate) fn check_writers(path: &Path) -> Result<(), String> {
    const WRITABLE: u32 = 0o002;
    match others(path) {
        Some(mode) if mode & WRITABLE != 0 => Err(format!(
            "other users can write to (mode {mode:04o}): `chmod 600` it, and check what it holds"
        )),
        _ => Ok(()),
    }
}

/// A sentence for each secret file that other users can read.
///
/// # Errors
///
/// As for the settings that name them.
pub(crate) fn warnings(layers: &Layers) -> Result<Vec<String>, ConfigError> {
    const READABLE: u32 = 0o004;
    let mut warnings = Vec::new();
    for setting in &OF_SECRETS {
        for given in layers.entries(setting)?.into_values() {
            if let Some(mode) = others(Path::new(given.value.trim()))
                && mode & READABLE != 0
            {
                warnings.push(format!(
                    "{} names {}, which other users can read (mode {mode:04o}): `chmod 600` it",
                    given.origin, given.value
                ));
            }
        }
    }
    Ok(warnings)
}

/// The permission bits of a file, where the system has such.
#[cfg(unix)]
fn others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    Some(mode & 0o7777)
}

#[cfg(not(unix))]
fn others(_: &Path) -> Option<u32> {
    None
}
