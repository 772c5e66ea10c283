//! Where the file of a log is.

use std::str::FromStr;

use boxes_recorder::RecorderError;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// The last parameter of the location, which bounds the file.
const MAX_MIB: &str = "?max_mib=";

/// SQLite's pages have 4 KiB unless the file was made otherwise.
const PAGES_PER_MIB: u32 = 256;

/// Reads a path, or a URL such as `sqlite:data/orders.sqlite?max_mib=1024`.
///
/// # Errors
///
/// [`RecorderError::Mismatch`] if it names no file.
pub(crate) fn parse(location: &str) -> Result<SqliteConnectOptions, RecorderError> {
    if location.is_empty() || location.contains(":memory:") || location.contains("mode=memory") {
        return Err(mismatch(format!(
            "`{location}` names no file: give the path of one, or use the memory recorder if nothing has to last"
        )));
    }
    let (location, limit) = match location.rsplit_once(MAX_MIB) {
        Some((location, mib)) => (location, Some(mib)),
        None => (location, None),
    };
    let mut options = if location.starts_with("sqlite:") {
        SqliteConnectOptions::from_str(location).map_err(|error| {
            mismatch(format!(
                "`{location}` is not the URL of a SQLite file: {error}"
            ))
        })?
    } else {
        SqliteConnectOptions::new().filename(location)
    };
    if let Some(mib) = limit {
        let pages = mib
            .parse::<u32>()
            .ok()
            .filter(|mib| *mib > 0)
            .and_then(|mib| mib.checked_mul(PAGES_PER_MIB))
            .ok_or_else(|| mismatch("`max_mib` is a number of MiB from 1".to_owned()))?;
        options = options.pragma("max_page_count", pages.to_string());
    }
    Ok(options.disable_statement_logging())
}

pub(crate) const fn mismatch(reason: String) -> RecorderError {
    RecorderError::Mismatch { reason }
}
