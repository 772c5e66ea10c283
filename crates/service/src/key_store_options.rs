//! The command line of a command that works on the keys of subjects.

use std::sync::Arc;

use boxes_application::StoredSubjectKeys;
use boxes_recorder::Recorder;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::log_copy::LogCopy;
use crate::program::environment;
use crate::store_options::{OF_STORES, StoreArguments, hide_settings_but, refused};
use crate::subject_keys::KeyStores;
use crate::suggestion::did_you_mean;
use crate::{BoundedContext, Config, Result, ServeOptions, Store};

/// The options of `A`, and where keys of subjects are kept: in the store that is set for all boxes, and in that of each box
/// of the program, or of those that are named.
#[derive(Debug, Clone)]
pub struct KeyStoreOptions<A> {
    pub(crate) own: A,
    settings: ServeOptions,
}

/// Where keys of subjects are kept.
#[derive(Debug)]
pub(crate) struct OpenKeyStores {
    pub(crate) config: Config,
    pub(crate) keys: StoredSubjectKeys,
    /// The stores, for people.
    pub(crate) looked_in: Vec<String>,
    /// The boxes that have one, with their logs.
    pub(crate) recorders: Vec<(String, Arc<dyn Recorder>)>,
}

impl<A> KeyStoreOptions<A> {
    /// Opens the stores that are there.
    pub(crate) async fn open(&self, contexts: &[BoundedContext]) -> Result<OpenKeyStores> {
        let config = Config::load(&self.settings, environment())?;
        let names: Vec<&str> = contexts.iter().map(BoundedContext::name).collect();
        if let Some(unknown) = config
            .serve
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            return Err(refused(format!(
                "there is no box `{unknown}`{}; this program has: {}",
                did_you_mean(unknown, names.iter().copied()),
                names.join(", ")
            )));
        }
        if config.subject_keys == Some(Store::Memory) {
            return Err(refused(
                "keys in memory are those of the process that has them, and of no other".to_owned(),
            ));
        }
        let stores = KeyStores::open(&config).await?;
        let mut own = None;
        let mut looked_in = Vec::new();
        let mut recorders = Vec::new();
        let is_meant =
            |name: &str| config.serve.is_empty() || config.serve.iter().any(|meant| meant == name);
        for name in names.into_iter().filter(|name| is_meant(name)) {
            let store = config.store_of(name);
            if !is_there(&store) {
                continue;
            }
            let recorder = store.open(name, None, None).await?;
            LogCopy::check_in_use(&*recorder).await?;
            if let Some(keys) = recorder.key_value_store() {
                stores.add(&keys);
                looked_in.push(store.to_string());
                own = own.or(Some(keys));
            }
            recorders.push((name.to_owned(), recorder));
        }
        looked_in.extend(config.subject_keys.as_ref().map(ToString::to_string));
        let keys = stores.stored(own).ok_or_else(|| {
            refused(
                "none of the boxes has a store here: say where with --data, --store or --subject-keys"
                    .to_owned(),
            )
        })?;
        Ok(OpenKeyStores {
            config,
            keys,
            looked_in,
            recorders,
        })
    }

    /// The keys in the stores of the boxes that were not named, by box, as far as they are there.
    pub(crate) async fn open_others(
        &self,
        contexts: &[BoundedContext],
    ) -> Result<Vec<(String, StoredSubjectKeys)>> {
        let config = Config::load(&self.settings, environment())?;
        let is_meant =
            |name: &str| config.serve.is_empty() || config.serve.iter().any(|meant| meant == name);
        let mut others = Vec::new();
        for name in contexts
            .iter()
            .map(BoundedContext::name)
            .filter(|name| !is_meant(name))
        {
            let store = config.store_of(name);
            if !is_there(&store) {
                continue;
            }
            if let Some(keys) = store.open(name, None, None).await?.key_value_store() {
                others.push((name.to_owned(), StoredSubjectKeys::new(keys)));
            }
        }
        Ok(others)
    }
}

/// Whether a store may be opened: one that is not there would be made, and what is in memory is not of this process.
fn is_there(store: &Store) -> bool {
    match store {
        Store::Sqlite(file) => file.exists(),
        Store::Memory => false,
        Store::Postgres(_) | Store::Mysql(_) => true,
    }
}

impl<A: StoreArguments> Args for KeyStoreOptions<A> {
    fn augment_args(command: Command) -> Command {
        let command = ServeOptions::augment_args(A::augment_args(command))
            .mut_arg("BOXES_SERVE", |arg| {
                arg.help("The boxes in whose stores keys are looked for")
            });
        hide_settings_but(command, &[&OF_STORES, &["subject-keys"], A::MORE_SETTINGS])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<A: FromArgMatches> FromArgMatches for KeyStoreOptions<A> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        Ok(Self {
            own: A::from_arg_matches(matches)?,
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
