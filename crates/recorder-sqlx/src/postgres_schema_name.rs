//! The schema that a box has.

use boxes_recorder::RecorderError;
use sqlx::Postgres;
use uuid::Uuid;

use crate::server::Server;
use crate::server_limits::Limits;
use crate::server_place::mismatch;

/// The longest name of a schema, in bytes: PostgreSQL cuts longer ones without an error.
const MAX_NAME_BYTES: usize = 63;

/// So that the locks of this kit are not those of another program in the same database.
const LOCK_NAMESPACE: Uuid = Uuid::from_u128(0x9d3c_6f1e_52a7_4b0b_8f0d_41c5_7e2a_b610);

/// A schema, by a name that one can have, and how it is got at.
#[derive(Debug, Clone)]
pub(crate) struct SchemaName {
    name: String,
    limits: Limits,
}

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
        Ok(Self {
            name,
            limits: Limits::new(Postgres::LOCK_SECS),
        })
    }

    /// The same within these limits.
    pub(crate) fn with_limits(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// Whether nothing that is said of a session outlasts a transaction.
    pub(crate) fn is_pooled(&self) -> bool {
        self.limits.is_pooled()
    }

    /// Begins a transaction that writes and takes the log's lock. Gives one row.
    pub(crate) fn begin_locked(&self) -> String {
        let lock = format!("pg_advisory_xact_lock({})", self.lock_key());
        if !self.is_pooled() {
            return format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT {lock};");
        }
        // What the lock waits for is said before it is asked for, in one row for both.
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {} SELECT CASE WHEN {} <> '' THEN {lock} END;",
            local_limits(&self.limits),
            synchronous_commit(&self.limits, true)
        )
    }

    /// The lock of those who make the tables or bring them to a new version, which may take long: it is not that of the log, so
    /// who waits for it knows what for.
    pub(crate) fn try_to_lock_schema(&self) -> String {
        format!(
            "SELECT CASE WHEN pg_try_advisory_xact_lock({}) THEN 1::bigint ELSE 0::bigint END",
            self.lock_key_of("schema")
        )
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// The schema as it stands in SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
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
        let hash = Uuid::new_v5(&LOCK_NAMESPACE, self.name.as_bytes());
        i64::from_be_bytes(hash.as_u64_pair().0.to_be_bytes())
    }

    /// Another number of theirs.
    fn lock_key_of(&self, what: &str) -> i64 {
        let name = format!("{}\0{what}", self.name);
        let hash = Uuid::new_v5(&LOCK_NAMESPACE, name.as_bytes());
        i64::from_be_bytes(hash.as_u64_pair().0.to_be_bytes())
    }
}

/// Says for one transaction how long things may take in it.
pub(crate) fn local_limits(limits: &Limits) -> String {
    format!(
        "SET LOCAL lock_timeout = '{}s'; SET LOCAL statement_timeout = '{}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '10s';",
        limits.lock_secs, limits.write_secs
    )
}

/// Sets that a commit is on the disk when it is answered, also where the server or the role has it otherwise, and gives the setting.
pub(crate) fn synchronous_commit(limits: &Limits, is_local: bool) -> String {
    let wanted = if limits.takes_any_durability {
        "current_setting('synchronous_commit')"
    } else {
        // Those that wait for standbys as well are left.
        "replace(current_setting('synchronous_commit'), 'off', 'on')"
    };
    format!("set_config('synchronous_commit', {wanted}, {is_local})")
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
        let options = place.hosts.options().unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db", 5433));
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
