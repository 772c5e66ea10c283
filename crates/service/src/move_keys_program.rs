//! The command `move-keys` of a program.

use std::process::ExitCode;

use boxes_application::MovedKeys;
use clap::Args;

use crate::key_store_options::KeyStoreOptions;
use crate::store_options::{StoreArguments, refused};
use crate::{BoundedContext, Result, print_line};

/// What the command line of `move-keys` says.
pub type MoveKeysOptions = KeyStoreOptions<MoveKeysArguments>;

/// Nothing: the settings say it all.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Start every service with --subject-keys first: then it makes new keys there, and finds the old ones where they are. Run this once for each service, with its --data or --store. Services may run at the same time. Safe to repeat. Events and pages stay as they are."
)]
pub struct MoveKeysArguments {}

impl StoreArguments for MoveKeysArguments {}

/// Moves the keys of subjects from the stores of these boxes to the store of `--subject-keys`, and prints how many that were.
pub(crate) async fn move_keys(contexts: &[BoundedContext], options: &MoveKeysOptions) -> Result {
    let stores = options.open(contexts).await?;
    let Some(shared) = &stores.config.subject_keys else {
        return Err(refused(
            "name the store that all services are to share, with --subject-keys or BOXES_SUBJECT_KEYS"
                .to_owned(),
        ));
    };
    let MovedKeys {
        n_keys,
        n_forgotten,
    } = stores.keys.move_here().await?;
    print_line(format_args!(
        "Moved {n_keys} keys of subjects and {n_forgotten} marks of forgotten ones to {shared}. Looked in {}.",
        stores.looked_in.join(", ")
    ))?;
    Ok(ExitCode::SUCCESS)
}
