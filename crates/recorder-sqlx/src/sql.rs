//! A statement with the names of a box's tables in it.

use std::fmt;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Database};

use crate::columns::Filled;

/// A statement in which nothing but quoted names and the number of a lock was filled in.
#[derive(Clone)]
pub(crate) struct Sql(Arc<str>);

impl Sql {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// A statement in which nothing had to be filled in.
    pub(crate) fn fixed(text: &'static str) -> Self {
        Self(text.into())
    }

    /// The statements of which it consists, each of which ends with a semicolon.
    #[cfg(feature = "mysql")]
    pub(crate) fn statements(&self) -> impl Iterator<Item = Self> {
        let statements = self.0.split(';').map(str::trim);
        let statements = statements.filter(|statement| !statement.is_empty());
        statements.map(|statement| Self(statement.into()))
    }

    /// For the driver, which takes only texts that someone vouches for.
    pub(crate) fn text(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.0))
    }

    /// A query whose places are still to be filled.
    pub(crate) fn query<DB: Database>(&self) -> Filled<DB> {
        sqlx::query(self.text())
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
