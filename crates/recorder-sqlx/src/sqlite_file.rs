//! The files of a database: who may read them, and whether they are still those that were opened.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use boxes_recorder::RecorderError;

/// What SQLite keeps next to a database while it is open: the write-ahead log, and the memory that processes share.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The file of an open database, watched.
///
/// A file that was removed or replaced stays open, and SQLite goes on with it: everything that is written is lost with the
/// process. So a commit is answered only if the file is still in its place afterwards, and what was found once stays:
/// whoever put another file there knows which of the two counts.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    opened: FileId,
    /// Those of the connection that writes, since its first transaction. While it is open no process removes them.
    companions: Mutex<Option<[FileId; 2]>>,
    /// Why the file is of no use any more.
    broken: OnceLock<String>,
}

impl DatabaseFile {
    /// Makes a new file that its owner alone may read and write, as its companions will be; SQLite takes an empty file for a new database.
    ///
    /// One that is there is left as it is, with a warning if others can read it.
    pub(crate) fn prepare(path: &Path) -> io::Result<()> {
        match private_file().open(path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                warn_if_others_can_read(path);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Watches the file at `path`, which was just opened.
    pub(crate) fn watch(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            opened: FileId::of(path)?,
            companions: Mutex::default(),
            broken: OnceLock::new(),
        })
    }

    /// # Errors
    ///
    /// [`RecorderError::Broken`] if the file is gone or replaced.
    pub(crate) fn check(&self) -> Result<(), RecorderError> {
        match FileId::of(&self.path) {
            Ok(found) if found == self.opened => self.check_earlier(),
            Ok(_) => {
                Err(self.break_off("the database file was replaced by another while it was open"))
            }
            Err(error) if is_gone(&error) => {
                Err(self.break_off("the database file was removed while it was open"))
            }
            // Nothing is known then.
            Err(error) => Err(RecorderError::unavailable(
                "looking for the database file: the disk failed to read or write",
                error,
            )),
        }
    }

    /// The same after a commit, with the files in which it is until it is moved into the database.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Broken`] if one of the files is gone or replaced.
    pub(crate) fn check_written(&self) -> Result<(), RecorderError> {
        self.check()?;
        let mut found = [FileId::default(); 2];
        for (found, companion) in found.iter_mut().zip(COMPANIONS) {
            match FileId::of(&companion_of(&self.path, companion)) {
                Ok(id) => *found = id,
                Err(error) if is_gone(&error) => return Err(self.lost_companion(companion)),
                Err(error) => {
                    return Err(RecorderError::unavailable(
                        "looking for the write-ahead log: the disk failed to read or write",
                        error,
                    ));
                }
            }
        }
        let opened = *self.companions().get_or_insert(found);
        for ((opened, found), companion) in opened.iter().zip(&found).zip(COMPANIONS) {
            if opened != found {
                return Err(self.lost_companion(companion));
            }
        }
        Ok(())
    }

    /// Whether there is anything in the write-ahead log, or was before it was moved into the database.
    pub(crate) fn has_write_ahead_log(&self) -> bool {
        fs::metadata(companion_of(&self.path, "-wal")).is_ok_and(|data| data.len() > 0)
    }

    /// A new connection writes: when the one before it was closed, its companions may have been removed.
    pub(crate) fn reconnected(&self) {
        *self.companions() = None;
    }

    /// SQLite found that what the file holds is damaged: nothing is written into it any more.
    pub(crate) fn damaged(&self) -> RecorderError {
        self.break_off("the database file is damaged: restore it from a backup, or repair it with `sqlite3 FILE .recover`")
    }

    fn lost_companion(&self, companion: &str) -> RecorderError {
        let what = if companion == "-wal" {
            "the write-ahead log (`-wal`), which is a part of it, was removed or replaced while the database was open"
        } else {
            "the file `-shm` of the database was removed or replaced while it was open"
        };
        self.break_off(what)
    }

    fn check_earlier(&self) -> Result<(), RecorderError> {
        match self.broken.get() {
            Some(reason) => Err(broken(reason)),
            None => Ok(()),
        }
    }

    /// The first reason that was found stays.
    fn break_off(&self, what: &str) -> RecorderError {
        let reason = self.broken.get_or_init(|| {
            tracing::error!(file = %self.path.display(), "{what}; nothing is recorded until the box is started again");
            format!("{what}: see that the right file is in its place, and start the box again")
        });
        broken(reason)
    }

    fn companions(&self) -> MutexGuard<'_, Option<[FileId; 2]>> {
        // A value is whole between two assignments.
        self.companions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(reason: &str) -> RecorderError {
    RecorderError::Broken {
        reason: reason.to_owned(),
    }
}

fn companion_of(path: &Path, companion: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(companion);
    path.into()
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What makes a file that is not there yet, for its owner alone.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    // Whoever may not enter the folder can't read what is in it.
    let is_closed = fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o011 == 0);
    if is_closed {
        return;
    }
    let files = ["", "-wal", "-shm"].map(|companion| companion_of(path, companion));
    for file in files {
        if fs::metadata(&file).is_ok_and(|data| data.permissions().mode() & 0o044 != 0) {
            tracing::warn!(file = %file.display(), "other users of this machine can read the database: chmod 600");
        }
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &Path) {}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let data = fs::metadata(path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
        })
    }

    /// An open file can't be removed or replaced here: that it is there is all that can be asked.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path)?;
        Ok(Self::default())
    }
}
