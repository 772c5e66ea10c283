//! The command `reencrypt` of a program.

use std::process::ExitCode;
use std::sync::Arc;

use boxes_application::{DataKeys, StoredValues, SystemEdge};
use boxes_recorder::Recorder;
use clap::Args;

use crate::log_copy::LogCopy;
use crate::progress_bar::progress_bar;
use crate::reencrypt::{Copying, Reencrypted, begin};
use crate::store_options::{StoreArguments, StoreOfBox, StoreOptions, refused};
use crate::{BoundedContext, Result, Store, log_keys, print_line, setting};

/// What the command line of `reencrypt` says.
pub type ReencryptOptions = StoreOptions<ReencryptArguments>;

/// What copying a log needs to know besides where it is.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "For a log that began in the clear or uncompressed, or under configured keys themselves. To take another key in BOXES_KEYS needs no copy: see rewrap-keys. Stop the box first. The copy is made in one run and has the same events under the same ids, and an epoch of its own; followers stop at it, and resume with set-position. Deleted aggregates are deleted in the copy, forgotten subjects stay forgotten. Afterwards the old store is refused by all commands but verify. An interrupted run leaves a store that is refused: remove it, and start over. Keys of subjects in a store of --subject-keys are for rewrap-keys."
)]
pub struct ReencryptArguments {
    /// Where the copy is to be: a store that does not exist yet
    #[arg(long, value_name = "STORE", required_unless_present = "return")]
    into: Option<Store>,
    /// Return to a log that was copied: it may be used again. Remove the copy first, with what it recorded
    #[arg(long = "return", id = "return", conflicts_with = "into")]
    returns: bool,
}

impl StoreArguments for ReencryptArguments {
    const MORE_SETTINGS: &'static [&'static str] =
        &[setting::VALUES_FOLDER.id(), "format", "subject-keys"];
}

/// Copies the log of a box, as the settings say that events are encrypted and compressed now, and prints how far it
/// is.
pub(crate) async fn reencrypt_box(
    contexts: &[BoundedContext],
    options: &ReencryptOptions,
) -> Result {
    let from = options.find(contexts)?;
    if !from.is_there() {
        return Err(refused(format!(
            "the box `{}` has no events at {}: say where with --data or --store",
            from.name, from.store
        )));
    }
    match &options.own.into {
        Some(into) => copy(contexts, &from, into).await,
        None => {
            let source = from.open_as_it_is().await?;
            if let Some(LogCopy::Left { copy }) = LogCopy::of(&*source).await? {
                LogCopy::remove(&*source).await?;
                print_line(format_args!(
                    "The log in {} may be used again; its copy with the epoch {copy} must not be.",
                    from.store
                ))?;
            } else {
                print_line(format_args!("The log in {} was not copied.", from.store))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn copy(contexts: &[BoundedContext], from: &StoreOfBox, into: &Store) -> Result {
    if *into == Store::Memory || *into == from.store {
        return Err(refused(format!(
            "the copy can't be in `{into}`: name another store that lasts, with --into"
        )));
    }
    let source = from.open_existing().await?;
    let bar = progress_bar("encrypting events", source.head().await?);
    let page_size = Some(source.log().page_size);
    // Also that of the source gets a data key, if it has none: the values in a folder are for both.
    let reading = from.mapper_of(&*source, contexts).await?;
    check_readable(&*source, &reading).await?;
    let target = into.open(&from.name, page_size, None).await?;
    begin(&*source, &*target).await?;
    let mut mapper = from.mapper(contexts)?;
    if let Some(keys) = DataKeys::stored(&*source).await? {
        DataKeys::copy(&keys, &*target).await?;
    }
    let encrypts_none = true;
    if let Some(keys) = log_keys::data_keys(&*target, &mapper, encrypts_none).await? {
        mapper = mapper.with_data_keys(keys.ring());
    }
    let folder = || from.config.value_folder_of(&from.name);
    let edge = || Arc::new(SystemEdge);
    let copying = Copying {
        source: &*source,
        target: &*target,
        mapper: &mapper,
        followed: contexts
            .iter()
            .filter(|context| context.name() == from.name)
            .flat_map(BoundedContext::upstreams)
            .collect(),
        values: StoredValues::of(&*source, folder()?, edge()).zip(StoredValues::of(
            &*target,
            folder()?,
            edge(),
        )),
    };
    let done = copying.run(|n_done| bar.set_position(n_done)).await?;
    bar.finish_and_clear();
    print_line(said(&done, &from.name, into).trim_end())?;
    if let Some(keys) = &from.config.subject_keys {
        print_line(format_args!(
            "Keys of subjects are in {keys}, where they stay as they are: `rewrap-keys` encrypts them with the current key, once every service has that."
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the first event can be read, before anything is made.
async fn check_readable(source: &dyn Recorder, mapper: &boxes_mapper::Mapper) -> Result<()> {
    for first in source.select_notifications(1, 1).await? {
        if !first.event.is_redacted() {
            let id = first.id;
            mapper
                .check_authentic(&first.event)
                .map_err(|source| crate::reencrypt::ReencryptError::Mapper { id, source })?;
        }
    }
    Ok(())
}

fn said(done: &Reencrypted, name: &str, into: &Store) -> String {
    let Reencrypted {
        head,
        keys,
        n_keys,
        n_values,
    } = done;
    let with = |n: u64, what: &str| match n {
        0 => String::new(),
        n => format!(", with {n} {what}"),
    };
    let subjects = with(*n_keys, "keys of subjects");
    let values = with(*n_values, "large values");
    format!(
        "{head} events are in {into}{subjects}{values}: {keys}.\nServe the box with --store {name}={into}, and remove the old store.\n"
    )
}
