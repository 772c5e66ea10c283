//! The command `skip` of a program: a notification that can't be handled is left out.

use std::process::ExitCode;

use boxes_recorder::{Append, Position, Tracking};
use clap::Args;

use crate::followed_log::FollowedLog;
use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, print_line};

/// What the command line of `skip` says.
pub type SkipOptions = StoreOptions<SkipArguments>;

/// Which notification is left out.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Stop the box first. The position moves over exactly this notification, the one at which the follower is held up; \
                  what it would have caused in this box does not happen."
)]
pub struct SkipArguments {
    /// The follower: the name of the log that the box follows
    #[arg(long, value_name = "UPSTREAM")]
    follower: String,
    /// The notification that is left out
    #[arg(long, value_name = "ID")]
    notification: u64,
}

impl StoreArguments for SkipArguments {
    const MORE_SETTINGS: &'static [&'static str] = FollowedLog::SETTINGS;
}

/// Moves the position of a follower of one of these boxes over one notification, and prints which.
pub(crate) async fn skip(contexts: &[BoundedContext], options: &SkipOptions) -> Result {
    let of_box = options.find(contexts)?;
    let SkipArguments {
        follower,
        notification: id,
    } = &options.own;
    let name = &of_box.name;
    if !of_box.is_there() {
        return Err(refused(format!("the box `{name}` has no store yet")));
    }
    let followed = FollowedLog::open(contexts, &of_box, follower).await?;
    let recorder = of_box.open_existing().await?;
    let recorded = recorder.tracking(follower).await?;
    let next = recorded.map_or(0, |position| position.id).saturating_add(1);
    if *id != next {
        return Err(refused(format!(
            "the follower `{follower}` of `{name}` is at notification {}, so the one that can be skipped is {next}",
            next - 1
        )));
    }
    let (epoch, last) = (followed.description.log.epoch, followed.description.last);
    if let Some(Position {
        epoch: expected, ..
    }) = recorded.filter(|at| at.epoch != epoch)
    {
        return Err(refused(format!(
            "the log `{follower}` has epoch {epoch}, and the follower is in epoch {expected}: its history was rewritten, which set-position resolves"
        )));
    }
    if *id > last {
        return Err(refused(format!(
            "the log `{follower}` ends at notification {last}: there is no {id} to skip"
        )));
    }
    let step = Tracking {
        follower: follower.clone(),
        epoch,
        from: recorded,
        to: *id,
        // What is skipped may be what can't be read.
        event_id: None,
    };
    let append = Append::new(Vec::new()).with_tracking(step);
    let outcomes = recorder.record(&[append]).await?;
    for outcome in outcomes {
        outcome?;
    }
    recorder.close().await?;
    print_line(format_args!(
        "the box `{name}` continues in `{follower}` after notification {id}, which is skipped"
    ))?;
    Ok(ExitCode::SUCCESS)
}
