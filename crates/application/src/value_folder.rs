//! Values as files in a folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use boxes_domain::LargeId;
use boxes_recorder::RecorderError;
use bytes::Bytes;
use jiff::Timestamp;

use crate::Error;
use crate::values::{Shelf, ValuePlace};

/// What the name of a file ends with that is still being written.
const UNFINISHED: &str = "tmp";

/// A folder in which a box keeps its large values, a file for each: for values that make its database too large to be copied
/// or restored in time, or for a file system that costs less.
///
/// A value is at `ab/abcd…`, by its SHA-256 in hexadecimal, and after it was found to be garbage at `removed/ab/abcd…`; since when
/// it is there is the time of the file. It holds what would stand in the database: how it was compressed and encrypted, and
/// the value. Files and folders that are made are for their owner alone. Each value is written under another name, and gets its
/// own once it is on the disk, so that no half of one is ever found.
///
/// Several processes may use a folder, and have to if they are replicas of a box. Several boxes may not: each finds those
/// of the other to be garbage.
#[derive(Debug, Clone)]
pub struct ValueFolder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    n_written: AtomicU64,
}

impl ValueFolder {
    /// The values in this folder, which is made if it is not there.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("boxes-values-{}", std::process::id()));
    /// use boxes_application::{AppOptions, ValueFolder};
    ///
    /// let options = AppOptions {
    ///     value_folder: Some(ValueFolder::open(&folder)?),
    ///     ..AppOptions::default()
    /// };
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the system says, if it can't be made, or nothing can be written there.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        make_folder(&path)?;
        let folder = Self {
            inner: Arc::new(Inner {
                path,
                n_written: AtomicU64::new(0),
            }),
        };
        let (file, probe) = folder.inner.unfinished(&folder.inner.path, "probe")?;
        drop(file);
        fs::remove_file(probe)?;
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Does something with files, on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        let outcome = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        let reason = || format!("{doing} in {}", self.inner.path.display());
        outcome.map_err(|error| Error::Store(RecorderError::unavailable(reason(), error)))
    }
}

impl Inner {
    fn shelf(&self, shelf: Shelf) -> PathBuf {
        match shelf {
            Shelf::Kept => self.path.clone(),
            Shelf::Aside => self.path.join("removed"),
        }
    }

    fn file(&self, shelf: Shelf, id: LargeId) -> PathBuf {
        let name = id.to_string();
        let (first, _) = name.split_at_checked(2).unwrap_or_default();
        self.shelf(shelf).join(first).join(&name)
    }

