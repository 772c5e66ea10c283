//! An attacker who can write to the database changes a sealed log, and is found, on each engine.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use boxes_integrity::{
    Finding, Remembered, Report, Sealer, SigningKey, StoredSeals, Tampering, Verification,
};
use boxes_notification_log::LocalNotificationLog;
use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, KeyValueStore, Recorder, StoredEvent,
};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder, SqliteRecorder};
use boxes_testing::{mysql_url, postgres_url};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};
use uuid::Uuid;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";

/// A database with a log of 23 notifications in pages of 5, of which four are archived and sealed, and a way to write to
/// it past the box.
enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(String),
    Mysql(String),
}

impl Database {
    async fn recorder(&self) -> Arc<dyn Recorder> {
        let log = || OpenLog::named("orders").with_page_size(NonZeroU32::new(5).unwrap());
        match self {
            Self::Sqlite(folder) => {
                let recorder = SqliteRecorder::open(&file(folder.path()), log()).await;
                Arc::new(recorder.unwrap())
            }
            Self::Postgres(url) => Arc::new(PostgresRecorder::open(url, log()).await.unwrap()),
            Self::Mysql(url) => Arc::new(MysqlRecorder::open(url, log()).await.unwrap()),
        }
    }

    /// Runs a statement on the tables `{events}` and `{kept}`; `{hex:…}` are bytes.
    async fn write(&self, statement: &str) {
        let (prefix, quote) = match self {
            Self::Sqlite(_) => (String::new(), ""),
            Self::Postgres(url) => {
                let (_, schema) = url.split_once("?schema=").unwrap();
                (format!("{schema}."), "")
            }
            Self::Mysql(url) => {
                let (_, prefix) = url.split_once("?prefix=").unwrap();
                (format!("{prefix}_"), "`")
            }
        };
        let table = |name: &str| format!("{quote}{prefix}{name}{quote}");
        let mut statement = statement
            .replace("{events}", &table("stored_event"))
            .replace("{kept}", &table("key_value"));
        while let Some((before, rest)) = statement.split_once("{hex:") {
            let (hex, after) = rest.split_once('}').unwrap();
            let bytes = match self {
                // A UUID is written as one, and other bytes as bytes.
                Self::Postgres(_) if hex.len() == 32 => format!("'{hex}'::uuid"),
                Self::Postgres(_) => format!("'\\x{hex}'::bytea"),
                _ => format!("x'{hex}'"),
            };
            statement = format!("{before}{bytes}{after}");
        }
        let sql = AssertSqlSafe(statement);
        match self {
            Self::Sqlite(folder) => {
                let url = format!("sqlite:{}", file(folder.path()));
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(url) => {
                let (server, _) = url.split_once('?').unwrap();
                let mut connection = PgConnection::connect(server).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Self::Mysql(url) => {
                let (server, _) = url.split_once('?').unwrap();
                let mut connection = MySqlConnection::connect(server).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// Verifies as an operator does who knows the key: with a process that has not read the log before.
    async fn verify(&self, remembered: Option<Remembered>) -> Report {
        let recorder = self.recorder().await;
        let seals = StoredSeals::of(&*recorder).unwrap();
        let writer = GroupCommit::start(recorder, GroupCommitBounds::default()).await;
        let writer = writer.unwrap();
        let log = LocalNotificationLog::new(&writer);
        let verification = Verification {
            trusted: vec![SigningKey::from_pem(KEY).unwrap().verifying_key()],
            remembered,
            ..Verification::default()
        };
        let report = verification.run(&log, &seals, |_, _| {}).await.unwrap();
        writer.close().await;
        report
    }

    async fn found(&self) -> Option<Finding> {
        self.verify(None).await.finding
    }

    /// Writes, verifies, and writes what makes up for it.
    async fn found_after(&self, attack: &str, repair: &str) -> Option<Finding> {
        self.write(attack).await;
        let found = self.found().await;
        self.write(repair).await;
        assert_eq!(self.found().await, None, "after {repair}");
        found
    }

    async fn fill(&self) {
        let writer = GroupCommit::start(self.recorder().await, GroupCommitBounds::default());
        let writer = writer.await.unwrap();
        writer
            .append(Append::new((1..=23).map(event).collect()))
            .await
            .unwrap();
        let seals = StoredSeals::of(&**writer.recorder()).unwrap();
        let log = Arc::new(LocalNotificationLog::new(&writer));
        let mut sealer = Sealer::new(
            log,
            seals,
            Some(Arc::new(SigningKey::from_pem(KEY).unwrap())),
        );
        assert_eq!(sealer.seal_archived().await.unwrap(), 4);
        writer.close().await;
    }
}

fn file(folder: &Path) -> String {
    folder.join("orders.db").to_str().unwrap().to_owned()
}

fn event(version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::from_u128(u128::from(version)),
        originator_id: Uuid::from_u128(1),
        originator_version: version,
        topic: "orders.order.changed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: format!("{{\"n\":{version}}}").into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn finding(id: u64, tampering: Tampering) -> Option<Finding> {
    Some(Finding { id, tampering })
}

async fn every_attack_is_found(database: Database) {
    database.fill().await;
    let whole = database.verify(None).await;
    assert_eq!((whole.finding.clone(), whole.verified.id), (None, 20));

    // Each column in turn. (7 is written as 7b2276227d, {"v"}.)
    for (content, column, forged, true_value) in [
        (
            false,
            "event_id",
            "{hex:000000000000000000000000000000ff}",
            "{hex:00000000000000000000000000000007}",
        ),
        (
            false,
            "originator_id",
            "{hex:000000000000000000000000000000ff}",
            "{hex:00000000000000000000000000000001}",
        ),
        (false, "originator_version", "700", "7"),
        (
            false,
            "topic",
            "'orders.order.paid'",
            "'orders.order.changed'",
        ),
        (false, "schema_version", "2", "1"),
        (true, "encoding", "'json+zlib'", "'json'"),
        (
            true,
            "state",
            "{hex:7b226e223a387d}",
            "{hex:7b226e223a377d}",
        ),
        (true, "metadata", "{hex:7b2261223a317d}", "{hex:7b7d}"),
        (false, "occurred_on", "1", "0"),
    ] {
        let set = |value: &str| format!("UPDATE {{events}} SET {column} = {value} WHERE id = 7");
        let found = database.found_after(&set(forged), &set(true_value)).await;
        assert_eq!(
            found,
            finding(7, Tampering::Changed { content }),
            "{column}"
        );
    }

    // Two rows change places, by way of an id that is free.
    let exchange =
        "UPDATE {events} SET id = -1 WHERE id = 7; UPDATE {events} SET id = 7 WHERE id = 9;
                    UPDATE {events} SET id = 9 WHERE id = -1";
    let found = database.found_after(exchange, exchange).await;
    assert_eq!(found, finding(7, Tampering::Reordered { sealed_as: 9 }));

    // A row is taken away; and those after it move up, so that no hole is left.
    let remove = "UPDATE {events} SET id = -7 WHERE id = 7";
    let restore = "UPDATE {events} SET id = 7 WHERE id = -7";
    let found = database.found_after(remove, restore).await;
    assert_eq!(found, finding(7, Tampering::Removed));
    let moved = |by: &str, from: u64| {
        format!(
            "UPDATE {{events}} SET id = -id - 1000 WHERE id >= {from}; UPDATE {{events}} SET id = -id - 1000 {by} WHERE id < -1000"
        )
    };
    let (up, down) = (moved("- 1", 8), moved("+ 1", 7));
    let found = database
        .found_after(&format!("{remove}; {up}"), &format!("{down}; {restore}"))
        .await;
    assert_eq!(found, finding(7, Tampering::Removed));

    // A row is put in, and those that were there move down.
    let insert = "INSERT INTO {events} (id, originator_id, originator_version, event_id, topic, schema_version, encoding, state, metadata, occurred_on)
         VALUES (7, {hex:000000000000000000000000000000ff}, 1, {hex:000000000000000000000000000000fe}, 'orders.order.changed', 1, 'json', {hex:7b7d}, {hex:7b7d}, 0)";
    let found = database
        .found_after(
            &format!("{}; {insert}", moved("+ 1", 7)),
            &format!("DELETE FROM {{events}} WHERE id = 7; {}", moved("- 1", 8)),
        )
        .await;
    assert_eq!(found, finding(7, Tampering::Inserted));

    // The log is cut, its seals left; then its seals, too.
    let cut = "UPDATE {events} SET id = -id WHERE id > 12";
    let mend = "UPDATE {events} SET id = -id WHERE id < 0";
    let found = database.found_after(cut, mend).await;
    assert_eq!(found, finding(13, Tampering::Removed));
    let hide = "UPDATE {kept} SET kind = 'hidden' WHERE kind = 'seal' AND SUBSTR(entry_key, 17) >= {hex:000000000000000b}";
    let show = "UPDATE {kept} SET kind = 'seal' WHERE kind = 'hidden'";
    database.write(&format!("{cut}; {hide}")).await;
    assert_eq!(
        database.found().await,
        None,
        "nothing is left that shows it"
    );
    let remembered = whole.to_remember().unwrap();
    let found = database.verify(Some(remembered.clone())).await.finding;
    assert_eq!(found, finding(11, Tampering::Cut { remembered }));
    database.write(&format!("{mend}; {show}")).await;

    // A seal is taken away.
    let hide = hide.replace(">=", "=").replace("000b", "0006");
    let found = database.found_after(&hide, show).await;
    assert_eq!(found, finding(6, Tampering::SealRemoved));

    // At last the log is changed and sealed anew, without the key.
    let forged = "UPDATE {events} SET topic = 'orders.order.paid' WHERE id = 7; DELETE FROM {kept} WHERE kind = 'seal'";
    database.write(forged).await;
    let recorder = database.recorder().await;
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default())
        .await
        .unwrap();
    let seals = StoredSeals::of(&**writer.recorder()).unwrap();
    let log = Arc::new(LocalNotificationLog::new(&writer));
    Sealer::new(log, seals, None).seal_archived().await.unwrap();
    assert_eq!(database.found().await, finding(1, Tampering::Unsigned));
    // The box itself, started again, does not sign what it finds.
    let seals = StoredSeals::of(&**writer.recorder()).unwrap();
    let log = Arc::new(LocalNotificationLog::new(&writer));
    let key = Arc::new(SigningKey::from_pem(KEY).unwrap());
    let refused = Sealer::new(log, seals, Some(key)).seal_archived().await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("without a signature")
    );
    let store: Arc<dyn KeyValueStore> = writer.recorder().key_value_store().unwrap();
    assert_eq!(store.list_keys("seal", b"", 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn every_attack_on_sqlite_is_found() {
    every_attack_is_found(Database::Sqlite(tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn every_attack_on_postgres_is_found() {
    every_attack_is_found(Database::Postgres(postgres_url())).await;
}

#[tokio::test]
async fn every_attack_on_mysql_is_found() {
    every_attack_is_found(Database::Mysql(mysql_url())).await;
}
