//! How far a log was sealed, remembered outside of its database.

use std::fmt::Debug;
use std::io;

use crate::Remembered;

/// How far a log was sealed, remembered where one who can write to its database can't.
///
/// Without it such a person could take the newest seals away, change what they covered, and have the sealer sign that.
pub trait HighWaterMark: Debug + Send + Sync + 'static {
    /// What was remembered last; `None` for nothing yet.
    ///
    /// # Errors
    ///
    /// If it is there and can't be read.
    fn read(&self) -> io::Result<Option<Remembered>>;

    /// Remembers that. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    fn write(&self, mark: &Remembered) -> io::Result<()>;
}
