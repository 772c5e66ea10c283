//! Where in which database.

use std::str::FromStr;

use boxes_recorder::RecorderError;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;
use uuid::Uuid;

/// Connections that read at the same time, at most, unless the URL says `max_readers=`.
pub(crate) const DEFAULT_MAX_READERS: u32 = 4;

/// The longest name of a schema, in bytes: PostgreSQL cuts longer ones without an error.
const MAX_NAME_BYTES: usize = 63;

/// So that the locks of this kit are not those of another program in the same database.
const LOCK_NAMESPACE: Uuid = Uuid::from_u128(0x9d3c_6f1e_52a7_4b0b_8f0d_41c5_7e2a_b610);

/// A schema of a database, and how to get there. Not `Debug`: the options hold a password.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) options: PgConnectOptions,
    /// The name of the schema.
    pub(crate) schema: String,
    pub(crate) max_readers: u32,
}

impl Place {
    /// Reads `postgres://…/db?schema=…&max_readers=…`; both parameters may be left out, and the others are the driver's.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`], which never repeats the URL: mend it.
    pub(crate) fn parse(location: &str, box_name: &str) -> Result<Self, RecorderError> {
        let mut url = Url::parse(location)
            .map_err(|error| mismatch(format!("the URL of the database is malformed: {error}")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(mismatch(
                "the URL of a PostgreSQL database begins with postgres://".to_owned(),
            ));
        }
        let mut schema = box_name.to_owned();
        let mut max_readers = DEFAULT_MAX_READERS;
        let mut of_driver = Vec::new();
        for (key, value) in url.query_pairs().into_owned() {
            match key.as_str() {
                "schema" => schema = value,
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
        check_name(&schema)?;
        let options = PgConnectOptions::from_str(url.as_str())
            .map_err(|_| {
                mismatch(
                    "the URL of the database has a parameter that the driver can't read".to_owned(),
                )
            })?
            .disable_statement_logging();
        let options = if options.get_application_name().is_none() {
            options.application_name(&format!("box {box_name}"))
        } else {
            options
        };
        Ok(Self {
            options,
            schema,
            max_readers,
        })
    }

    /// The schema as it stands in SQL.
    pub(crate) fn quoted_schema(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }

    /// The log's lock: one number for all processes that work on this schema, in this database.
    pub(crate) fn lock_key(&self) -> i64 {
        let hash = Uuid::new_v5(&LOCK_NAMESPACE, self.schema.as_bytes());
        i64::from_be_bytes(hash.as_u64_pair().0.to_be_bytes())
    }

    /// The channel on which commits are told of.
    pub(crate) fn channel(&self) -> String {
        format!("boxes_{:016x}", self.lock_key())
    }
}

fn check_name(schema: &str) -> Result<(), RecorderError> {
    if schema.is_empty() || schema.len() > MAX_NAME_BYTES || schema.contains('\0') {
        return Err(mismatch(format!(
            "`{schema}` can't be the name of a schema: it has 1 to {MAX_NAME_BYTES} bytes; \
             choose one with `?schema=` in the URL"
        )));
    }
    if schema.starts_with("pg_") {
        return Err(mismatch(format!(
            "`{schema}` can't be the name of a schema: PostgreSQL keeps `pg_` for itself"
        )));
    }
    Ok(())
}

pub(crate) const fn mismatch(reason: String) -> RecorderError {
    RecorderError::Mismatch { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(location: &str) -> String {
        let Err(error) = Place::parse(location, "orders") else {
            panic!("accepted: {location}")
        };
        error.to_string()
    }

    #[test]
    fn the_schema_is_the_box_unless_the_url_says_otherwise() {
        let place =
            Place::parse("postgres://u:secret@db:5433/shop?sslmode=require", "orders").unwrap();
        assert_eq!(
            (place.schema.as_str(), place.max_readers),
            ("orders", DEFAULT_MAX_READERS)
        );
        assert_eq!(
            (place.options.get_host(), place.options.get_port()),
            ("db", 5433)
        );
        let other =
            Place::parse("postgresql://db/shop?schema=a%22b&max_readers=9", "orders").unwrap();
        assert_eq!(
            (other.quoted_schema().as_str(), other.max_readers),
            ("\"a\"\"b\"", 9)
        );
        assert_ne!(place.lock_key(), other.lock_key());
    }

    #[test]
    fn what_can_not_be_is_refused_without_repeating_the_password() {
        for location in [
            "postgres://u:secret@db:99999/shop",
            "mysql://u:secret@db/shop",
            "postgres://u:secret@db/shop?max_readers=0",
            "postgres://u:secret@db/shop?schema=",
            "postgres://u:secret@db/shop?schema=pg_x",
            "postgres://u:secret@db/shop?sslmode=perhaps",
        ] {
            let refusal = refusal(location);
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }
}
