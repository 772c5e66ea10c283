//! Records one behind the other in a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

use crate::SpoolError;

/// What stands before a record: its length and its checksum, four bytes each.
const HEADER_BYTES: u64 = 8;

/// A file that grows by whole records, each on the disk before it counts, and is emptied as a whole.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    path: PathBuf,
    file: File,
    /// Where the last whole record ends.
    end: u64,
}

impl SpoolFile {
    /// Opens the file, or makes it, and says how many records are in it. A record that was cut short by a crash, which was never
    /// acknowledged, is cut off.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, u64), SpoolError> {
        let io = |source| SpoolError::Io {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        sync_folder(&path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut spool = Self { path, file, end: 0 };
        let mut n_records = 0_u64;
        let mut at = 0;
        while at < length {
            match spool.look(at, length).map_err(|source| SpoolError::Io {
                path: spool.path.clone(),
                source,
            })? {
                Found::Whole(_, next) => {
                    at = next;
                    n_records = n_records.saturating_add(1);
                }
                Found::CutShort => break,
                Found::Damaged => {
                    return Err(SpoolError::Damaged {
                        path: spool.path,
                        at,
                    });
                }
            }
        }
        spool.end = at;
        if at < length {
            let cut = spool.file.set_len(at).and_then(|()| spool.file.sync_all());
            cut.map_err(|source| SpoolError::Io {
                path: spool.path.clone(),
                source,
            })?;
        }
        Ok((spool, n_records))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.end
    }

    /// Bytes that a record takes.
    pub(crate) fn size_of(record: &[u8]) -> u64 {
        u64::try_from(record.len())
            .unwrap_or(u64::MAX)
            .saturating_add(HEADER_BYTES)
    }

    /// Puts a record at the end, on the disk. One that fails is as if it had never been.
    pub(crate) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a record of over 4 GiB"))?;
        let mut whole = Vec::with_capacity(record.len().saturating_add(8));
        whole.extend(length.to_le_bytes());
        whole.extend(crc32fast::hash(record).to_le_bytes());
        whole.extend(record);
        let pushed = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&whole))
            .and_then(|()| self.file.sync_data());
        if let Err(error) = pushed {
            // What can't be cut off now is overwritten by the next one, or cut off when the file is opened.
            self.file.set_len(self.end).ok();
            return Err(error);
        }
        self.end = self.end.saturating_add(Self::size_of(record));
        Ok(())
    }

    /// The record that begins there, and where the next one begins; `None` at the end.
    pub(crate) fn read(&mut self, at: u64) -> io::Result<Option<(Bytes, u64)>> {
        if at >= self.end {
            return Ok(None);
        }
        match self.look(at, self.end)? {
            Found::Whole(record, next) => Ok(Some((record, next))),
            Found::CutShort | Found::Damaged => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a record at byte {at} is not what was written"),
            )),
        }
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.end = 0;
        self.file.sync_data()
    }

    fn look(&mut self, at: u64, length: u64) -> io::Result<Found> {
        let body = at.saturating_add(HEADER_BYTES);
        if body > length {
            return Ok(Found::CutShort);
        }
        self.file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 8];
        self.file.read_exact(&mut header)?;
        let mut header = &header[..];
        let (n_bytes, checksum) = (header.get_u32_le(), header.get_u32_le());
        let next = body.saturating_add(n_bytes.into());
        if next > length {
            return Ok(Found::CutShort);
        }
        let mut record = vec![0; usize::try_from(n_bytes).unwrap_or(usize::MAX)];
        self.file.read_exact(&mut record)?;
        if crc32fast::hash(&record) == checksum {
            Ok(Found::Whole(record.into(), next))
        } else if next == length {
            // The file had grown, and the disk did not have all of it.
            Ok(Found::CutShort)
        } else {
            Ok(Found::Damaged)
        }
    }
}

enum Found {
    /// The record, and where it ends.
    Whole(Bytes, u64),
    /// The last one, of which a part is missing.
    CutShort,
    /// Not what was written, with others behind it.
    Damaged,
}

/// So that a new file is there after a power failure as well.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
