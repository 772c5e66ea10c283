//! The schema that a box has.

use boxes_recorder::RecorderError;
use uuid::Uuid;

use crate::server_place::mismatch;

/// The longest name of a schema, in bytes: PostgreSQL cuts longer ones without an error.
const MAX_NAME_BYTES: usize = 63;

/// So that the locks of this kit are not those of another program in the same database.
const LOCK_NAMESPACE: Uuid = Uuid::from_u128(0x9d3c_6f1e_52a7_4b0b_8f0d_41c5_7e2a_b610);

/// A name that a schema can have.
#[derive(Debug, Clone)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`] if no schema can have it.
    pub(crate) fn new(name: String) -> Result<Self, RecorderError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            return Err(mismatch(format!(
                "`{name}` can't be the name of a schema: it has 1 to {MAX_NAME_BYTES} bytes; \
                 choose one with `?schema=` in the URL"
            )));
        }
        if name.starts_with("pg_") {
            return Err(mismatch(format!(
                "`{name}` can't be the name of a schema: PostgreSQL keeps `pg_` for itself"
            )));
        }
        Ok(Self(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The schema as it stands in SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// Takes the log's lock until the transaction ends.
    pub(crate) fn lock(&self) -> String {
        format!("SELECT pg_advisory_xact_lock({})", self.lock_key())
    }

    /// The channel on which commits are told of.
    pub(crate) fn channel(&self) -> String {
        format!("boxes_{:016x}", self.lock_key())
    }

    /// One number for all processes that work on this schema, in this database.
    fn lock_key(&self) -> i64 {
        let hash = Uuid::new_v5(&LOCK_NAMESPACE, self.0.as_bytes());
        i64::from_be_bytes(hash.as_u64_pair().0.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Postgres;

    use crate::server_limits::DEFAULT_MAX_READERS;
    use crate::server_place::{Place, assert_refused_without_the_password};

    #[test]
    fn the_schema_is_the_box_unless_the_url_says_otherwise() {
        let parse = |location| Place::<Postgres>::parse(location, "orders").unwrap();
        let place = parse("postgres://u:secret@db:5433/shop?sslmode=require");
        assert_eq!(
            (place.tables.as_str(), place.limits.max_readers),
            ("orders", DEFAULT_MAX_READERS)
        );
        assert_eq!(
            (place.options.get_host(), place.options.get_port()),
            ("db", 5433)
        );
        let other = parse("postgresql://db/shop?schema=a%22b&max_readers=9");
        assert_eq!(
            (other.tables.quoted().as_str(), other.limits.max_readers),
            ("\"a\"\"b\"", 9)
        );
        assert_ne!(place.tables.lock(), other.tables.lock());
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
            assert_refused_without_the_password::<Postgres>(location);
        }
    }
}
