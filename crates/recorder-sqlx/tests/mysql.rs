//! The contract of every recorder, on MySQL or MariaDB, and what is special to them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::num::NonZeroU32;
use std::sync::Arc;

use boxes_recorder::{Append, Encoding, Recorder, RecorderError, StoredEvent};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog};
use boxes_testing::mysql_url;
use boxes_testing::recorder_contract::Store;
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

struct Mysql(String);

impl Mysql {
    fn new() -> Self {
        Self(mysql_url())
    }
}

impl Store for Mysql {
    async fn open(&self) -> Arc<dyn Recorder> {
        Arc::new(
            MysqlRecorder::open(&self.0, OpenLog::named("test"))
                .await
                .unwrap(),
        )
    }
}

boxes_testing::recorder_contract!(Mysql::new());

mod key_values {
    use super::Mysql;

    boxes_testing::key_value_contract!(Mysql::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_open_an_empty_database_at_once_find_one_log() {
    let url = mysql_url();
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        opening.spawn(async move {
            let recorder = MysqlRecorder::open(&url, OpenLog::named("orders")).await;
            recorder.unwrap().log().epoch
        });
    }
    let mut epochs = opening.join_all().await;
    epochs.dedup();
    assert_eq!(epochs.len(), 1);
}

#[tokio::test]
async fn a_log_that_is_not_the_expected_one_is_refused_in_a_sentence() {
    let url = mysql_url();
    let ten = OpenLog::named("orders").with_page_size(NonZeroU32::new(10).unwrap());
    MysqlRecorder::open(&url, ten).await.unwrap();

    let other = refusal(&url, OpenLog::named("stock")).await;
    assert!(other.contains("box `orders`"), "{other}");
    let eleven = OpenLog::named("orders").with_page_size(NonZeroU32::new(11).unwrap());
    let size = refusal(&url, eleven).await;
    assert!(size.contains("page size 10"), "{size}");
    let expected = OpenLog::named("orders").with_epoch(Uuid::nil());
    let epoch = refusal(&url, expected.clone()).await;
    assert!(epoch.contains("is another history"), "{epoch}");
    let empty = refusal(&mysql_url(), expected).await;
    assert!(empty.contains("the database has no log"), "{empty}");

    sql(&url, "UPDATE {log} SET schema_version = 99").await;
    let newer = refusal(&url, OpenLog::named("orders")).await;
    assert!(newer.contains("schema version 99"), "{newer}");
}

#[tokio::test]
async fn making_the_tables_is_gone_on_with_where_it_was_cut_short() {
    let url = mysql_url();
    MysqlRecorder::open(&url, OpenLog::named("orders"))
        .await
        .unwrap();
    // As after a crash before the last step.
    sql(&url, "DELETE FROM {log}").await;
    let recorder = MysqlRecorder::open(&url, OpenLog::named("orders"))
        .await
        .unwrap();
    assert_eq!(record(&recorder, "a").await.unwrap(), 1..2);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused_in_a_sentence() {
    let url = mysql_url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let url = format!("{server}/no_such_database");
    let refusal = refusal(&url, OpenLog::named("orders")).await;
    assert!(refusal.contains("create it"), "{refusal}");
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let url = mysql_url();
    // A user of its own, by whom the sessions are known.
    let (server, prefix) = url.split_once("?prefix=").unwrap();
    let user = format!("t{}", &prefix[5..30]);
    let mut admin = MySqlConnection::connect(server).await.unwrap();
    let (_, database) = server.rsplit_once('/').unwrap();
    let grant = format!("CREATE USER '{user}'@'%'; GRANT ALL ON `{database}`.* TO '{user}'@'%'");
    sqlx::raw_sql(AssertSqlSafe(grant))
        .execute(&mut admin)
        .await
        .unwrap();
    let (_, host) = url.split_once('@').unwrap();
    let recorder = MysqlRecorder::open(&format!("mysql://{user}@{host}"), OpenLog::named("orders"))
        .await
        .unwrap();
    assert_eq!(record(&recorder, "a").await.unwrap(), 1..2);
    assert_eq!(recorder.head().await.unwrap(), 1);

    let sessions: Vec<i64> = sqlx::query_scalar(
        "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = ?",
    )
    .bind(&user)
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(sessions.len() >= 2, "one that writes, one that reads");
    for session in sessions {
        // One that is just closing is gone without it.
        drop(
            sqlx::raw_sql(AssertSqlSafe(format!("KILL {session}")))
                .execute(&mut admin)
                .await,
        );
    }
    assert_eq!(record(&recorder, "b").await.unwrap(), 2..3);
    assert_eq!(recorder.head().await.unwrap(), 2);
    recorder.close().await;
    let drop_user = format!("DROP USER '{user}'@'%'");
    sqlx::raw_sql(AssertSqlSafe(drop_user))
        .execute(&mut admin)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_event_that_the_server_can_not_take_is_refused_and_not_those_beside_it() {
    let url = mysql_url();
    let recorder = MysqlRecorder::open(&url, OpenLog::named("orders"))
        .await
        .unwrap();
    let mut admin = MySqlConnection::connect(url.split_once('?').unwrap().0)
        .await
        .unwrap();
    let most: u64 = sqlx::query_scalar("SELECT @@max_allowed_packet")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    let batch = [
        append("a", vec![b'x'; usize::try_from(most).unwrap()]),
        append("b", b"x".to_vec()),
    ];
    let outcomes = recorder.record(&batch).await.unwrap();
    let Err(RecorderError::Invalid { reason }) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert!(reason.contains("max_allowed_packet"), "{reason}");
    assert_eq!(outcomes[1].as_ref().unwrap().ids, 1..2);
}

#[tokio::test]
async fn a_log_that_was_restored_under_a_running_process_takes_nothing_from_it() {
    let url = mysql_url();
    let recorder = MysqlRecorder::open(&url, OpenLog::named("orders"))
        .await
        .unwrap();
    sql(
        &url,
        "UPDATE {log} SET epoch = UNHEX(REPLACE(UUID(), '-', ''))",
    )
    .await;
    let error = record(&recorder, "a").await.unwrap_err();
    assert!(matches!(error, RecorderError::Mismatch { .. }), "{error}");
    assert_eq!(recorder.head().await.unwrap(), 0);
}

async fn refusal(url: &str, log: OpenLog) -> String {
    match MysqlRecorder::open(url, log).await {
        Err(RecorderError::Mismatch { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

async fn record(
    recorder: &MysqlRecorder,
    topic: &str,
) -> Result<std::ops::Range<u64>, RecorderError> {
    let outcomes = recorder.record(&[append(topic, b"{}".to_vec())]).await?;
    let appended = outcomes.into_iter().next().unwrap()?;
    Ok(appended.ids)
}

async fn sql(url: &str, statement: &str) {
    let (server, prefix) = url.split_once("?prefix=").unwrap();
    let mut admin = MySqlConnection::connect(server).await.unwrap();
    let statement = statement.replace("{log}", &format!("`{prefix}_notification_log`"));
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut admin)
        .await
        .unwrap();
}

/// The first event of an aggregate that is named after its topic.
fn append(topic: &str, state: Vec<u8>) -> Append {
    let originator_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, topic.as_bytes());
    Append::new(vec![StoredEvent {
        event_id: Uuid::new_v5(&originator_id, b"1"),
        originator_id,
        originator_version: 1,
        topic: topic.to_owned().into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: state.into(),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::UNIX_EPOCH,
    }])
}
