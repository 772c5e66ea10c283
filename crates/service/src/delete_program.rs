//! The command `delete` of a program.

use std::process::ExitCode;

use boxes_application::Snapshots;
use boxes_recorder::{Recorder, RecorderError, StreamRange};
use clap::Args;
use uuid::Uuid;

use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, print_line};

/// What the command line of `delete` says.
pub type DeleteOptions = StoreOptions<DeleteArguments>;

/// What a deletion needs to know beside where the box keeps its events.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The box may run meanwhile: it notices within a second. Its log has to be redactable: its declaration says so, or --redactable BOX. \
Each event of the aggregate stays in its place in the log without what it said, so followers miss nothing. The id is not used again. \
If the log is sealed, set BOXES_SEAL_KEY or --seal-key-file as the service does: the deletion is signed, and otherwise `verify` takes it for an attack. \
Deleting again signs an earlier deletion. \
Copies stay in caches as long as the log's freshness allows, in backups, and with boxes that have read the events."
)]
pub struct DeleteArguments {
    /// The id of the aggregate that is deleted, for good.
    #[arg(index = 2, value_name = "ID")]
    id: Uuid,
    /// Do it, instead of saying what would be done.
    #[arg(long)]
    yes: bool,
}

impl StoreArguments for DeleteArguments {
    const MORE_SETTINGS: &'static [&'static str] = &["redactable", "seal-key-file"];
}

/// Deletes one aggregate from the store of one of these boxes, and prints how much that was.
pub(crate) async fn delete(contexts: &[BoundedContext], options: &DeleteOptions) -> Result {
    let DeleteArguments { id, yes } = options.own;
    let from = options.find(contexts)?;
    let name = &from.name;
    let declared = contexts.iter().find(|context| context.name() == name);
    if !declared.is_some_and(|context| from.config.is_redactable(context)) {
        return Err(refused(format!(
            "the log of the box `{name}` is not redactable, so caches may keep its pages for a year: declare the box `.redactable()`, or name it in --redactable, for the box that runs as well"
        )));
    }
    let recorder = from
        .config
        .sealing
        .signing_deletions(from.open_existing().await?);
    if !yes {
        return Err(refused(preview(&*recorder, name, id).await?));
    }
    let deletion = recorder.delete_stream(id).await?;
    recorder.erase_deleted().await?;
    if deletion.n_events == 0 {
        return Err(refused(nothing(name, id)));
    }
    if let Some(beside) = recorder.key_value_store() {
        Snapshots::erase(id, &*beside).await?;
    }
    print_line(format_args!(
        "deleted {id} from {name}: {} redacted",
        notifications(deletion.n_events)
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What would be done.
async fn preview(recorder: &dyn Recorder, name: &str, id: Uuid) -> Result<String> {
    let newest = match recorder.select_events(id, StreamRange::newest(1)).await {
        Err(RecorderError::StreamDeleted { .. }) => {
            return Ok(format!("{id} was deleted from `{name}` already"));
        }
        newest => newest?,
    };
    Ok(match newest.first() {
        None => nothing(name, id),
        Some(newest) => format!(
            "{} of `{name}`, the last one `{}` at {}, would be redacted for good: to do it, add --yes",
            notifications(newest.originator_version),
            newest.topic,
            newest.occurred_on
        ),
    })
}

fn nothing(name: &str, id: Uuid) -> String {
    format!("`{name}` has no events of {id}")
}

fn notifications(n: u64) -> String {
    match n {
        1 => "1 notification".to_owned(),
        n => format!("{n} notifications"),
    }
}
