//! The command `backup` of a program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::store_options::StoreOfBox;
use crate::store_options::{StoreArguments, StoreOptions, refused};
use crate::{BoundedContext, Result, Store};

/// What the command line of `backup` says.
pub type BackupOptions = StoreOptions<BackupArguments>;

/// What a backup needs to know besides where the box keeps its events.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The box may run meanwhile, and nobody waits. The copy is one moment of all that the database holds: events, positions, keys of \
subjects, values, seals and snapshots. Values in a folder (--values-folder) and the keys that encrypt (--keys-file) are not in it: \
copy the folder after the database, and keep the keys elsewhere."
)]
pub struct BackupArguments {
    /// The file that is made; one that is there is not touched
    #[arg(index = 2, value_name = "FILE")]
    file: PathBuf,
}

impl StoreArguments for BackupArguments {}

/// Copies the database of one of these boxes, and prints what is in the copy.
pub(crate) async fn back_up(contexts: &[BoundedContext], options: &BackupOptions) -> Result {
    let of_box = options.find(contexts)?;
    let BackupArguments { file } = &options.own;
    match &of_box.store {
        #[cfg(feature = "sqlite")]
        Store::Sqlite(from) => {
            let location = from
                .to_str()
                .ok_or_else(|| refused("the path of the database is not UTF-8".to_owned()))?;
            let name = &of_box.name;
            let made = boxes_recorder_sqlx::SqliteRecorder::backup(location, name, file).await?;
            println!(
                "copied {name} into {}: {} notifications, {} bytes, read again and found whole",
                file.display(),
                made.head,
                made.n_bytes
            );
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "postgres")]
        Store::Postgres(url) => Err(refused(on_server(
            &of_box,
            "pg_dump",
            &boxes_recorder_sqlx::PostgresRecorder::backup_command(url.expose(), &of_box.name)?,
        ))),
        #[cfg(feature = "mysql")]
        Store::Mysql(url) => Err(refused(on_server(
            &of_box,
            "mysqldump",
            &boxes_recorder_sqlx::MysqlRecorder::backup_command(url.expose(), &of_box.name)?,
        ))),
        #[allow(
            unreachable_patterns,
            reason = "with all features only the memory is left"
        )]
        other => Err(refused(format!(
            "this program was built without the feature of the database `{other}`: build it with"
        ))),
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn on_server(of_box: &StoreOfBox, tool: &str, command: &str) -> String {
    format!(
        "the box `{}` is on a server, which is backed up by its own tool, {tool}, with all tables of the box: {command}",
        of_box.name
    )
}
