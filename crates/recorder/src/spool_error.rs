//! What can keep a spool from being used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can keep a spool from being used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The file can't be read or written: see to the disk.
    #[error("the spool {} can't be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process has it: give each a spool of its own.
    #[error("the spool {} is in use by another process: give each a file of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A record in the middle is not what was written: keep the file, and look at the disk.
    #[error("the spool {} is damaged at byte {at}, with whole requests behind it: move it away, and look at the disk", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        at: u64,
    },
}
