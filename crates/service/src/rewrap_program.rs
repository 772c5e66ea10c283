//! The command `rewrap-keys` of a program.

use std::process::ExitCode;

use boxes_application::Rewrapped;
use clap::Args;

use crate::key_store_options::KeyStoreOptions;
use crate::store_options::{StoreArguments, refused};
use crate::{BoundedContext, Result, print_line};

/// What the command line of `rewrap-keys` says.
pub type RewrapKeysOptions = KeyStoreOptions<RewrapKeysArguments>;

/// Nothing: the settings say it all.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The current key is the first of BOXES_KEYS or --keys-file; have the older ones behind it. Give it to every service that uses these stores first: one without it can't read their keys any more. May be run while the boxes run, and again: who is forgotten meanwhile stays forgotten. Events and pages stay as they are."
)]
pub struct RewrapKeysArguments {}

impl StoreArguments for RewrapKeysArguments {
    const MORE_SETTINGS: &'static [&'static str] = &["keys-file"];
}

/// Encrypts the keys of subjects with the current key wherever these boxes keep them, and prints how many that were.
pub(crate) async fn rewrap_keys(
    contexts: &[BoundedContext],
    options: &RewrapKeysOptions,
) -> Result {
    let stores = options.open(contexts).await?;
    let Some(wrapping) = stores.config.mapper.keys() else {
        return Err(refused(
            "there is no key to encrypt them with: set BOXES_KEYS or --keys-file".to_owned(),
        ));
    };
    let (current, _) = wrapping.current();
    let Rewrapped { n_keys, n_new } = stores.keys.wrapped_by(wrapping).rewrap().await?;
    print_line(format_args!(
        "{n_keys} keys of subjects are encrypted with key {current} in {}; this run did {n_new} of them.",
        stores.looked_in.join(", ")
    ))?;
    Ok(ExitCode::SUCCESS)
}
