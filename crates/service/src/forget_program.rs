//! The command `forget` of a program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use boxes_application::SubjectKeyProvider;
use boxes_domain::Subject;
use boxes_mapper::SubjectKeyId;
use clap::Args;

use crate::key_store_options::KeyStoreOptions;
use crate::layers::read_bounded;
use crate::store_options::{StoreArguments, refused};
use crate::{BoundedContext, Result, print_line};

/// What the command line of `forget` says.
pub type ForgetOptions = KeyStoreOptions<ForgetArguments>;

/// Who is to be forgotten.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "May be run while the boxes run, and again: it then finishes what was interrupted. Replicas notice within their --poll-interval. Ends with 0 if the subject is forgotten, with 4 if there was nothing to forget, and with 5 if there was nothing in the boxes that were named but is in others of this program.\n\nCopies of a database that were made before, such as backups, still have the key; it is of use to anyone who has the keys in BOXES_KEYS, such as this service after a restore. Keep the output of --list in a place that is not restored with the databases, and after a restore run --apply before the service starts. The list holds ids of keys, and says nothing about subjects."
)]
pub struct ForgetArguments {
    /// The subject's identifier, as the boxes name it. This cannot be undone
    #[arg(value_name = "SUBJECT", required_unless_present_any = ["list", "apply"])]
    subject: Option<String>,
    /// Print the ids of all keys that were deleted, one per line
    #[arg(long, conflicts_with_all = ["subject", "apply"])]
    list: bool,
    /// Delete the keys whose ids are listed in this file, if they are there again
    #[arg(long, value_name = "FILE", conflicts_with = "subject")]
    apply: Option<PathBuf>,
}

impl StoreArguments for ForgetArguments {}

/// There was nothing to forget.
const NOTHING: u8 = 4;

/// There was nothing to forget in the boxes that were named, but there is in others.
const ELSEWHERE: u8 = 5;

/// The largest list of forgotten keys, in bytes: about 7 million.
const MAX_LIST_BYTES: u64 = 256 * 1024 * 1024;

/// Deletes the key of a subject wherever these boxes keep keys, and prints whether there was one.
pub(crate) async fn forget(contexts: &[BoundedContext], options: &ForgetOptions) -> Result {
    let stores = options.open(contexts).await?;
    if options.own.list {
        for id in stores.keys.forgotten().await? {
            print_line(id)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &options.own.apply {
        let ids = listed(file)?;
        let n_deleted = stores.keys.forget_again(&ids).await?;
        print_line(format_args!(
            "{} keys are forgotten; {n_deleted} of them were there again, and are deleted.",
            ids.len()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let subject = Subject::from(options.own.subject.as_deref().unwrap_or_default());
    if stores.keys.forget(&subject).await? {
        print_line(format_args!("`{subject}` is forgotten."))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(format_args!(
        "There was nothing to forget of `{subject}` in {}.",
        stores.looked_in.join(", ")
    ))?;
    let others = options.open_others(contexts).await?;
    let mut known_in = Vec::new();
    for (name, keys) in others {
        if keys.is_known(&subject).await? {
            known_in.push(name);
        }
    }
    if known_in.is_empty() {
        return Ok(ExitCode::from(NOTHING));
    }
    eprintln!(
        "error: `{subject}` is known to {}: run this without the names of boxes",
        known_in.join(", ")
    );
    Ok(ExitCode::from(ELSEWHERE))
}

fn listed(file: &Path) -> Result<BTreeSet<SubjectKeyId>> {
    let unusable = |reason: String| refused(format!("{}: {reason}", file.display()));
    let text = read_bounded(file, MAX_LIST_BYTES).map_err(unusable)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let id = line.parse().map(SubjectKeyId);
            id.map_err(|_| unusable(format!("`{line}` is not the id of a key")))
        })
        .collect()
}
