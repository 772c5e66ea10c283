//! The log that is there, held against the one that is expected.

use std::num::NonZeroU32;

use boxes_recorder::{DEFAULT_PAGE_SIZE, LogIdentity, RecorderError};
use uuid::Uuid;

use crate::OpenLog;
use crate::columns::{Columns, Filled};

/// The version of the tables of every store; a log that was written by a program with a greater one is refused.
///
/// Version n is what step n leads to, from version n - 1; a new database takes all of them, from the first. So there is one
/// description of the tables, and what was made long ago has the same as what is made now. A step that was released is
/// not changed any more. It runs while older programs still work on the log, so it must not be in their way: it adds.
pub(crate) const SCHEMA_VERSION: u32 = 5;

/// The tables of a box, each with the version of the schema from which on it is there: all of them belong to a backup.
const TABLES: [(&str, u32); 4] = [
    ("notification_log", 1),
    ("stored_event", 1),
    ("tracking", 1),
    ("key_value", 2),
];

/// One more that a box on a server has.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const WRITER: (&str, u32) = ("writer", 5);

/// The tables of a box on a server.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn server_tables() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().chain([WRITER]).map(|(table, _)| table)
}

/// The steps of every engine, as many as there are versions.
pub(crate) type SchemaSteps<S> = [S; 5];

/// The steps that are to be taken from a version of the schema, 0 for a new database, each with the version that it
/// leads to.
pub(crate) fn steps_from<S>(
    steps: &SchemaSteps<S>,
    version: u32,
) -> impl Iterator<Item = (u32, &S)> {
    (1..=SCHEMA_VERSION)
        .zip(steps)
        .filter(move |(to, _)| *to > version)
}

/// What the database says of its log.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) epoch: Uuid,
    pub(crate) page_size: u32,
    pub(crate) schema_version: u32,
    /// A table that should be there and is not.
    missing: Option<&'static str>,
}

impl Found {
    /// The log that is made where there is none.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if one of a certain epoch is expected: a new log has another.
    pub(crate) fn made(expected: &OpenLog) -> Result<Self, RecorderError> {
        if let Some(epoch) = expected.epoch {
            return Err(RecorderError::Mismatch {
                reason: format!(
                    "the database has no log, and that of `{}` with epoch {epoch} is expected: name the database that has it",
                    expected.name
                ),
            });
        }
        Ok(Self {
            name: expected.name.clone(),
            epoch: expected.new_epoch,
            page_size: expected.page_size.unwrap_or(DEFAULT_PAGE_SIZE).get(),
            schema_version: SCHEMA_VERSION,
            missing: None,
        })
    }

    /// Reads a row of name, epoch, page size and schema version.
    pub(crate) fn decode<DB: Columns>(row: &DB::Row) -> Result<Self, sqlx::Error> {
        let number = |column| {
            u32::try_from(DB::number(row, column)?)
                .map_err(|error| sqlx::Error::Decode(error.into()))
        };
        Ok(Self {
            name: DB::text(row, 0)?.to_owned(),
            epoch: DB::uuid(row, 1)?,
            page_size: number(2)?,
            schema_version: number(3)?,
            missing: None,
        })
    }

    /// The same, where these tables are there.
    pub(crate) fn with_tables(mut self, are_there: &[String]) -> Self {
        let missing = TABLES.into_iter().find(|(table, version)| {
            *version <= self.schema_version && !are_there.iter().any(|found| found == table)
        });
        self.missing = missing.map(|(table, _)| table);
        self
    }

    /// Fills the row that [`decode`](Self::decode) reads.
    pub(crate) fn bind<DB: Columns>(&self, query: Filled<DB>) -> Filled<DB> {
        let query = DB::bind_uuid(DB::bind_text(query, &self.name), self.epoch);
        let query = DB::bind_number(query, self.page_size.into());
        DB::bind_number(query, self.schema_version.into())
    }

    /// The log, if it is the one that is expected.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if it is another: a newer schema, another box, another epoch, another page size.
    pub(crate) fn check(&self, expected: &OpenLog) -> Result<LogIdentity, RecorderError> {
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
        if let Some(table) = self.missing {
            return mismatch(format!(
                "the table `{table}` of the box `{}` is missing: without its tables a box loses keys of subjects, values, seals and \
                 snapshots for good, so restore all of them from the same backup",
                self.name
            ));
        }
        if let Some(epoch) = expected.epoch.filter(|epoch| *epoch != self.epoch) {
            return mismatch(format!(
                "the log `{}` has epoch {}, expected is {epoch}: it is another history, such as that of an older backup; \
                 if it is the right one, expect its epoch",
                self.name, self.epoch
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
            name: self.name.clone(),
            epoch: self.epoch,
            page_size,
        })
    }

    /// Whether it is the expected log, in a schema of the past.
    pub(crate) fn is_older(&self, expected: &OpenLog) -> bool {
        self.schema_version < SCHEMA_VERSION && self.check(expected).is_ok()
    }
}
