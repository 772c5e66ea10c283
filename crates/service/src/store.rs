//! Where a box keeps its events.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use boxes_application::{Edge, SystemEdge};
use boxes_recorder::{DEFAULT_PAGE_SIZE, LogIdentity, MemoryRecorder, Recorder, RecorderError};
use uuid::Uuid;

use crate::{DatabaseUrl, StartError};

/// Where a box keeps its events: `sqlite:FILE`, `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE` or `memory:`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// In an SQLite file, relative to the working directory unless its path is absolute.
    Sqlite(PathBuf),
    /// In a PostgreSQL database, in the schema that `?schema=` names, or one named after the box.
    Postgres(DatabaseUrl),
    /// In a MySQL or MariaDB database, in tables whose names begin as `?prefix=` says, or with the box's.
    Mysql(DatabaseUrl),
    /// In memory: gone when the process ends.
    Memory,
}

impl Store {
    /// Opens the store of the named box; one that is not there is made, with its folder, unless a log of a certain epoch is
    /// expected.
    pub(crate) async fn open(
        &self,
        name: &str,
        page_size: Option<NonZeroU32>,
        epoch: Option<Uuid>,
    ) -> Result<Arc<dyn Recorder>, StartError> {
        let opened = match self {
            Self::Sqlite(file) => {
                if let Some(folder) = file
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                {
                    make_private(folder).map_err(|source| StartError::Folder {
                        path: folder.to_owned(),
                        source,
                    })?;
                }
                open_sqlite(file, name, page_size, epoch).await
            }
            Self::Postgres(url) => open_postgres(url, name, page_size, epoch).await,
            Self::Mysql(url) => open_mysql(url, name, page_size, epoch).await,
            Self::Memory if epoch.is_some() => Err(RecorderError::Mismatch {
                reason: "a log in memory is a new one, and has no epoch that could be expected"
                    .to_owned(),
            }),
            Self::Memory => {
                let page_size = page_size.unwrap_or(DEFAULT_PAGE_SIZE);
                let log = LogIdentity {
                    name: name.to_owned(),
                    epoch: SystemEdge.new_id(),
                    page_size,
                };
                let recorder: Arc<dyn Recorder> = Arc::new(MemoryRecorder::new(log));
                Ok(recorder)
            }
        };
        opened.map_err(|source| StartError::Store {
            name: name.to_owned(),
            store: self.to_string(),
            source,
        })
    }
}

/// Makes a folder that its owner alone may enter, and those above it that are missing; one that is there is left as it is.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(
    file: &Path,
    name: &str,
    page_size: Option<NonZeroU32>,
    epoch: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};

    let mut log = OpenLog::named(name);
    log.page_size = page_size;
    log.epoch = epoch;
    let location = file.to_str().ok_or_else(|| RecorderError::Mismatch {
        reason: "its path is not UTF-8".to_owned(),
    })?;
    Ok(Arc::new(SqliteRecorder::open(location, log).await?))
}

#[cfg(not(feature = "sqlite"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn open_sqlite(
    _: &Path,
    _: &str,
    _: Option<NonZeroU32>,
    _: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    Err(RecorderError::Mismatch { reason: "this program was built without the feature `sqlite`: choose `memory:`, or build it with".to_owned() })
}

#[cfg(feature = "postgres")]
async fn open_postgres(
    url: &DatabaseUrl,
    name: &str,
    page_size: Option<NonZeroU32>,
    epoch: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};

    let mut log = OpenLog::named(name);
    log.page_size = page_size;
    log.epoch = epoch;
    Ok(Arc::new(PostgresRecorder::open(url.expose(), log).await?))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn open_postgres(
    _: &DatabaseUrl,
    _: &str,
    _: Option<NonZeroU32>,
    _: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    Err(RecorderError::Mismatch {
        reason: "this program was built without the feature `postgres`: choose another store, or build it with"
            .to_owned(),
    })
}

#[cfg(feature = "mysql")]
async fn open_mysql(
    url: &DatabaseUrl,
    name: &str,
    page_size: Option<NonZeroU32>,
    epoch: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    use boxes_recorder_sqlx::{MysqlRecorder, OpenLog};

    let mut log = OpenLog::named(name);
    log.page_size = page_size;
    log.epoch = epoch;
    Ok(Arc::new(MysqlRecorder::open(url.expose(), log).await?))
}

#[cfg(not(feature = "mysql"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn open_mysql(
    _: &DatabaseUrl,
    _: &str,
    _: Option<NonZeroU32>,
    _: Option<Uuid>,
) -> Result<Arc<dyn Recorder>, RecorderError> {
    Err(RecorderError::Mismatch {
        reason: "this program was built without the feature `mysql`: choose another store, or build it with"
            .to_owned(),
    })
}

/// What a store is, for errors and help.
pub(crate) const STORE: &str =
    "`sqlite:FILE`, `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE` or `memory:`";

/// A text names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store is {STORE}")]
pub struct ParseStoreError;

impl FromStr for Store {
    type Err = ParseStoreError;

    fn from_str(text: &str) -> Result<Self, ParseStoreError> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            // SQLite itself gives these a meaning of its own: a database that is lost without a word.
            Some(("sqlite", file)) if !file.is_empty() && !file.starts_with([':', '?']) => Ok(
                Self::Sqlite(PathBuf::from(file.strip_prefix("//").unwrap_or(file))),
            ),
            Some(("postgres" | "postgresql", _)) => DatabaseUrl::new(text)
                .map(Self::Postgres)
                .ok_or(ParseStoreError),
            Some(("mysql" | "mariadb", _)) => DatabaseUrl::new(text)
                .map(Self::Mysql)
                .ok_or(ParseStoreError),
            _ => Err(ParseStoreError),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) | Self::Mysql(url) => url.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_reads_what_it_prints() {
        for text in [
            "sqlite:orders.db",
            "sqlite:/var/lib/boxes/orders.db",
            "postgres://shop@db/shop?schema=orders",
            "postgresql://db/shop",
            "mysql://shop@db/shop?prefix=orders",
            "mariadb://db/shop",
            "memory:",
        ] {
            assert_eq!(text.parse::<Store>().unwrap().to_string(), text);
        }
        assert_eq!(
            "sqlite:///data/orders.db".parse(),
            Ok(Store::Sqlite("/data/orders.db".into()))
        );
    }

    #[test]
    fn what_would_be_lost_without_a_word_is_no_store() {
        for text in [
            "",
            "orders.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:?mode=memory",
            "memory",
            "memory:x",
            "postgres:x",
            "postgres://",
            "mysql://",
        ] {
            assert_eq!(text.parse::<Store>(), Err(ParseStoreError), "{text}");
        }
    }
}
