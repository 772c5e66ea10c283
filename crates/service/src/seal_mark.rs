//! How far a log was sealed, in a file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use boxes_integrity::{HighWaterMark, Remembered};

use crate::layers::read_bounded;

/// The largest file that what is remembered is read from, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// How far a log was sealed, in a file: one line.
#[derive(Debug)]
pub(crate) struct SealMarkFile(pub(crate) PathBuf);

impl HighWaterMark for SealMarkFile {
    fn read(&self) -> io::Result<Option<Remembered>> {
        read_remembered(&self.0)
            .map_err(|reason| io::Error::other(format!("{}: {reason}", self.0.display())))
    }

    fn write(&self, mark: &Remembered) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            std::fs::create_dir_all(folder)?;
        }
        write_remembered(&self.0, mark)
    }
}

/// What a file remembers; `None` if there is none.
pub(crate) fn read_remembered(file: &Path) -> Result<Option<Remembered>, String> {
    if !file.exists() {
        return Ok(None);
    }
    let text = read_bounded(file, MAX_FILE_BYTES)?;
    let remembered = text
        .parse()
        .map_err(|error: boxes_integrity::ParseRememberedError| error.to_string())?;
    Ok(Some(remembered))
}

/// All of it or nothing, so that a power cut leaves the one before it.
pub(crate) fn write_remembered(file: &Path, remembered: &Remembered) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, format!("{remembered}\n"))?;
    File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, file)
}
