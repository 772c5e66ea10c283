//! Databases that older programs made: each schema of the past, as it was made then, is brought to that of today.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::sync::Arc;

use boxes_recorder::{Append, Encoding, Position, Recorder, RecorderError, StoredEvent, Tracking};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder, SqliteRecorder};
use boxes_testing::{mysql_url, postgres_url};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The version that this program makes.
const CURRENT: i64 = 5;

/// What the program of version 1 wrote: tables, log, and an event.
const SQLITE_1: &str = "
CREATE TABLE notification_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    name TEXT NOT NULL, epoch BLOB NOT NULL, page_size INTEGER NOT NULL, schema_version INTEGER NOT NULL
) STRICT;
CREATE TABLE stored_event (
    id INTEGER PRIMARY KEY, originator_id BLOB NOT NULL, originator_version INTEGER NOT NULL, event_id BLOB NOT NULL,
    topic TEXT NOT NULL, schema_version INTEGER NOT NULL, encoding TEXT NOT NULL, state BLOB NOT NULL,
    metadata BLOB NOT NULL, occurred_on INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX stored_event_by_originator ON stored_event (originator_id, originator_version);
CREATE TABLE tracking (
    follower TEXT PRIMARY KEY, epoch BLOB NOT NULL, position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO notification_log VALUES (1, 'orders', x'00000000000000000000000000000007', 20, 1);
INSERT INTO stored_event VALUES (1, x'00000000000000000000000000000001', 1, x'00000000000000000000000000000001',
    'test.happened', 1, 'json', x'7b7d', x'7b7d', 0);
INSERT INTO tracking VALUES ('payments', x'00000000000000000000000000000009', 41);
";

const POSTGRES_1: &str = "
CREATE SCHEMA {s};
CREATE TABLE {s}.notification_log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name text NOT NULL, epoch uuid NOT NULL, page_size integer NOT NULL, schema_version integer NOT NULL
);
CREATE TABLE {s}.stored_event (
    id bigint PRIMARY KEY, originator_id uuid NOT NULL, originator_version bigint NOT NULL, event_id uuid NOT NULL,
    topic text NOT NULL, schema_version bigint NOT NULL, encoding text NOT NULL, state bytea NOT NULL,
    metadata bytea NOT NULL, occurred_on bigint NOT NULL,
    CONSTRAINT stored_event_by_originator UNIQUE (originator_id, originator_version)
);
CREATE TABLE {s}.tracking (
    follower text COLLATE \"C\" PRIMARY KEY, epoch uuid NOT NULL, position bigint NOT NULL
);
INSERT INTO {s}.notification_log VALUES (true, 'orders', '00000000-0000-0000-0000-000000000007', 20, 1);
INSERT INTO {s}.stored_event VALUES (1, '00000000-0000-0000-0000-000000000001', 1,
    '00000000-0000-0000-0000-000000000001', 'test.happened', 1, 'json', '{}', '{}', 0);
INSERT INTO {s}.tracking VALUES ('payments', '00000000-0000-0000-0000-000000000009', 41);
";

const MYSQL_1: &str = "
CREATE TABLE {s}_notification_log (
    only_row tinyint NOT NULL DEFAULT 1 PRIMARY KEY,
    name text NOT NULL, epoch binary(16) NOT NULL, page_size bigint NOT NULL, schema_version bigint NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE {s}_stored_event (
    id bigint NOT NULL PRIMARY KEY, originator_id binary(16) NOT NULL, originator_version bigint NOT NULL,
    event_id binary(16) NOT NULL, topic mediumtext NOT NULL, schema_version bigint NOT NULL, encoding mediumtext NOT NULL,
    state longblob NOT NULL, metadata longblob NOT NULL, occurred_on bigint NOT NULL,
    UNIQUE KEY stored_event_by_originator (originator_id, originator_version)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE {s}_tracking (
    follower varbinary(1024) NOT NULL PRIMARY KEY, epoch binary(16) NOT NULL, position bigint NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO {s}_notification_log VALUES (1, 'orders', x'00000000000000000000000000000007', 20, 1);
INSERT INTO {s}_stored_event VALUES (1, x'00000000000000000000000000000001', 1, x'00000000000000000000000000000001',
    'test.happened', 1, 'json', '{}', '{}', 0);
INSERT INTO {s}_tracking VALUES ('payments', x'00000000000000000000000000000009', 41);
";

/// A database of an older program, on one of the engines.
enum Old {
    Sqlite(TempDir),
    Postgres(String),
    Mysql(String),
}

impl Old {
    /// One on each engine.
    async fn all() -> [Self; 3] {
        let all = [
            Self::Sqlite(tempfile::tempdir().unwrap()),
            Self::Postgres(postgres_url()),
            Self::Mysql(mysql_url()),
        ];
        for old in &all {
            let sql = match old {
                Self::Sqlite(_) => SQLITE_1,
                Self::Postgres(_) => POSTGRES_1,
                Self::Mysql(_) => MYSQL_1,
            };
            old.sql(sql).await;
        }
        all
    }

    fn location(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                format!("sqlite:{}", folder.path().join("old.sqlite").display())
            }
            Self::Postgres(url) | Self::Mysql(url) => url.clone(),
        }
    }

    async fn open(&self, name: &str) -> Result<Arc<dyn Recorder>, RecorderError> {
        open(self.location(), OpenLog::named(name)).await
    }

    /// Does so behind every recorder's back, with `{s}` as what the names of the tables begin with.
    async fn sql(&self, sql: &str) {
        let location = self.location();
        match self {
            Self::Sqlite(_) => {
                let url = format!("{location}?mode=rwc");
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let sql = AssertSqlSafe(sql.to_owned());
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(_) => {
                let (server, schema) = location.split_once("?schema=").unwrap();
                let mut connection = PgConnection::connect(server).await.unwrap();
                let sql = AssertSqlSafe(sql.replace("{s}", schema));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Self::Mysql(_) => {
                let (server, prefix) = location.split_once("?prefix=").unwrap();
                let mut connection = MySqlConnection::connect(server).await.unwrap();
                let sql = AssertSqlSafe(sql.replace("{s}", prefix));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    async fn schema_version(&self) -> i64 {
        let location = self.location();
        match self {
            Self::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&location).await.unwrap();
                let version = "SELECT schema_version FROM notification_log";
                let version = sqlx::query_scalar(version).fetch_one(&mut connection);
                version.await.unwrap()
            }
            Self::Postgres(_) => {
                let (server, schema) = location.split_once("?schema=").unwrap();
                let mut connection = PgConnection::connect(server).await.unwrap();
                let version =
                    format!("SELECT schema_version::bigint FROM {schema}.notification_log");
                let version = sqlx::query_scalar(AssertSqlSafe(version)).fetch_one(&mut connection);
                version.await.unwrap()
            }
            Self::Mysql(_) => {
                let (server, prefix) = location.split_once("?prefix=").unwrap();
                let mut connection = MySqlConnection::connect(server).await.unwrap();
                let version = format!("SELECT schema_version FROM {prefix}_notification_log");
                let version = sqlx::query_scalar(AssertSqlSafe(version)).fetch_one(&mut connection);
                version.await.unwrap()
            }
        }
    }
}

async fn open(location: String, log: OpenLog) -> Result<Arc<dyn Recorder>, RecorderError> {
    Ok(if location.starts_with("sqlite") {
        Arc::new(SqliteRecorder::open(&location, log).await?)
    } else if location.starts_with("postgres") {
        Arc::new(PostgresRecorder::open(&location, log).await?)
    } else {
        Arc::new(MysqlRecorder::open(&location, log).await?)
    })
}

fn append(version: u64) -> [Append; 1] {
    [Append::new(vec![StoredEvent {
        event_id: Uuid::from_u128(version.into()),
        originator_id: Uuid::from_u128(1),
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }])]
}

/// Everything that a recorder does works, and what was there is there.
async fn works(recorder: &dyn Recorder, head: u64) {
    assert_eq!(recorder.log().epoch, Uuid::from_u128(7));
    let notifications = recorder.select_notifications(1, 10).await.unwrap();
    assert_eq!(notifications[0].event, append(1)[0].events[0]);
    let outcomes = recorder.record(&append(head + 1)).await.unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap().ids, head + 1..head + 2);
    let values = recorder.key_value_store().unwrap();
    values.put("test", b"a", b"1").await.unwrap();
    assert_eq!(values.get("test", b"a").await.unwrap().unwrap(), "1");
    let found = recorder.select_event(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(found.unwrap(), notifications[0]);
    assert_eq!(recorder.n_redacted_in(1, head).await.unwrap(), 0);
    let nothing = recorder.delete_stream(Uuid::from_u128(9)).await.unwrap();
    assert_eq!((nothing.n_events, nothing.n_redacted), (0, 0));
    let before = recorder.tracking("payments").await.unwrap().unwrap();
    assert_eq!((before.epoch, before.id), (PAYMENTS, 40 + head));
    // The older program knew no events of positions; the step from where it stopped is taken all the same.
    let event_id = (head > 1).then(|| Uuid::from_u128((40 + head).into()));
    assert_eq!(before.event_id, event_id);
    let step = step(before, 41 + head);
    let outcomes = recorder.record(&[step]).await.unwrap();
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
}

/// The log that is followed.
const PAYMENTS: Uuid = Uuid::from_u128(9);

/// From a position to the one with this id, whose event has the same id.
fn step(from: Position, to: u64) -> Append {
    Append::default().with_tracking(Tracking {
        follower: "payments".to_owned(),
        epoch: PAYMENTS,
        from: Some(from),
        to,
        event_id: Some(Uuid::from_u128(to.into())),
    })
}

#[tokio::test]
async fn a_position_that_an_older_program_moves_loses_the_event_of_the_one_before() {
    for old in Old::all().await {
        let recorder = old.open("orders").await.unwrap();
        let before = recorder.tracking("payments").await.unwrap().unwrap();
        let outcomes = recorder.record(&[step(before, 50)]).await.unwrap();
        assert!(outcomes[0].is_ok());
        // As it does while programs are replaced one by one.
        let moves = "UPDATE {t}tracking SET position = 60 WHERE follower = 'payments'";
        old.sql(&moves.replace(
            "{t}",
            match old {
                Old::Sqlite(_) => "",
                Old::Postgres(_) => "{s}.",
                Old::Mysql(_) => "{s}_",
            },
        ))
        .await;
        let moved = recorder.tracking("payments").await.unwrap();
        assert_eq!(moved, Some(Position::new(PAYMENTS, 60)));
    }
}

#[tokio::test]
async fn a_database_of_an_older_program_is_brought_to_the_schema_of_this_one_and_keeps_what_it_has()
{
    for old in Old::all().await {
        assert_eq!(old.schema_version().await, 1);
        works(&*old.open("orders").await.unwrap(), 1).await;
        assert_eq!(old.schema_version().await, CURRENT);
        works(&*old.open("orders").await.unwrap(), 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_programs_that_start_on_an_old_database_at_once_all_start() {
    for old in Old::all().await {
        let mut starting = JoinSet::new();
        for _ in 0..6 {
            starting.spawn(open(old.location(), OpenLog::named("orders")));
        }
        let recorders = starting.join_all().await;
        assert_eq!(old.schema_version().await, CURRENT);
        for (recorder, head) in recorders.into_iter().zip(1..) {
            works(&*recorder.unwrap(), head).await;
        }
    }
}

#[tokio::test]
async fn the_database_of_another_box_is_refused_and_left_as_it_is() {
    for old in Old::all().await {
        let refused = old.open("payments").await;
        assert!(
            matches!(refused, Err(RecorderError::Mismatch { .. })),
            "{refused:?}"
        );
        assert_eq!(old.schema_version().await, 1);
    }
}

#[tokio::test]
async fn a_step_that_was_cut_short_between_its_statements_is_gone_on_with() {
    // Only MySQL commits each change of a table for itself: here the table is there, and the version is still the old one.
    let [_, _, old] = Old::all().await;
    old.sql(
        "CREATE TABLE {s}_key_value (kind varbinary(32) NOT NULL, entry_key varbinary(512) NOT NULL,
         value longblob NOT NULL, PRIMARY KEY (kind, entry_key))",
    )
    .await;
    old.sql("ALTER TABLE {s}_notification_log ADD COLUMN n_redacted bigint NOT NULL DEFAULT 0")
        .await;
    old.sql("CREATE INDEX stored_event_by_event_id ON {s}_stored_event (event_id)")
        .await;
    old.sql(
        "ALTER TABLE {s}_tracking ADD COLUMN event_id binary(16), ADD COLUMN event_position bigint",
    )
    .await;
    works(&*old.open("orders").await.unwrap(), 1).await;
    assert_eq!(old.schema_version().await, CURRENT);
}
