//! The command `reencrypt` of a program.

use std::process::ExitCode;
use std::sync::Arc;

use boxes_application::{StoredValues, SystemEdge};
use boxes_recorder::Recorder;
use clap::Args;

use crate::progress_bar::progress_bar;
use crate::reencrypt::{Reencrypted, reencrypt};
use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, Store, print_line, setting};

/// What the command line of `reencrypt` says.
pub type ReencryptOptions = StoreOptions<ReencryptArguments>;

/// What storing a log anew needs to know beside where it is.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The log that is there is only read, and the box may run meanwhile: its pages have been handed out, and never change. The new log has the same events under the same ids, and an epoch of its own. May be run again, also after it was interrupted: it goes on behind what is there. At last stop the box, run it once more, and serve the box from the new store. Keys of subjects in a store of --subject-keys are for rewrap-keys."
)]
pub struct ReencryptArguments {
    /// Where the new log is to be: a store that is not there, or that an earlier run has begun.
    #[arg(long, value_name = "STORE")]
    into: Store,
}

impl StoreArguments for ReencryptArguments {
    const MORE_SETTINGS: &'static [&'static str] =
        &[setting::VALUES_FOLDER.id(), "format", "subject-keys"];
}

/// Stores the log of a box anew, as the settings say that events are encrypted and compressed now, and prints how far it
/// is.
pub(crate) async fn reencrypt_box(
    contexts: &[BoundedContext],
    options: &ReencryptOptions,
) -> Result {
    let from = options.find(contexts)?;
    let into = &options.own.into;
    if *into == Store::Memory || *into == from.config.store_of(&from.name) {
        return Err(refused(format!(
            "the new log can't be in `{into}`: name another store that lasts, with --into"
        )));
    }
    let source = from.open_existing().await?;
    let target = into
        .open(&from.name, Some(source.log().page_size), None)
        .await?;
    let upstreams = contexts
        .iter()
        .filter(|context| context.name() == from.name)
        .flat_map(BoundedContext::upstreams);
    let bar = progress_bar("encrypting events", source.head().await?);
    let mapper = from.mapper(contexts)?;
    let values = |recorder: &dyn Recorder| -> Result<Option<StoredValues>> {
        let folder = from.config.value_folder_of(&from.name)?;
        Ok(StoredValues::of(recorder, folder, Arc::new(SystemEdge)))
    };
    let values = values(&*source)?.zip(values(&*target)?);
    let done = reencrypt(&*source, &*target, &mapper, upstreams, values, |n_done| {
        bar.set_position(n_done);
    })
    .await?;
    bar.finish_and_clear();
    print_line(told(&done, &from.name, into).trim_end())?;
    if let Some(keys) = &from.config.subject_keys {
        print_line(format_args!(
            "Keys of subjects are in {keys}, where they stay as they are: `rewrap-keys` encrypts them with the current key, once every service has that."
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(done: &Reencrypted, name: &str, into: &Store) -> String {
    let Reencrypted {
        n_new,
        head,
        n_left,
        n_keys,
        n_values,
    } = done;
    let with = |n: u64, what: &str| match n {
        0 => String::new(),
        n => format!(", with {n} {what}"),
    };
    let keys = with(*n_keys, "keys of subjects");
    let values = with(*n_values, "large values");
    let next = if *n_left > 0 {
        format!("The box has recorded {n_left} more meanwhile: stop it, and run this once more.")
    } else {
        format!(
            "If the box was stopped when this began, serve it with --store {name}={into}; otherwise stop it, and run this once more."
        )
    };
    format!("{head} events are in {into}{keys}{values}; this run stored {n_new} of them.\n{next}\n")
}
