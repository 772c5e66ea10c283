//! The commands `new-epoch` and `set-position` of a program: what is done after a restore.

use std::process::ExitCode;

use boxes_recorder::{Position, RecorderError};
use boxes_recorder_sqlx::{NewEpoch, OpenLog};
use clap::Args;
use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::DatabaseUrl;
use crate::followed_log::FollowedLog;
use crate::store_options::{StoreArguments, StoreOfBox, StoreOptions, refused};
use crate::{BoundedContext, Result, Store, print_line};

/// What the command line of `new-epoch` says.
pub type NewEpochOptions = StoreOptions<NewEpochArguments>;

/// What the command line of `set-position` says.
pub type SetPositionOptions = StoreOptions<SetPositionArguments>;

/// What a new epoch needs to know beside where the box keeps its events: nothing.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Stop the box first. Ids that were given after the backup are given again, to other events; the new epoch tells \
                  those who follow: they stop, and say that history was rewritten, until `set-position` says where they go on."
)]
pub struct NewEpochArguments {}

/// Where a follower goes on.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Stop the box first. Up to the backup both histories are the same: --after is the last notification of the restored \
                  log that the box read before, or the log's head after the restore if the box was ahead of it. The log is looked up: \
                  in the store of its box if that is one of this program, otherwise at --follow."
)]
pub struct SetPositionArguments {
    /// The follower: the name of the log that the box follows
    #[arg(long, value_name = "UPSTREAM")]
    follower: String,
    /// The epoch that the log must have, as `new-epoch` printed it and `/{box}/notifications/log` shows it
    #[arg(long, value_name = "UUID")]
    epoch: Option<Uuid>,
    /// The last notification of that log that counts as read, 0 for none
    #[arg(long, value_name = "ID")]
    after: u64,
}

impl StoreArguments for SetPositionArguments {
    const MORE_SETTINGS: &'static [&'static str] = FollowedLog::SETTINGS;
}

impl StoreArguments for NewEpochArguments {}

/// Gives the log of one of these boxes a new epoch, and prints it.
pub(crate) async fn new_epoch(contexts: &[BoundedContext], options: &NewEpochOptions) -> Result {
    let of_box = options.find(contexts)?;
    let log = OpenLog::named(&of_box.name);
    let renewed: NewEpoch = match on(&of_box)? {
        #[cfg(feature = "sqlite")]
        On::Sqlite(file) => boxes_recorder_sqlx::SqliteRecorder::new_epoch(file, &log).await?,
        #[cfg(feature = "postgres")]
        On::Postgres(url) => {
            boxes_recorder_sqlx::PostgresRecorder::new_epoch(url.expose(), &log).await?
        }
        #[cfg(feature = "mysql")]
        On::Mysql(url) => boxes_recorder_sqlx::MysqlRecorder::new_epoch(url.expose(), &log).await?,
    };
    print_line(format_args!(
        "the log `{}` has a new epoch: {} (before: {}); its newest notification is {}",
        of_box.name, renewed.now, renewed.before, renewed.head
    ))?;
    print_line(format_args!(
        "followers stop at the new epoch; resume each with: set-position BOX --follower {} --epoch {} --after ID",
        of_box.name, renewed.now
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets the position of a follower of one of these boxes, and prints both.
pub(crate) async fn set_position(
    contexts: &[BoundedContext],
    options: &SetPositionOptions,
) -> Result {
    let of_box = options.find(contexts)?;
    let SetPositionArguments {
        follower,
        epoch: expected,
        after,
    } = &options.own;
    let followed = FollowedLog::open(contexts, &of_box, follower).await?;
    let (epoch, last) = (followed.description.log.epoch, followed.description.last);
    if let Some(expected) = expected.filter(|expected| *expected != epoch) {
        return Err(refused(format!(
            "the log `{follower}` has epoch {epoch}, expected {expected}"
        )));
    }
    if *after > last {
        return Err(refused(format!(
            "the log `{follower}` ends at notification {last}: the position can't be {after}"
        )));
    }
    let (name, to) = (of_box.name.as_str(), followed.position(*after).await?);
    let before: Option<Position> = match on(&of_box)? {
        #[cfg(feature = "sqlite")]
        On::Sqlite(file) => {
            boxes_recorder_sqlx::SqliteRecorder::set_position(file, name, follower, to).await?
        }
        #[cfg(feature = "postgres")]
        On::Postgres(url) => {
            boxes_recorder_sqlx::PostgresRecorder::set_position(url.expose(), name, follower, to)
                .await?
        }
        #[cfg(feature = "mysql")]
        On::Mysql(url) => {
            boxes_recorder_sqlx::MysqlRecorder::set_position(url.expose(), name, follower, to)
                .await?
        }
    };
    let before = before.map_or_else(
        || "it had none".to_owned(),
        |before| format!("before: {} in epoch {}", before.id, before.epoch),
    );
    print_line(format_args!(
        "the box `{name}` continues in `{follower}` after notification {after} of epoch {epoch} ({before})"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A store that this program can open.
enum On<'a> {
    #[cfg(feature = "sqlite")]
    Sqlite(&'a str),
    #[cfg(feature = "postgres")]
    Postgres(&'a DatabaseUrl),
    #[cfg(feature = "mysql")]
    Mysql(&'a DatabaseUrl),
}

fn on(of_box: &StoreOfBox) -> std::result::Result<On<'_>, RecorderError> {
    match &of_box.store {
        #[cfg(feature = "sqlite")]
        Store::Sqlite(file) => {
            file.to_str()
                .map(On::Sqlite)
                .ok_or_else(|| RecorderError::Mismatch {
                    reason: "its path is not UTF-8".to_owned(),
                })
        }
        #[cfg(feature = "postgres")]
        Store::Postgres(url) => Ok(On::Postgres(url)),
        #[cfg(feature = "mysql")]
        Store::Mysql(url) => Ok(On::Mysql(url)),
        #[allow(
            unreachable_patterns,
            reason = "with all features only the memory is left"
        )]
        other => Err(RecorderError::Mismatch {
            reason: format!(
                "this program was built without the feature of the database `{other}`: build it with"
            ),
        }),
    }
}
