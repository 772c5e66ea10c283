//! Steps of the schema that take long, on a large log.

use std::time::Duration;

use boxes_recorder::RecorderError;
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::database::{Database, Kind};
use crate::events::append;

/// Longer than a transaction may take with the bounds of these tests, which are the smallest that there are, together
/// with the time that is waited beyond them.
const SLOW: Duration = Duration::from_secs(14);

/// Takes the last step back.
async fn made_by_an_older_program(database: &Database) {
    let recorder = database.recorder().await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    recorder.close().await.unwrap();
    let mut admin = database.session().await;
    let drop_index = format!("DROP INDEX {}.stored_event_by_event_id", database.name());
    for sql in [
        "UPDATE {log} SET schema_version = 3",
        match database.kind {
            Kind::Postgres => &drop_index,
            Kind::Mysql => "DROP INDEX stored_event_by_event_id ON {events}",
        },
        "ALTER TABLE {tracking} DROP COLUMN event_id, DROP COLUMN event_position",
        "DROP TABLE {writers}",
    ] {
        admin.execute(&database.sql(sql)).await;
    }
    if database.kind == Kind::Mysql {
        let log = database.sql("ALTER TABLE {log} DROP COLUMN revision");
        admin.execute(&log).await;
    }
}

/// An index of a hundred million events takes its time, and several replicas are started at once: one makes it, the others wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_postgresql_takes_as_long_as_it_takes_and_replicas_wait_for_it() {
    let database = Database::new(Kind::Postgres);
    made_by_an_older_program(&database).await;
    let mut admin = database.session().await;
    let schema = database.name();
    admin
        .execute(&format!(
            "CREATE FUNCTION {schema}.slow_down() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_sleep({});
             END $$;
             CREATE EVENT TRIGGER {schema}_slow ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
                 EXECUTE FUNCTION {schema}.slow_down()",
            SLOW.as_secs()
        ))
        .await;
    // The smallest bounds: neither the server nor the recorder gives up.
    let bounded = database
        .with("max_read_secs=1")
        .with("max_write_secs=1")
        .with("max_lock_secs=1");
    let starts = [(); 3].map(|()| {
        let bounded = bounded.clone();
        tokio::spawn(async move { bounded.open().await })
    });
    for start in starts {
        let recorder = start.await.unwrap().unwrap();
        assert_eq!(recorder.head().await.unwrap(), 1);
    }
    admin
        .execute(&format!("DROP EVENT TRIGGER {schema}_slow"))
        .await;
    let index = admin
        .number(&format!(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = '{schema}' AND indexname = 'stored_event_by_event_id'"
        ))
        .await;
    assert_eq!(index, 1);
}

/// Somebody else's lock is not waited for without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_can_not_begin_because_of_a_lock_is_unavailable_and_taken_later() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::new(kind);
        made_by_an_older_program(&database).await;
        let mut other = database.session().await;
        let begin = match kind {
            Kind::Postgres => "BEGIN; LOCK TABLE {events} IN ROW EXCLUSIVE MODE",
            Kind::Mysql => "LOCK TABLES {events} WRITE",
        };
        other.execute(&database.sql(begin)).await;
        let bounded = database.with("max_lock_secs=1");
        let opened = bounded.open().await;
        assert!(
            matches!(opened, Err(RecorderError::Unavailable { .. })),
            "{opened:?}"
        );
        let end = match kind {
            Kind::Postgres => "ROLLBACK",
            Kind::Mysql => "UNLOCK TABLES",
        };
        other.execute(end).await;
        assert_eq!(bounded.recorder().await.head().await.unwrap(), 1);
    }
}

/// What the README and the error tell an administrator to grant is enough for all that a box does.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_mysql_with_the_grants_that_are_recommended_takes_all_steps() {
    let database = Database::new(Kind::Mysql);
    let prefix = database.name();
    let mut admin = database.session().await;
    let (server, _) = database.url.split_once('?').unwrap();
    let (_, place) = server.split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let granted = include_str!("../../README.md")
        .lines()
        .find_map(|line| line.strip_prefix("GRANT ")?.split_once(" ON "))
        .unwrap()
        .0;
    for sql in [
        format!("CREATE DATABASE {prefix}_db"),
        format!("CREATE USER {prefix} IDENTIFIED BY 'x'"),
        format!("GRANT {granted} ON {prefix}_db.* TO {prefix}"),
    ] {
        admin.execute(&sql).await;
    }
    let as_user = Database {
        kind: Kind::Mysql,
        url: format!("mysql://{prefix}:x@{address}/{prefix}_db?prefix=orders"),
    };
    made_by_an_older_program(&as_user_of(&as_user, address, prefix)).await;
    let recorder = as_user.recorder().await;
    assert_eq!(recorder.head().await.unwrap(), 1);
    recorder.record(&[append(2, 1)]).await.unwrap();
    recorder.close().await.unwrap();

    // With less, the sentence says all of it.
    let mut connection = MySqlConnection::connect(server).await.unwrap();
    let revoke = format!("REVOKE ALTER, INDEX, CREATE ON {prefix}_db.* FROM {prefix}");
    sqlx::raw_sql(AssertSqlSafe(revoke))
        .execute(&mut connection)
        .await
        .unwrap();
    let other = as_user.url.replace("prefix=orders", "prefix=payments");
    let refused = MysqlRecorder::open(&other, OpenLog::named("payments")).await;
    let Err(RecorderError::Mismatch { reason }) = refused else {
        panic!("{refused:?}")
    };
    for privilege in granted.split(", ") {
        assert!(reason.contains(privilege), "{privilege}: {reason}");
    }
    for sql in [
        format!("DROP DATABASE {prefix}_db"),
        format!("DROP USER {prefix}"),
    ] {
        admin.execute(&sql).await;
    }
}

/// The same tables, as an administrator who may take a step back.
fn as_user_of(database: &Database, address: &str, prefix: &str) -> Database {
    Database {
        kind: database.kind,
        url: format!("mysql://root@{address}/{prefix}_db?prefix=orders"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_table_of_values_is_refused_and_a_backup_names_all_tables() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::new(kind);
        database.recorder().await.close().await.unwrap();
        let mut admin = database.session().await;
        let (drop, named) = match kind {
            Kind::Postgres => (
                format!("DROP TABLE {}.key_value", database.name()),
                PostgresRecorder::backup_command(&database.url, "orders"),
            ),
            Kind::Mysql => (
                format!("DROP TABLE {}_key_value", database.name()),
                MysqlRecorder::backup_command(&database.url, "orders"),
            ),
        };
        admin.execute(&drop).await;
        let opened = database.open().await;
        let Err(RecorderError::Mismatch { reason }) = opened else {
            panic!("{opened:?}")
        };
        assert!(reason.contains("`key_value`"), "{reason}");

        // Each table that is there is one that the command takes along.
        let tables = match kind {
            Kind::Postgres => format!(
                "SELECT string_agg(tablename::text, ' ') FROM pg_tables WHERE schemaname = '{}'",
                database.name()
            ),
            Kind::Mysql => format!(
                "SELECT GROUP_CONCAT(table_name SEPARATOR ' ') FROM information_schema.tables
                 WHERE table_schema = DATABASE() AND table_name LIKE '{}\\_%'",
                database.name()
            ),
        };
        let tables = admin.text(&tables).await;
        let command = named.unwrap();
        assert_eq!(tables.split(' ').count(), 4);
        for table in tables.split(' ').chain(["key_value"]) {
            assert!(command.contains(table), "{table}: {command}");
        }
    }
}
