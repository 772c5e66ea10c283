//! The command `forget` of a program.

use std::process::ExitCode;

use boxes_application::SubjectKeyProvider;
use boxes_domain::Subject;
use clap::Args;

use crate::key_store_options::KeyStoreOptions;
use crate::store_options::StoreArguments;
use crate::{BoundedContext, Result, print_line};

/// What the command line of `forget` says.
pub type ForgetOptions = KeyStoreOptions<ForgetArguments>;

/// Who is to be forgotten.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "May be run while the boxes run, and again. Replicas hear of it within their --poll-interval. Copies of a database that were made before, such as backups, still have the key, unless it was encrypted by BOXES_KEYS."
)]
pub struct ForgetArguments {
    /// Whom: the name that the boxes have for the subject. It can't be undone.
    #[arg(value_name = "SUBJECT")]
    subject: String,
}

impl StoreArguments for ForgetArguments {}

/// Deletes the key of a subject wherever these boxes keep keys, and prints whether there was one.
pub(crate) async fn forget(contexts: &[BoundedContext], options: &ForgetOptions) -> Result {
    let stores = options.open(contexts).await?;
    let subject = Subject::from(options.own.subject.as_str());
    if stores.keys.forget(&subject).await? {
        print_line(format_args!("`{subject}` is forgotten."))?;
    } else {
        print_line(format_args!(
            "There was nothing to forget of `{subject}` in {}.",
            stores.looked_in.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
