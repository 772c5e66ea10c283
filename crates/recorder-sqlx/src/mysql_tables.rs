//! The tables that a box has.

use boxes_recorder::RecorderError;
use uuid::Uuid;

use crate::found_log::server_tables;
use crate::server_place::mismatch;

/// The longest prefix, in characters: a table's name has 64, and the longest of ours 17 behind it.
const MAX_PREFIX_CHARS: usize = 47;

/// So that the locks of this kit are not those of another program on the same server.
const LOCK_NAMESPACE: Uuid = Uuid::from_u128(0x3b1f_90c4_7d0e_4f5c_9a62_c8d1_04f7_5e23);

/// A database, and what the names of a box's tables in it begin with.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    database: String,
    prefix: String,
}

impl Tables {
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if no table's name can begin so, or no database is named.
    pub(crate) fn new(database: Option<&str>, prefix: String) -> Result<Self, RecorderError> {
        if prefix.is_empty() || prefix.chars().count() > MAX_PREFIX_CHARS || prefix.contains('\0') {
            return Err(mismatch(format!(
                "`{prefix}` can't be the prefix of tables: it has 1 to {MAX_PREFIX_CHARS} characters; \
                 choose one with `?prefix=` in the URL"
            )));
        }
        let database = database.filter(|name| !name.is_empty()).ok_or_else(|| {
            mismatch("the URL names no database: it is mysql://USER@HOST/DATABASE".to_owned())
        })?;
        Ok(Self {
            database: database.to_owned(),
            prefix,
        })
    }

    /// A table of the box as it stands in SQL.
    pub(crate) fn quoted(&self, table: &str) -> String {
        format!("`{}_{table}`", self.prefix.replace('`', "``"))
    }

    /// The tables of the box, as they are named.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        server_tables().map(|table| format!("{}_{table}", self.prefix))
    }

    /// The name of a table without what the names of all begin with.
    pub(crate) fn without_prefix(&self, name: &str) -> Option<String> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('_')?;
        Some(rest.to_owned())
    }

    /// The lock under which the tables are made: one name for all processes that work on them. Locks are the server's,
    /// so the database is part of it.
    pub(crate) fn lock_name(&self) -> String {
        let tables = format!("{}\0{}", self.database, self.prefix);
        format!(
            "boxes_{}",
            Uuid::new_v5(&LOCK_NAMESPACE, tables.as_bytes()).simple()
        )
    }
}

#[cfg(test)]
mod tests {
    use sqlx::MySql;

    use crate::server_limits::DEFAULT_MAX_READERS;
    use crate::server_place::{Place, assert_refused_without_the_password};

    #[test]
    fn the_tables_are_named_after_the_box_unless_the_url_says_otherwise() {
        let parse = |location| Place::<MySql>::parse(location, "orders").unwrap();
        let place = parse("mysql://u:secret@db:3307/shop");
        assert_eq!(
            (
                place.tables.quoted("tracking").as_str(),
                place.limits.max_readers
            ),
            ("`orders_tracking`", DEFAULT_MAX_READERS)
        );
        let options = place.hosts.options().unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db", 3307));
        let other = parse("mariadb://db/shop?prefix=a%60b&max_readers=9");
        assert_eq!(
            (
                other.tables.quoted("tracking").as_str(),
                other.limits.max_readers
            ),
            ("`a``b_tracking`", 9)
        );
        assert_ne!(place.tables.lock_name(), other.tables.lock_name());
    }

    #[test]
    fn what_can_not_be_is_refused_without_repeating_the_password() {
        for location in [
            "mysql://u:secret@db:99999/shop",
            "postgres://u:secret@db/shop",
            "mysql://u:secret@db",
            "mysql://u:secret@db/shop?max_readers=0",
            "mysql://u:secret@db/shop?prefix=",
            "mysql://u:secret@db/shop?ssl-mode=perhaps",
        ] {
            assert_refused_without_the_password::<MySql>(location);
        }
    }
}
