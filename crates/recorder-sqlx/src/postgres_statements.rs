//! The SQL of one schema.

use crate::event_row::event_columns;
use crate::found_log::SchemaSteps;
use crate::postgres_schema_name::SchemaName;
use crate::sql::Sql;

/// The statements that are PostgreSQL's own.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) lock: Sql,
    pub(crate) schema_steps: SchemaSteps<Sql>,
    pub(crate) set_schema_version: Sql,
    pub(crate) describe: Sql,
    pub(crate) insert_log: Sql,
    pub(crate) versions: Sql,
    pub(crate) positions: Sql,
    pub(crate) save_positions: Sql,
    pub(crate) insert: Sql,
}

const COLUMNS: &str = event_columns!();

impl Statements {
    pub(crate) fn of(schema: &SchemaName) -> Self {
        let s = schema.quoted();
        let sql = |text| Sql::new(text).kept(!schema.is_pooled());
        Self {
            lock: sql(schema.lock()),
            // Ids are given by the writer under the lock: no sequence, so they are dense. Versions are checked under the
            // same lock; the unique key is the backstop, and the way by which an aggregate is read.
            schema_steps: [sql(format!(
                "CREATE TABLE {s}.notification_log (
                     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                     name text NOT NULL,
                     epoch uuid NOT NULL,
                     page_size integer NOT NULL,
                     schema_version integer NOT NULL
                 );
                 CREATE TABLE {s}.stored_event (
                     id bigint PRIMARY KEY,
                     originator_id uuid NOT NULL,
                     originator_version bigint NOT NULL,
                     event_id uuid NOT NULL,
                     topic text NOT NULL,
                     schema_version bigint NOT NULL,
                     encoding text NOT NULL,
                     state bytea NOT NULL,
                     metadata bytea NOT NULL,
                     occurred_on bigint NOT NULL, -- microseconds since 1970-01-01T00:00:00Z
                     CONSTRAINT stored_event_by_originator UNIQUE (originator_id, originator_version)
                 );
                 CREATE TABLE {s}.tracking (
                     follower text COLLATE \"C\" PRIMARY KEY,
                     epoch uuid NOT NULL,
                     position bigint NOT NULL
                 );"
            )),
            sql(format!(
                "CREATE TABLE {s}.key_value (
                     kind text COLLATE \"C\" NOT NULL,
                     entry_key bytea NOT NULL,
                     value bytea NOT NULL,
                     PRIMARY KEY (kind, entry_key)
                 );"
            )),
            sql(format!(
                "ALTER TABLE {s}.notification_log ADD COLUMN n_redacted bigint NOT NULL DEFAULT 0;"
            )),
            // Event ids ascend with time where the kit makes them, so the index is written at its end.
            sql(format!(
                "CREATE INDEX stored_event_by_event_id ON {s}.stored_event (event_id);"
            )),
            // The event id is that of the position beside it: an older program that moves the position leaves it behind.
            sql(format!(
                "ALTER TABLE {s}.tracking ADD COLUMN event_id uuid, ADD COLUMN event_position bigint;
                 CREATE TABLE {s}.writer (
                     id uuid PRIMARY KEY,
                     attempt bigint NOT NULL,
                     written_at bigint NOT NULL -- seconds since 1970-01-01T00:00:00Z, by the server's clock
                 );"
            ))],
            set_schema_version: sql(format!(
                "UPDATE {s}.notification_log SET schema_version = $1"
            )),
            describe: sql(format!(
                "SELECT name, epoch, page_size::bigint, schema_version::bigint FROM {s}.notification_log"
            )),
            insert_log: sql(format!(
                "INSERT INTO {s}.notification_log (name, epoch, page_size, schema_version) VALUES ($1, $2, $3, $4)"
            )),
            versions: sql(format!(
                "SELECT wanted.id, newest.originator_version,
                        CASE WHEN newest.encoding = 'redacted' THEN 1::bigint ELSE 0::bigint END
                 FROM UNNEST($1::uuid[]) AS wanted (id)
                 CROSS JOIN LATERAL (
                     SELECT originator_version, encoding FROM {s}.stored_event
                     WHERE originator_id = wanted.id ORDER BY originator_version DESC LIMIT 1
                 ) AS newest"
            )),
            positions: sql(format!(
                "SELECT follower, epoch, position, CASE WHEN event_position = position THEN event_id END
                 FROM {s}.tracking WHERE follower = ANY($1)"
            )),
            save_positions: sql(format!(
                "INSERT INTO {s}.tracking (follower, epoch, position, event_id, event_position)
                 SELECT follower, epoch, position, event_id, position
                 FROM UNNEST($1::text[], $2::uuid[], $3::bigint[], $4::uuid[]) AS saved (follower, epoch, position, event_id)
                 ON CONFLICT (follower) DO UPDATE SET epoch = excluded.epoch, position = excluded.position,
                     event_id = excluded.event_id, event_position = excluded.event_position"
            )),
            insert: sql(format!(
                "INSERT INTO {s}.stored_event ({COLUMNS})
                 SELECT * FROM UNNEST($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
                                      $8::bytea[], $9::bytea[], $10::bigint[])"
            )),
        }
    }
}
