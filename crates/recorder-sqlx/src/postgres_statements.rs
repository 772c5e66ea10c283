//! The SQL of one schema.

use crate::found_log::SchemaSteps;
use crate::postgres_place::Place;
use crate::sql::Sql;

/// Every statement, with the schema named in it. Not by `search_path`: a pooler that shares sessions would lose it, and
/// one box would write into the tables of another.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) lock: Sql,
    pub(crate) schema_steps: SchemaSteps<Sql>,
    pub(crate) set_schema_version: Sql,
    pub(crate) describe: Sql,
    pub(crate) insert_log: Sql,
    pub(crate) begin: Sql,
    pub(crate) versions: Sql,
    pub(crate) positions: Sql,
    pub(crate) save_positions: Sql,
    pub(crate) insert: Sql,
    pub(crate) is_recorded: Sql,
    pub(crate) stream_ascending: Sql,
    pub(crate) stream_descending: Sql,
    pub(crate) notifications: Sql,
    pub(crate) head: Sql,
}

const COLUMNS: &str = "id, originator_id, originator_version, event_id, topic, schema_version, encoding, state, metadata, occurred_on";

impl Statements {
    pub(crate) fn of(place: &Place) -> Self {
        let s = place.quoted_schema();
        let key = place.lock_key();
        let sql = Sql::new;
        let head = format!("SELECT coalesce(max(id), 0) FROM {s}.stored_event");
        let stream = |order: &str| {
            sql(format!(
                "SELECT {COLUMNS} FROM {s}.stored_event
                 WHERE originator_id = $1 AND originator_version > $2 AND originator_version <= $3
                 ORDER BY originator_version {order} LIMIT $4"
            ))
        };
        Self {
            lock: sql(format!("SELECT pg_advisory_xact_lock({key})")),
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
            ))],
            set_schema_version: sql(format!(
                "UPDATE {s}.notification_log SET schema_version = $1"
            )),
            describe: sql(format!(
                "SELECT name, epoch, page_size, schema_version FROM {s}.notification_log"
            )),
            insert_log: sql(format!(
                "INSERT INTO {s}.notification_log (name, epoch, page_size, schema_version) VALUES ($1, $2, $3, $4)"
            )),
            // Each statement of a simple query has a snapshot of its own: the last one sees what was committed before
            // the lock was there. In one message, because each is a way to the server and back.
            begin: sql(format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SELECT pg_advisory_xact_lock({key});
                 SELECT epoch, ({head}) FROM {s}.notification_log"
            )),
            versions: sql(format!(
                "SELECT wanted.id, newest.originator_version
                 FROM UNNEST($1::uuid[]) AS wanted (id)
                 CROSS JOIN LATERAL (
                     SELECT originator_version FROM {s}.stored_event
                     WHERE originator_id = wanted.id ORDER BY originator_version DESC LIMIT 1
                 ) AS newest"
            )),
            positions: sql(format!(
                "SELECT follower, epoch, position FROM {s}.tracking WHERE follower = ANY($1)"
            )),
            save_positions: sql(format!(
                "INSERT INTO {s}.tracking (follower, epoch, position)
                 SELECT * FROM UNNEST($1::text[], $2::uuid[], $3::bigint[])
                 ON CONFLICT (follower) DO UPDATE SET epoch = excluded.epoch, position = excluded.position"
            )),
            insert: sql(format!(
                "INSERT INTO {s}.stored_event ({COLUMNS})
                 SELECT * FROM UNNEST($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
                                      $8::bytea[], $9::bytea[], $10::bigint[])"
            )),
            is_recorded: sql(format!(
                "SELECT EXISTS (SELECT 1 FROM {s}.stored_event WHERE id = $1 AND event_id = $2)"
            )),
            stream_ascending: stream("ASC"),
            stream_descending: stream("DESC"),
            notifications: sql(format!(
                "SELECT {COLUMNS} FROM {s}.stored_event WHERE id >= $1 ORDER BY id LIMIT $2"
            )),
            head: sql(head),
        }
    }
}
