//! The command `import` of a program.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use boxes_recorder_sqlx::PythonTable;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use boxes_application::{Edge, SystemEdge};

use crate::import::{follower, import as import_table};
use crate::import_report::ImportReport;
use crate::program::{environment, exit_code_of};
use crate::{BoundedContext, Config, ConfigError, Result, SETTINGS, ServeOptions, Store};

/// The settings that say where a box keeps its events; the others mean nothing to an import.
const OF_STORES: [&str; 5] = ["BOXES_SERVE", "config", "data", "store", "page-size"];

/// What the command line of `import` says, to be flattened into a program's own.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    own: Own,
    settings: ServeOptions,
}

#[derive(Debug, Clone, Args)]
struct Own {
    /// Where the events are: the SQLite file of an application of the Python library, version 9. It is only read;
    /// stop the application first.
    #[arg(long, value_name = "sqlite:FILE", value_parser = parse_source)]
    from: PathBuf,
    /// The table of the events.
    #[arg(long, value_name = "TABLE", default_value = "stored_events")]
    table: String,
    /// Events of this topic get another one; may be repeated. Other topics are kept as they are.
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_topic)]
    topic: Vec<(String, String)>,
    /// Write here which old id became which new one, as CSV.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn parse_source(text: &str) -> std::result::Result<PathBuf, String> {
    match text.parse() {
        Ok(Store::Sqlite(file)) => Ok(file),
        _ => Err("expected `sqlite:FILE`".to_owned()),
    }
}

fn parse_topic(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("expected the old topic, `=`, and the new one".to_owned()),
    }
}

impl Args for ImportOptions {
    fn augment_args(command: Command) -> Command {
        let command = command.after_help("May be run again, also after it was interrupted: what is there already is compared, and the import goes on behind it. The box must not run meanwhile.");
        let command =
            ServeOptions::augment_args(Own::augment_args(command)).mut_arg("BOXES_SERVE", |arg| {
                arg.help("The box that gets the events; it has to be empty")
                    .required(true)
                    .action(ArgAction::Set)
                    .num_args(1)
            });
        SETTINGS
            .iter()
            .filter(|setting| setting.flag.is_some() && !OF_STORES.contains(&setting.id()))
            .fold(command, |command, setting| {
                command.mut_arg(setting.id(), |arg| arg.hide(true))
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ImportOptions {
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

/// Imports the events of an application of the Python library into the store of one of these boxes, as the command
/// `import` of a program does, and prints what was imported. What goes wrong is printed in one sentence.
///
/// For programs with a command line of their own, into which [`ImportOptions`] are flattened.
pub async fn import(
    contexts: impl IntoIterator<Item = BoundedContext>,
    options: &ImportOptions,
) -> ExitCode {
    exit_code_of(try_import(contexts, options).await)
}

async fn try_import(
    contexts: impl IntoIterator<Item = BoundedContext>,
    ImportOptions { own, settings }: &ImportOptions,
) -> Result {
    let config = Config::load(settings, environment())?;
    let contexts: Vec<BoundedContext> = contexts.into_iter().collect();
    let names: Vec<&str> = contexts.iter().map(BoundedContext::name).collect();
    let name = config.serve.first().map_or("", String::as_str);
    if !names.contains(&name) {
        return Err(together(format!(
            "there is no box `{name}`; this program has: {}",
            names.join(", ")
        )));
    }
    let store = config.store_of(name);
    if store == Store::Memory {
        return Err(together(format!(
            "the box `{name}` keeps its events in memory: what is imported would be gone at once"
        )));
    }
    let mut source = PythonTable::open(&own.from, &own.table).await?;
    let recorder = store.open(name, config.page_size).await?;
    let report = ImportReport::new(own.report.as_deref())?;
    let bar = progress_bar(source.count().await?);
    let topics: BTreeMap<String, String> = own.topic.iter().cloned().collect();
    let summary = import_table(
        &*recorder,
        &mut source,
        follower(&own.table),
        &topics,
        report,
        SystemEdge.now(),
        |n_done| bar.set_position(n_done),
    )
    .await?;
    bar.finish_and_clear();
    print!("{summary}");
    Ok(ExitCode::SUCCESS)
}

fn together(reason: String) -> crate::Failure {
    ConfigError::Together { reason }.into()
}

/// Shown to people alone.
fn progress_bar(n_events: u64) -> ProgressBar {
    let bar = ProgressBar::new(n_events);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) =
        ProgressStyle::with_template("importing events {bar:40} {pos}/{len} {elapsed_precise}")
    {
        bar.set_style(style);
    }
    bar
}
