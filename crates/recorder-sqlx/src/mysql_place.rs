//! Where in which database.

use std::str::FromStr;

use boxes_recorder::RecorderError;
use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use url::Url;
use uuid::Uuid;

/// Connections that read at the same time, at most, unless the URL says `max_readers=`.
const DEFAULT_MAX_READERS: u32 = 4;

/// The longest prefix, in characters: a table's name has 64, and the longest of ours 17 behind it.
const MAX_PREFIX_CHARS: usize = 47;

/// So that the locks of this kit are not those of another program on the same server.
const LOCK_NAMESPACE: Uuid = Uuid::from_u128(0x3b1f_90c4_7d0e_4f5c_9a62_c8d1_04f7_5e23);

/// The tables of a box in a database, and how to get there. Not `Debug`: the options hold a password.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) options: MySqlConnectOptions,
    pub(crate) max_readers: u32,
    database: String,
    prefix: String,
}

impl Place {
    /// Reads `mysql://…/db?prefix=…&max_readers=…`; both parameters may be left out, and the others are the driver's.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`], which never repeats the URL: mend it.
    pub(crate) fn parse(location: &str, box_name: &str) -> Result<Self, RecorderError> {
        let mut url = Url::parse(location)
            .map_err(|error| mismatch(format!("the URL of the database is malformed: {error}")))?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(mismatch(
                "the URL of a MySQL or MariaDB database begins with mysql:// or mariadb://"
                    .to_owned(),
            ));
        }
        let mut prefix = box_name.to_owned();
        let mut max_readers = DEFAULT_MAX_READERS;
        let mut of_driver = Vec::new();
        for (key, value) in url.query_pairs().into_owned() {
            match key.as_str() {
                "prefix" => prefix = value,
                "max_readers" => {
                    max_readers = value.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                        mismatch("`max_readers` is a number of connections above 0".to_owned())
                    })?;
                }
                _ => of_driver.push((key, value)),
            }
        }
        url.set_query(None);
        if !of_driver.is_empty() {
            url.query_pairs_mut().extend_pairs(of_driver);
        }
        check_prefix(&prefix)?;
        let options = MySqlConnectOptions::from_str(url.as_str())
            .map_err(|_| {
                mismatch(
                    "the URL of the database has a parameter that the driver can't read".to_owned(),
                )
            })?
            .disable_statement_logging();
        let database = options
            .get_database()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                mismatch("the URL names no database: it is mysql://USER@HOST/DATABASE".to_owned())
            })?
            .to_owned();
        Ok(Self {
            options,
            max_readers,
            database,
            prefix,
        })
    }

    /// A table of the box as it stands in SQL.
    pub(crate) fn quoted_table(&self, table: &str) -> String {
        format!("`{}_{table}`", self.prefix.replace('`', "``"))
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

fn check_prefix(prefix: &str) -> Result<(), RecorderError> {
    if prefix.is_empty() || prefix.chars().count() > MAX_PREFIX_CHARS || prefix.contains('\0') {
        return Err(mismatch(format!(
            "`{prefix}` can't be the prefix of tables: it has 1 to {MAX_PREFIX_CHARS} characters; \
             choose one with `?prefix=` in the URL"
        )));
    }
    Ok(())
}

const fn mismatch(reason: String) -> RecorderError {
    RecorderError::Mismatch { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_named_after_the_box_unless_the_url_says_otherwise() {
        let place = Place::parse("mysql://u:secret@db:3307/shop", "orders").unwrap();
        assert_eq!(
            (place.quoted_table("tracking").as_str(), place.max_readers),
            ("`orders_tracking`", DEFAULT_MAX_READERS)
        );
        assert_eq!(
            (place.options.get_host(), place.options.get_port()),
            ("db", 3307)
        );
        let other = Place::parse("mariadb://db/shop?prefix=a%60b&max_readers=9", "orders").unwrap();
        assert_eq!(
            (other.quoted_table("tracking").as_str(), other.max_readers),
            ("`a``b_tracking`", 9)
        );
        assert_ne!(place.lock_name(), other.lock_name());
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
            let Err(error) = Place::parse(location, "orders") else {
                panic!("accepted: {location}")
            };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
