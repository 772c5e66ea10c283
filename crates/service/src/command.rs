//! The commands of a program beside those that serve.

use std::process::ExitCode;

use clap::Subcommand;

use crate::BoundedContext;
use crate::program::exit_code_of;

/// What every program made with the kit can do beside serving: to be flattened into the commands of one that has a
/// command line of its own.
///
/// ```
/// use boxes_service::BoxCommand;
/// use clap::Parser;
///
/// #[derive(Parser)]
/// #[command(name = "shop")]
/// enum Cli {
///     /// Something of the program's own.
///     Greet,
///     #[command(flatten)]
///     Box(BoxCommand),
/// }
///
/// let cli = Cli::parse_from(["shop", "import", "orders", "--from", "sqlite:legacy.db"]);
/// assert!(matches!(cli, Cli::Box(BoxCommand::Import(_)))); // then `command.run(contexts).await`
/// ```
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum BoxCommand {
    /// Imports the events of an application of the Python library `eventsourcing` into a box.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    Import(crate::ImportOptions),
    /// Forgets a subject: deletes its key, which makes its personal data unreadable.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    Forget(crate::ForgetOptions),
    /// Copies the log of a box into another store, encrypted and compressed as configured now.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    Reencrypt(crate::ReencryptOptions),
    /// Encrypts the keys of logs and of subjects with the current key where they are stored, so that older keys can be given up.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    RewrapKeys(crate::RewrapKeysOptions),
    /// Moves the keys of subjects from the stores of the boxes to the store of --subject-keys.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    MoveKeys(crate::MoveKeysOptions),
    /// Gives the log of a box a new epoch, after the box was restored from an older backup.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    NewEpoch(crate::NewEpochOptions),
    /// Sets how far a box has come in a log that it follows, after that log was restored.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    SetPosition(crate::SetPositionOptions),
    /// Moves the position of a box over one notification that it can't handle.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    Skip(crate::SkipOptions),
    /// Copies the database of a box into a file, while the box runs.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    Backup(crate::BackupOptions),
    /// Lists the topics of the boxes with their versions, and of the logs that they follow; with --json their JSON Schema, too.
    Topics(crate::TopicsOptions),
    /// Finds the values of a box that are stored apart and that no event names, and removes them if it is told to.
    Garbage(crate::GarbageOptions),
    /// Verifies that the log of a box is as it was sealed, near or far, and names the first notification that is not.
    Verify(Box<crate::VerifyOptions>),
    /// Deletes an aggregate of a box for good, as when a person is to be forgotten.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    Delete(crate::DeleteOptions),
}

impl BoxCommand {
    /// Does what was asked for, and prints what came of it. What goes wrong is printed in one sentence.
    #[allow(
        clippy::unused_async,
        reason = "a program without a database has fewer commands"
    )]
    pub async fn run(self, contexts: impl IntoIterator<Item = BoundedContext>) -> ExitCode {
        // On the heap: the commands have large futures, which every caller would carry along.
        Box::pin(self.run_with(contexts.into_iter().collect())).await
    }

    async fn run_with(self, contexts: Vec<BoundedContext>) -> ExitCode {
        exit_code_of(match self {
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Self::Import(options) => crate::import_program::import(&contexts, &options).await,
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::Forget(options) => crate::forget_program::forget(&contexts, &options).await,
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::Reencrypt(options) => {
                crate::reencrypt_program::reencrypt_box(&contexts, &options).await
            }
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::RewrapKeys(options) => {
                crate::rewrap_program::rewrap_keys(&contexts, &options).await
            }
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::MoveKeys(options) => {
                crate::move_keys_program::move_keys(&contexts, &options).await
            }
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::NewEpoch(options) => crate::repair_program::new_epoch(&contexts, &options).await,
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::SetPosition(options) => {
                crate::repair_program::set_position(&contexts, &options).await
            }
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::Skip(options) => crate::skip_program::skip(&contexts, &options).await,
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::Backup(options) => crate::backup_program::back_up(&contexts, &options).await,
            Self::Topics(options) => crate::topics_program::print_topics(&contexts, &options),
            Self::Garbage(options) => crate::garbage_program::garbage(&contexts, &options).await,
            Self::Verify(options) => crate::verify_program::verify(&contexts, &options).await,
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            Self::Delete(options) => crate::delete_program::delete(&contexts, &options).await,
        })
    }
}
