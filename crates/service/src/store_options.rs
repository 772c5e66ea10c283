//! The command line of a command that works on the store of one box.

use std::sync::Arc;

use boxes_mapper::Mapper;
use boxes_recorder::Recorder;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::log_copy::LogCopy;
use crate::program::environment;
use crate::suggestion::did_you_mean;
use crate::{BoundedContext, Config, ConfigError, Result, SETTINGS, ServeOptions, Store, log_keys};

/// The settings that say where a box keeps its events; the others mean nothing to a command that only works on these.
pub(crate) const OF_STORES: [&str; 6] = [
    "BOXES_SERVE",
    "config",
    "data",
    "store",
    "page-size",
    "expect-epoch",
];

/// Those that say how events are encrypted and compressed.
const OF_MAPPERS: [&str; 4] = ["keys-file", "encrypt", "in-the-clear", "compress"];

/// The arguments of a command that works on a store.
pub trait StoreArguments: Args {
    /// Settings that mean something to it, beside those of every such command.
    const MORE_SETTINGS: &'static [&'static str] = &[];
}

/// The options of `A`, a box, and where it keeps its events: for each command that works on a store, beside those that
/// serve.
#[derive(Debug, Clone)]
pub struct StoreOptions<A> {
    pub(crate) own: A,
    settings: ServeOptions,
}

/// The box that a command works on.
#[derive(Debug)]
pub(crate) struct StoreOfBox {
    pub(crate) config: Config,
    /// The name of the box.
    pub(crate) name: String,
    pub(crate) store: Store,
}

impl<A> StoreOptions<A> {
    /// What is configured, and the name of the box.
    pub(crate) fn load(&self) -> Result<(Config, String)> {
        let config = Config::load(&self.settings, environment())?;
        let name = config.serve.first().cloned().unwrap_or_default();
        Ok((config, name))
    }

    /// The box that is named, if the program has it and keeps it in a store that lasts.
    pub(crate) fn find(&self, contexts: &[BoundedContext]) -> Result<StoreOfBox> {
        let (config, name) = self.load()?;
        let names: Vec<&str> = contexts.iter().map(BoundedContext::name).collect();
        if !names.contains(&name.as_str()) {
            return Err(refused(format!(
                "there is no box `{name}`{}; this program has: {}",
                did_you_mean(&name, names.iter().copied()),
                names.join(", ")
            )));
        }
        let store = config.store_of(&name);
        if store == Store::Memory {
            return Err(refused(format!(
                "the box `{name}` keeps its events in memory: what is done to them would be gone at once"
            )));
        }
        Ok(StoreOfBox {
            config,
            name,
            store,
        })
    }
}

impl StoreOfBox {
    /// Whether there is something to open, as far as can be told without making it.
    pub(crate) fn is_there(&self) -> bool {
        match &self.store {
            Store::Sqlite(file) => file.exists(),
            _ => true,
        }
    }

    /// What writes the events of the box, as it is declared among `contexts` and configured.
    pub(crate) fn mapper(&self, contexts: &[BoundedContext]) -> Result<Mapper> {
        let mapper = self.config.mapper.clone().of_box(&self.name);
        let format = self.config.format_of(&self.name);
        match contexts.iter().find(|context| context.name() == self.name) {
            Some(context) => context
                .mapper(mapper, format)
                .map_err(|error| refused(error.to_string())),
            None => Ok(mapper),
        }
    }

    /// Opens the store, which has to be there.
    pub(crate) async fn open_existing(&self) -> Result<Arc<dyn Recorder>> {
        if self.is_there() {
            return self.open().await;
        }
        Err(refused(format!(
            "the box `{}` has no events at {}: say where with --data or --store",
            self.name, self.store
        )))
    }

    /// The same with the data keys of the log, which is open as `recorder`; refused if the configured keys are not those of the log.
    pub(crate) async fn mapper_of(
        &self,
        recorder: &dyn Recorder,
        contexts: &[BoundedContext],
    ) -> Result<Mapper> {
        let mapper = self.mapper(contexts)?;
        let keys = log_keys::data_keys(recorder, &mapper, self.config.encrypts_none).await?;
        Ok(match keys {
            Some(keys) => mapper.with_data_keys(keys.ring()),
            None => mapper,
        })
    }

    /// Opens the store; one that is not there is made, and one that is part of a copy, or that a copy has replaced, is refused.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Recorder>> {
        let recorder = self.open_as_it_is().await?;
        LogCopy::check_in_use(&*recorder).await?;
        Ok(recorder)
    }

    /// Opens the store, also one that a copy has replaced.
    pub(crate) async fn open_as_it_is(&self) -> Result<Arc<dyn Recorder>> {
        let epoch = self.config.expected_epochs.get(&self.name).copied();
        Ok(self
            .store
            .open(&self.name, self.config.page_size, epoch)
            .await?)
    }
}

/// Leaves the settings that mean nothing to a command out of its help. They may still be given: variables and files are
/// shared.
pub(crate) fn hide_settings_but(command: Command, shown: &[&[&str]]) -> Command {
    SETTINGS
        .iter()
        .filter(|setting| setting.flag.is_some())
        .filter(|setting| !shown.iter().any(|shown| shown.contains(&setting.id())))
        .fold(command, |command, setting| {
            command.mut_arg(setting.id(), |arg| arg.hide(true))
        })
}

/// A command line that asks for what can't be.
pub(crate) fn refused(reason: String) -> crate::Failure {
    ConfigError::Together { reason }.into()
}

impl<A: StoreArguments> Args for StoreOptions<A> {
    fn augment_args(command: Command) -> Command {
        let command =
            ServeOptions::augment_args(A::augment_args(command)).mut_arg("BOXES_SERVE", |arg| {
                arg.help("The box")
                    .index(1)
                    .required(true)
                    .action(ArgAction::Set)
                    .num_args(1)
            });
        hide_settings_but(command, &[&OF_STORES, &OF_MAPPERS, A::MORE_SETTINGS])
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<A: FromArgMatches> FromArgMatches for StoreOptions<A> {
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