    /// A new file that nobody takes for a value.
    fn unfinished(&self, folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
        loop {
            // Another host may have a process with this id, so it may be taken.
            let n = self.n_written.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{name}.{}-{n}.{UNFINISHED}", std::process::id()));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => return Ok((opened?, path)),
            }
        }
    }

    fn put(&self, shelf: Shelf, id: LargeId, now: Timestamp, stored: &[u8]) -> io::Result<()> {
        let now = system_time(now)?;
        let file = self.file(shelf, id);
        let folder = file.parent().unwrap_or(&self.path);
        make_folder(folder)?;
        let (mut written, unfinished) = self.unfinished(folder, &id.to_string())?;
        let written = written
            .write_all(stored)
            .and_then(|()| written.set_modified(now))
            .and_then(|()| written.sync_all())
            .and_then(|()| fs::rename(&unfinished, &file));
        if let Err(error) = written {
            // If that fails as well, garbage finds it.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        sync_folder(folder)
    }

    /// The folders of a shelf that hold values whose ids begin with `from` or more, ascending.
    fn folders(&self, shelf: Shelf, from: u8) -> io::Result<BTreeSet<(u8, PathBuf)>> {
        let mut folders = BTreeSet::new();
        for found in read_folder(&self.shelf(shelf))? {
            let first = found
                .file_name()
                .and_then(OsStr::to_str)
                .and_then(first_byte);
            if let Some(first) = first.filter(|first| *first >= from) {
                folders.insert((first, found));
            }
        }
        Ok(folders)
    }

    fn ids_after(
        &self,
        shelf: Shelf,
        after: Option<LargeId>,
        limit: usize,
    ) -> io::Result<Vec<LargeId>> {
        let mut ids = Vec::new();
        let from = after.map_or(0, |id| id.as_bytes()[0]);
        for (_, folder) in self.folders(shelf, from)? {
            let mut found: Vec<LargeId> = read_folder(&folder)?
                .iter()
                .filter_map(|file| file.file_name()?.to_str()?.parse().ok())
                .filter(|id| after.is_none_or(|after| after.as_bytes() < LargeId::as_bytes(id)))
                .collect();
            found.sort_unstable_by_key(|id| *id.as_bytes());
            ids.extend(found);
            if ids.len() >= limit {
                ids.truncate(limit);
                break;
            }
        }
        Ok(ids)
    }

    fn take_away_unfinished(&self, limit: SystemTime) -> io::Result<()> {
        let mut folders = vec![self.path.clone()];
        for shelf in [Shelf::Kept, Shelf::Aside] {
            folders.extend(
                self.folders(shelf, 0)?
                    .into_iter()
                    .map(|(_, folder)| folder),
            );
        }
        for folder in folders {
            for file in read_folder(&folder)? {
                if file.extension() == Some(OsStr::new(UNFINISHED))
                    && let Some(metadata) = unless_missing(fs::metadata(&file))?
                    && metadata.modified()? < limit
                {
                    unless_missing(fs::remove_file(&file))?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ValuePlace for ValueFolder {
    async fn get(&self, shelf: Shelf, id: LargeId) -> Result<Option<(Timestamp, Bytes)>, Error> {
        self.on_disk("reading a value", move |inner| {
            let Some(mut file) = unless_missing(File::open(inner.file(shelf, id)))? else {
                return Ok(None);
            };
            let since = since(&file.metadata()?)?;
            let mut stored = Vec::new();
            io::Read::read_to_end(&mut file, &mut stored)?;
            Ok(Some((since, stored.into())))
        })
        .await
    }

    async fn look(&self, shelf: Shelf, id: LargeId) -> Result<Option<(u64, Timestamp)>, Error> {
        self.on_disk("looking at a value", move |inner| {
            let found = unless_missing(fs::metadata(inner.file(shelf, id)))?;
            found
                .map(|found| Ok((found.len(), since(&found)?)))
                .transpose()
        })
        .await
    }

    async fn put(
        &self,
        shelf: Shelf,
        id: LargeId,
        now: Timestamp,
        stored: &Bytes,
    ) -> Result<(), Error> {
        let stored = stored.clone();
        self.on_disk("keeping a value", move |inner| {
            inner.put(shelf, id, now, &stored)
        })
        .await
    }

    async fn take_away(&self, shelf: Shelf, id: LargeId) -> Result<(), Error> {
        self.on_disk("deleting a value", move |inner| {
            let file = inner.file(shelf, id);
            match unless_missing(fs::remove_file(&file))? {
                Some(()) => sync_folder(file.parent().unwrap_or(&inner.path)),
                None => Ok(()),
            }
        })
        .await
    }

    async fn ids_after(
        &self,
        shelf: Shelf,
        after: Option<LargeId>,
        limit: usize,
    ) -> Result<Vec<LargeId>, Error> {
        self.on_disk("listing values", move |inner| {
            inner.ids_after(shelf, after, limit)
        })
        .await
    }

    async fn take_away_unfinished(&self, limit: Timestamp) -> Result<(), Error> {
        self.on_disk("deleting what was not written to its end", move |inner| {
            inner.take_away_unfinished(system_time(limit)?)
        })
        .await
    }
}

/// The byte that a folder of values is named after.
fn first_byte(name: &str) -> Option<u8> {
    let is_hex = name.len() == 2
        && name
            .bytes()
            .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    is_hex.then(|| u8::from_str_radix(name, 16).ok())?
}

fn since(metadata: &fs::Metadata) -> io::Result<Timestamp> {
    Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)
}

fn system_time(time: Timestamp) -> io::Result<SystemTime> {
    SystemTime::try_from(time).map_err(io::Error::other)
}

/// What is there; `None` if there is nothing.
fn unless_missing<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// What is in a folder; nothing if it is not there.
fn read_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = unless_missing(fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Makes a folder and those above it that are missing, durably.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder
        .parent()
        .filter(|above| !above.as_os_str().is_empty())
    {
        make_folder(above)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) && !folder.as_os_str().is_empty() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
