//! The log that is there, held against the one that is expected.

use std::num::NonZeroU32;

use boxes_recorder::{LogIdentity, RecorderError};
use uuid::Uuid;

use crate::OpenLog;

/// The version of the tables of every store; a log that was written by a program with a greater one is refused.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// What the database says of its log.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) epoch: Uuid,
    pub(crate) page_size: u32,
    pub(crate) schema_version: u32,
}

impl Found {
    /// The log, if it is the one that is expected.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if it is another: a newer schema, another box, another page size.
    pub(crate) fn check(self, expected: &OpenLog) -> Result<LogIdentity, RecorderError> {
        let mismatch = |reason| Err(RecorderError::Mismatch { reason });
        if self.schema_version > SCHEMA_VERSION {
            return mismatch(format!(
                "the database has schema version {}, this program knows versions up to {SCHEMA_VERSION}: \
                 use the newer program that wrote it",
                self.schema_version
            ));
        }
        if self.name != expected.name {
            return mismatch(format!(
                "the database holds the log of box `{}`, not of `{}`: give each box a database of its own",
                self.name, expected.name
            ));
        }
        let Some(page_size) = NonZeroU32::new(self.page_size) else {
            return mismatch(format!(
                "the log `{}` was made with page size 0: no page can be read",
                self.name
            ));
        };
        if let Some(configured) = expected
            .page_size
            .filter(|configured| *configured != page_size)
        {
            return mismatch(format!(
                "the log `{}` was made with page size {page_size}, configured is {configured}: \
                 a page size is fixed when the log is made, so configure {page_size}",
                self.name
            ));
        }
        Ok(LogIdentity {
            name: self.name,
            epoch: self.epoch,
            page_size,
        })
    }
}
