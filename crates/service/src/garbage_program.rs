//! The command `garbage` of a program.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use boxes_application::{Edge, StoredValues, SystemEdge, find_garbage};
use clap::Args;

use crate::progress_bar::progress_bar;
use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, print_line, setting};

/// What the command line of `garbage` says.
pub type GarbageOptions = StoreOptions<GarbageArguments>;

/// What is to be done with what is found.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Values are named by the events that they belong to. Without --remove nothing is changed. With it, values that no event names and that are older are put aside, where they are found still; a later run deletes those that have been there for as long. So run it daily. The box may run meanwhile."
)]
pub struct GarbageArguments {
    /// Remove what no event names.
    #[arg(long)]
    remove: bool,
    /// How old it has to be to be put aside, and how long ago put aside to be deleted; at least 1.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87600))]
    older_than_hours: u32,
}

impl StoreArguments for GarbageArguments {
    const MORE_SETTINGS: &'static [&'static str] = &[setting::VALUES_FOLDER.id()];
}

/// Finds, and removes if it is told to, the values that no event of a box names, and prints how many that are.
pub(crate) async fn garbage(contexts: &[BoundedContext], options: &GarbageOptions) -> Result {
    let own = &options.own;
    let store = options.find(contexts)?;
    let recorder = store.open_existing().await?;
    let edge = Arc::new(SystemEdge);
    let folder = store.config.value_folder_of(&store.name)?;
    let Some(values) = StoredValues::of(&*recorder, folder, Arc::<SystemEdge>::clone(&edge)) else {
        return Err(refused("this store has no place for values".to_owned()));
    };
    let limit = Duration::from_secs(u64::from(own.older_than_hours) * 3600);
    let bar = progress_bar("looking through notifications", recorder.head().await?);
    let now = edge.now();
    let limit = own.remove.then_some(limit);
    let found = find_garbage(&recorder, &values, now, limit, |id| bar.set_position(id)).await?;
    bar.finish_and_clear();
    print_line(format_args!("named      {} values", found.n_named))?;
    print_line(format_args!(
        "garbage    {} values, {} bytes",
        found.n_garbage, found.bytes
    ))?;
    if own.remove {
        print_line(format_args!("put aside  {}", found.n_put_aside))?;
        print_line(format_args!("deleted    {}", found.n_deleted))?;
        print_line(format_args!("put back   {}", found.n_put_back))?;
    }
    Ok(ExitCode::SUCCESS)
}
