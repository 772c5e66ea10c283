//! A copy of a log in a SQLite file, made while the box runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use boxes_recorder::RecorderError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::new_epoch::{no_log, other_log};
use crate::numbers::unsigned;
use crate::sqlite_error::{is_missing, unavailable};
use crate::sqlite_file::private_file;
use crate::sqlite_location::mismatch;
use crate::sqlite_schema::find;

/// A copy that was made, and read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// The id of the newest notification in it, 0 for none.
    pub head: u64,
    /// How large it is.
    pub n_bytes: u64,
}

const COPYING: &str = "copying the database";
const CHECKING: &str = "reading the copy again";

/// Copies the database of the box `name` into a new file.
///
/// One read, so the copy is one moment of all that the file holds; those who write do not wait.
pub(crate) async fn back_up(
    options: SqliteConnectOptions,
    name: &str,
    to: &Path,
) -> Result<Backup, RecorderError> {
    let mut source = match options.connect().await {
        Err(error) if is_missing(&error) => return Err(no_log(name)),
        connected => connected.map_err(unavailable(COPYING))?,
    };
    check_log(&mut source, name, COPYING).await?;
    if to.exists() {
        return Err(exists(to));
    }
    // Under another name until it is known to be whole: half a copy is not taken for a backup.
    let partial = Partial::new(to)?;
    sqlx::query("VACUUM INTO ?")
        .bind(partial.text()?)
        .execute(&mut source)
        .await
        .map_err(unavailable(COPYING))?;
    let backup = partial.check(name).await?;
    partial.keep(to)?;
    Ok(backup)
}

/// The log in this database is that of the box.
async fn check_log(
    connection: &mut SqliteConnection,
    name: &str,
    doing: &'static str,
) -> Result<(), RecorderError> {
    match find(connection).await.map_err(unavailable(doing))? {
        Some(found) if found.name == name => Ok(()),
        Some(found) => Err(other_log(name, &found.name)),
        None => Err(no_log(name)),
    }
}

/// A copy that is being made. It is removed unless it is kept.
struct Partial(PathBuf);

impl Partial {
    fn new(to: &Path) -> Result<Self, RecorderError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        match private_file().open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(error) => Err(not_written(to, error)),
        }
    }

    fn text(&self) -> Result<&str, RecorderError> {
        let text = self.0.to_str();
        text.ok_or_else(|| mismatch("the path of a backup is UTF-8".to_owned()))
    }

    /// Reads the copy: SQLite finds no damage, it is the log of the box, and its ids have no gap.
    async fn check(&self, name: &str) -> Result<Backup, RecorderError> {
        let failed = unavailable(CHECKING);
        // Nothing is made next to it: no other process has it.
        let options = SqliteConnectOptions::new()
            .filename(&self.0)
            .read_only(true)
            .immutable(true)
            .disable_statement_logging();
        let mut copy = options.connect().await.map_err(&failed)?;
        let row = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&mut copy)
            .await
            .map_err(&failed)?;
        let found: String = row.try_get(0).map_err(&failed)?;
        if found != "ok" {
            return Err(damaged());
        }
        check_log(&mut copy, name, CHECKING).await?;
        let row = sqlx::query("SELECT count(*), coalesce(max(id), 0) FROM stored_event")
            .fetch_one(&mut copy)
            .await
            .map_err(&failed)?;
        let number = |column| row.try_get(column).and_then(unsigned).map_err(&failed);
        let (n_events, head): (u64, u64) = (number(0)?, number(1)?);
        if n_events != head {
            return Err(damaged());
        }
        copy.close().await.map_err(&failed)?;
        let n_bytes = fs::metadata(&self.0).map_err(|error| not_written(&self.0, error))?;
        Ok(Backup {
            head,
            n_bytes: n_bytes.len(),
        })
    }

    /// Gives it its name, for good.
    fn keep(self, to: &Path) -> Result<(), RecorderError> {
        let keeping = || {
            File::open(&self.0)?.sync_all()?;
            // Fails if a file of that name was made in the meantime, as a rename would not.
            fs::hard_link(&self.0, to)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
        };
        keeping().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(to),
            _ => not_written(to, error),
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "what is left of a backup can't be removed");
        }
    }
}

fn exists(path: &Path) -> RecorderError {
    mismatch(format!(
        "{} exists already: name another file, or move it away",
        path.display()
    ))
}

fn not_written(path: &Path, error: io::Error) -> RecorderError {
    RecorderError::unavailable(format!("{} can't be written", path.display()), error)
}

fn damaged() -> RecorderError {
    RecorderError::Broken {
        reason: "the copy is damaged, and so may be the database: look at it with `PRAGMA integrity_check`"
            .to_owned(),
    }
}
