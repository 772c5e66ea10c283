//! The command `import` of a program.

use std::path::PathBuf;
use std::process::ExitCode;

use boxes_application::{Edge, SystemEdge};
use boxes_mapper::PythonStates;
use boxes_recorder::RecorderError;
use boxes_recorder_sqlx::PythonTable;
use clap::Args;
use zeroize::Zeroizing;

use crate::import::{Translation, follower, import as import_table};
use crate::import_report::ImportReport;
use crate::progress_bar::progress_bar;
use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, Store, print_line};

/// What the command line of `import` says.
pub type ImportOptions = StoreOptions<ImportArguments>;

/// What an import needs to know beside where the box keeps its events.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "May be run again, also after it was interrupted: what is there already is compared, and the import goes on behind it. The box has to be empty at first, and must not run meanwhile."
)]
pub struct ImportArguments {
    /// Where the events are: the database of an application of the Python library, version 9. It is only read; stop the
    /// application first. A PostgreSQL URL may name a schema, `?schema=public`.
    #[arg(long, value_name = "sqlite:FILE|postgres://USER@HOST/DATABASE")]
    from: Store,
    /// The table of the events. In PostgreSQL it is usually named after the application, as in `kennel_events`.
    #[arg(long, value_name = "TABLE", default_value = "stored_events")]
    table: String,
    /// Events of this topic get another one; may be repeated. Other topics are kept as they are.
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_topic)]
    topic: Vec<(String, String)>,
    /// Import events of topics that no aggregate of the box has, too. They are published, and the box itself can't read them.
    #[arg(long)]
    any_topic: bool,
    /// The application compresses states: it has a `COMPRESSOR_TOPIC`.
    #[arg(long)]
    compressed: bool,
    /// The application encrypts states: the name of the variable that holds its key here, as in `CIPHER_KEY`.
    #[arg(long, value_name = "VARIABLE")]
    cipher_key_variable: Option<String>,
    /// Write here which old id became which new one, as CSV.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl StoreArguments for ImportArguments {
    /// It writes events anew, so it matters in which format.
    const MORE_SETTINGS: &'static [&'static str] = &["format"];
}

fn parse_topic(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("expected the old topic, `=`, and the new one".to_owned()),
    }
}

/// Imports the events of an application of the Python library into the store of one of these boxes, and prints what was
/// imported.
pub(crate) async fn import(contexts: &[BoundedContext], options: &ImportOptions) -> Result {
    let own = &options.own;
    let into = options.find(contexts)?;
    let mut source = open_source(&own.from, &own.table).await?;
    let report = ImportReport::new(own.report.as_deref())?;
    let bar = progress_bar("importing events", source.count().await?);
    let states = states(own)?;
    // Last, as it may make a new one.
    let recorder = into.open().await?;
    let mapper = into.mapper_of(&*recorder, contexts).await?;
    let context = contexts.iter().find(|context| context.name() == into.name);
    let reads =
        |topic: &str| own.any_topic || context.is_none_or(|context| context.has_topic(topic));
    let translation = Translation {
        states,
        mapper: &mapper,
        topics: own.topic.iter().cloned().collect(),
        reads: &reads,
        now: SystemEdge.now(),
    };
    let summary = import_table(
        &*recorder,
        &mut source,
        follower(&own.table),
        &translation,
        report,
        |n_done| bar.set_position(n_done),
    )
    .await?;
    bar.finish_and_clear();
    print_line(summary.to_string().trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// How the command line says that states stand in the table.
fn states(own: &ImportArguments) -> Result<PythonStates> {
    let states = if own.compressed {
        PythonStates::default().compressed()
    } else {
        PythonStates::default()
    };
    let Some(variable) = &own.cipher_key_variable else {
        return Ok(states);
    };
    let key = std::env::var(variable).map(Zeroizing::new).map_err(|_| {
        refused(format!(
            "--cipher-key-variable names {variable}, which is not set: it holds the CIPHER_KEY of the application"
        ))
    })?;
    states
        .encrypted(&key)
        .map_err(|error| refused(format!("{variable} can't be used: {error}")))
}

async fn open_source(from: &Store, table: &str) -> std::result::Result<PythonTable, RecorderError> {
    match from {
        #[cfg(feature = "sqlite")]
        Store::Sqlite(file) => PythonTable::open_sqlite(file, table).await,
        #[cfg(feature = "postgres")]
        Store::Postgres(url) => PythonTable::open_postgres(url.expose(), table).await,
        other => Err(RecorderError::Mismatch {
            reason: format!(
                "`{other}` is no database of the Python library that this program can read: name `sqlite:FILE` or `postgres://USER@HOST/DATABASE`, and build it with the feature of that database"
            ),
        }),
    }
}
