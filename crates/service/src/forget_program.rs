//! The command `forget` of a program.

use std::process::ExitCode;

use boxes_application::SubjectKeyProvider;
use boxes_domain::Subject;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::program::environment;
use crate::store_options::{OF_STORES, hide_settings_but, refused};
use crate::subject_keys::KeyStores;
use crate::{BoundedContext, Config, Result, ServeOptions, Store};

/// What the command line of `forget` says.
#[derive(Debug, Clone)]
pub struct ForgetOptions {
    own: Own,
    settings: ServeOptions,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "May be run while the boxes run, and again. Replicas hear of it within their --poll-interval. Copies of a database that were made before, such as backups, still have the key, unless it was encrypted by BOXES_KEYS."
)]
struct Own {
    /// Whom: the name that the boxes have for the subject. It can't be undone.
    #[arg(value_name = "SUBJECT")]
    subject: String,
}

impl Args for ForgetOptions {
    fn augment_args(command: Command) -> Command {
        let command = ServeOptions::augment_args(Own::augment_args(command))
            .mut_arg("BOXES_SERVE", |arg| {
                arg.help("The boxes in whose stores keys are looked for")
            });
        hide_settings_but(command, &[&OF_STORES, &["subject-keys"]])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ForgetOptions {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        Ok(Self {
            own: Own::from_arg_matches(matches)?,
            settings: ServeOptions::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Deletes the key of a subject wherever these boxes keep keys, and prints whether there was one.
pub(crate) async fn forget(contexts: &[BoundedContext], options: &ForgetOptions) -> Result {
    let config = Config::load(&options.settings, environment())?;
    let names: Vec<&str> = contexts.iter().map(BoundedContext::name).collect();
    if let Some(unknown) = config
        .serve
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(refused(format!(
            "there is no box `{unknown}`; this program has: {}",
            names.join(", ")
        )));
    }
    if config.subject_keys == Some(Store::Memory) {
        return Err(refused(
            "keys in memory are those of the process that has them: forget there".to_owned(),
        ));
    }
    let stores = KeyStores::open(&config).await?;
    let mut own = None;
    let mut looked_in = Vec::new();
    let is_meant =
        |name: &str| config.serve.is_empty() || config.serve.iter().any(|meant| meant == name);
    for name in names.into_iter().filter(|name| is_meant(name)) {
        let store = config.store_of(name);
        if !is_there(&store) {
            continue;
        }
        if let Some(keys) = store.open(name, None, None).await?.key_value_store() {
            stores.add(&keys);
            looked_in.push(store.to_string());
            own = own.or(Some(keys));
        }
    }
    looked_in.extend(config.subject_keys.as_ref().map(ToString::to_string));
    let subject = Subject::from(options.own.subject.as_str());
    let keys = stores.stored(own).ok_or_else(|| {
        refused(
            "none of the boxes has a store here: say where with --data, --store or --subject-keys"
                .to_owned(),
        )
    })?;
    if keys.forget(&subject).await? {
        println!("`{subject}` is forgotten.");
    } else {
        println!(
            "There was nothing to forget of `{subject}` in {}.",
            looked_in.join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a store may be opened: one that is not there would be made, and what is in memory is not of this process.
fn is_there(store: &Store) -> bool {
    match store {
        Store::Sqlite(file) => file.exists(),
        Store::Memory => false,
        Store::Postgres(_) | Store::Mysql(_) => true,
    }
}
