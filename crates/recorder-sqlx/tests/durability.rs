//! What is acknowledged is on the disk: each connection that writes has the settings for that in force, whatever the server or
//! the role has by default.
//!
//! A trigger on each table notes what is in force in the transaction that writes, which no one else can see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use boxes_recorder::{Append, Encoding, Position, Recorder, RecorderError, StoredEvent, Tracking};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder, SqliteRecorder};
use boxes_test_servers::NewServer;
use boxes_testing::{mysql_url, postgres_url};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(1);

fn event(version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128(version.into()),
        originator_id: A,
        originator_version: version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// Writes in each way that there is.
async fn write(recorder: &dyn Recorder, version: u64) {
    let step = Tracking {
        follower: "payments".to_owned(),
        epoch: Uuid::nil(),
        from: None,
        to: version,
        event_id: None,
    };
    let append = Append::new(vec![event(version)]).with_tracking(step);
    recorder.record(&[append]).await.unwrap().remove(0).unwrap();
    let values = recorder.key_value_store().unwrap();
    values.put("kind", b"key", b"value").await.unwrap();
    recorder.delete_stream(A).await.unwrap();
}

#[tokio::test]
async fn sqlite_flushes_each_commit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.db");
    let location = file.to_str().unwrap();
    let open = async || {
        SqliteRecorder::open(location, OpenLog::named("orders"))
            .await
            .unwrap()
    };
    open().await.close().await.unwrap();
    let mut admin = SqliteConnection::connect(&format!("sqlite:{location}"))
        .await
        .unwrap();
    let note = ["INSERT ON stored_event", "UPDATE ON stored_event", "INSERT ON key_value"]
        .iter()
        .enumerate()
        .map(|(n, on)| {
            format!(
                "CREATE TRIGGER note_{n} AFTER {on} BEGIN
                     INSERT INTO seen SELECT synchronous, (SELECT journal_mode FROM pragma_journal_mode) FROM pragma_synchronous;
                 END;"
            )
        });
    let sql = format!(
        "CREATE TABLE seen (synchronous INTEGER, journal_mode TEXT); {}",
        note.collect::<String>()
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut admin)
        .await
        .unwrap();
    let recorder = open().await;
    write(&recorder, 1).await;
    let seen = sqlx::query("SELECT synchronous, journal_mode FROM seen")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert_eq!(seen.len(), 3);
    for row in seen {
        assert_eq!(
            (row.get::<i64, _>(0), row.get::<&str, _>(1)),
            (2, "wal"),
            "FULL is 2"
        );
    }
}

/// A role by whose default a commit is answered before it is on the disk.
#[tokio::test]
async fn postgresql_flushes_each_commit_also_where_the_default_is_otherwise() {
    let url = postgres_url();
    let (server, schema) = url.split_once("?schema=").unwrap();
    let mut admin = PgConnection::connect(server).await.unwrap();
    let role = format!("careless_{schema}");
    for sql in [
        format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'x'"),
        format!("ALTER ROLE {role} SET synchronous_commit = off"),
    ] {
        execute(&mut admin, sql).await;
    }
    let (before, rest) = url.split_once("://").unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    let careless = format!("{before}://{role}:x@{place}");
    let recorder = PostgresRecorder::open(&careless, OpenLog::named("orders"))
        .await
        .unwrap();
    execute(
        &mut admin,
        format!(
            "CREATE TABLE {schema}.seen (setting text);
             CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {schema}.seen VALUES (TG_TABLE_NAME || ' ' || current_setting('synchronous_commit'));
                 RETURN NEW;
             END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON {schema}.stored_event FOR EACH ROW EXECUTE FUNCTION {schema}.note();
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON {schema}.tracking FOR EACH ROW EXECUTE FUNCTION {schema}.note();
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON {schema}.key_value FOR EACH ROW EXECUTE FUNCTION {schema}.note();
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON {schema}.notification_log FOR EACH ROW EXECUTE FUNCTION {schema}.note()"
        ),
    )
    .await;
    write(&recorder, 1).await;
    let position = Position::new(Uuid::nil(), 7);
    PostgresRecorder::set_position(&careless, "orders", "payments", position)
        .await
        .unwrap();
    let log = OpenLog::named("orders");
    PostgresRecorder::new_epoch(&careless, &log).await.unwrap();
    let seen: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT DISTINCT setting FROM {schema}.seen ORDER BY 1"
    )))
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(
        seen,
        [
            "key_value on",
            "notification_log on",
            "stored_event on",
            "tracking on"
        ]
    );
    // The role is the server's: it goes with the test.
    recorder.close().await;
    execute(
        &mut admin,
        format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

/// A session can't ask MySQL for it, so a server that answers before its disk has it is refused, unless that is wanted.
#[tokio::test(flavor = "multi_thread")]
async fn mysql_that_does_not_flush_each_commit_is_refused_unless_it_is_wanted() {
    const SETTING: &str = "innodb-flush-log-at-trx-commit";
    for careless in ["0", "2"] {
        let server = NewServer::mariadb().unwrap().with(SETTING, careless);
        let server = server.start().unwrap();
        let opened = MysqlRecorder::open(server.url(), OpenLog::named("orders")).await;
        let Err(RecorderError::Mismatch { reason }) = opened else {
            panic!("{opened:?}")
        };
        for part in [
            "innodb_flush_log_at_trx_commit",
            careless,
            "durability=server",
        ] {
            assert!(reason.contains(part), "{reason}");
        }
        let wanted = format!("{}?durability=server", server.url());
        let recorder = MysqlRecorder::open(&wanted, OpenLog::named("orders"))
            .await
            .unwrap();
        recorder
            .record(&[Append::new(vec![event(1)])])
            .await
            .unwrap();
    }
    MysqlRecorder::open(&mysql_url(), OpenLog::named("orders"))
        .await
        .unwrap();
}

/// What `durability=server` leaves is what the role has.
#[tokio::test]
async fn postgresql_is_left_as_it_is_where_that_is_wanted() {
    let url = format!(
        "{}&durability=server&options=-c%20synchronous_commit%3Doff",
        postgres_url()
    );
    let recorder = PostgresRecorder::open(&url, OpenLog::named("orders"))
        .await
        .unwrap();
    let (server, schema) = url.split_once("?schema=").unwrap();
    let (schema, _) = schema.split_once('&').unwrap();
    let mut admin = PgConnection::connect(server).await.unwrap();
    execute(
        &mut admin,
        format!(
            "CREATE TABLE {schema}.seen (setting text);
             CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO {schema}.seen VALUES (current_setting('synchronous_commit'));
                 RETURN NEW;
             END $$;
             CREATE TRIGGER note AFTER INSERT ON {schema}.stored_event FOR EACH ROW EXECUTE FUNCTION {schema}.note()"
        ),
    )
    .await;
    recorder
        .record(&[Append::new(vec![event(1)])])
        .await
        .unwrap();
    let seen: String =
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT setting FROM {schema}.seen")))
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(seen, "off");
}
