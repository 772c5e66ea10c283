//! A statement with the names of a box's tables in it.

use std::fmt;
use std::sync::Arc;

use sqlx::AssertSqlSafe;

use crate::columns::{Columns, Filled};

/// A statement in which nothing but quoted names and the number of a lock was filled in.
#[derive(Clone)]
pub(crate) struct Sql {
    text: Arc<str>,
    /// Whether the driver keeps it prepared in the session.
    is_kept: bool,
}

impl Sql {
    pub(crate) fn new(text: String) -> Self {
        Self {
            text: text.into(),
            is_kept: true,
        }
    }

    /// The same, kept prepared in the session or not: where sessions are shared, a name that one gives a statement is another's.
    pub(crate) fn kept(mut self, is_kept: bool) -> Self {
        self.is_kept = is_kept;
        self
    }

    /// A statement in which nothing had to be filled in.
    pub(crate) fn fixed(text: &'static str) -> Self {
        Self::new(text.to_owned())
    }

    /// The statements of which it consists, each of which ends with a semicolon.
    #[cfg(feature = "mysql")]
    pub(crate) fn statements(&self) -> impl Iterator<Item = Self> {
        let statements = self.text.split(';').map(str::trim);
        let statements = statements.filter(|statement| !statement.is_empty());
        statements.map(|statement| Self::new(statement.to_owned()))
    }

    /// For the driver, which takes only texts that someone vouches for.
    pub(crate) fn text(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.text))
    }

    /// A query whose places are still to be filled.
    pub(crate) fn query<DB: Columns>(&self) -> Filled<DB> {
        sqlx::query(self.text()).persistent(self.is_kept)
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
