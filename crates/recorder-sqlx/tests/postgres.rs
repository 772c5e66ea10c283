//! The contract of every recorder, on PostgreSQL, and what is special to a server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, RecorderError, StoredEvent,
    Tracking,
};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_testing::postgres_url;
use boxes_testing::recorder_contract::Store;
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(120);

struct Postgres(String);

impl Postgres {
    fn new() -> Self {
        Self(postgres_url())
    }
}

impl Store for Postgres {
    async fn open(&self) -> Arc<dyn Recorder> {
        Arc::new(
            PostgresRecorder::open(&self.0, OpenLog::named("test"))
                .await
                .unwrap(),
        )
    }
}

boxes_testing::recorder_contract!(Postgres::new());

mod key_values {
    use super::Postgres;

    boxes_testing::key_value_contract!(Postgres::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_a_new_log_at_once_find_one_log() {
    let url = postgres_url();
    let mut opening = JoinSet::new();
    for _ in 0..16 {
        let url = url.clone();
        opening.spawn(async move { open(&url).await.log().clone() });
    }
    let logs = opening.join_all().await;
    assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
}

#[tokio::test]
async fn a_log_that_is_not_the_expected_one_is_refused_in_a_sentence() {
    let url = postgres_url();
    open(&url).await;
    let refusal = async |log: OpenLog| {
        let refused = PostgresRecorder::open(&url, log).await;
        let Err(RecorderError::Mismatch { reason }) = refused else {
            panic!("{refused:?}")
        };
        reason
    };
    let other = refusal(OpenLog::named("payments")).await;
    assert!(other.contains("`orders`, not of `payments`"), "{other}");
    let ten = OpenLog::named("orders").with_page_size(NonZeroU32::new(10).unwrap());
    let ten = refusal(ten).await;
    assert!(ten.contains("page size 20, configured is 10"), "{ten}");
    let epoch = refusal(OpenLog::named("orders").with_epoch(Uuid::nil())).await;
    assert!(epoch.contains("is another history"), "{epoch}");
    let empty = OpenLog::named("orders").with_epoch(Uuid::nil());
    let empty = PostgresRecorder::open(&postgres_url(), empty).await;
    let empty = empty.unwrap_err().to_string();
    assert!(empty.contains("the database has no log"), "{empty}");

    let (mut admin, schema) = session(&url).await;
    execute(
        &mut admin,
        format!("UPDATE {schema}.notification_log SET schema_version = 99"),
    )
    .await;
    let newer = refusal(OpenLog::named("orders")).await;
    assert!(newer.contains("schema version 99"), "{newer}");
}

#[tokio::test]
async fn a_user_who_is_refused_and_a_database_that_is_missing_are_mistakes_of_the_configuration() {
    let url = postgres_url();
    let (server, _) = url.split_once("?schema=").unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let refused = PostgresRecorder::open(
        &format!("{server}/no_such_database"),
        OpenLog::named("orders"),
    )
    .await;
    assert!(
        matches!(refused, Err(RecorderError::Mismatch { .. })),
        "{refused:?}"
    );
    let silent = PostgresRecorder::open(
        "postgres://u:secret@127.0.0.1:1/db",
        OpenLog::named("orders"),
    )
    .await;
    assert!(
        matches!(silent, Err(RecorderError::Unavailable { .. })),
        "{silent:?}"
    );
    let printed = format!("{silent:?} {:?}", open(&url).await);
    assert!(!printed.contains("secret"), "{printed}");
}

#[tokio::test]
async fn what_postgresql_can_not_keep_is_refused_alone() {
    let url = postgres_url();
    let recorder = open(&url).await;
    let mut nul = append(1, 1);
    nul.events[0].topic = "orders\0".into();
    let step = Append::default().with_tracking(Tracking {
        follower: "pay\0ments".to_owned(),
        epoch: Uuid::nil(),
        from: None,
        to: 1,
        event_id: None,
    });
    let outcomes = recorder.record(&[nul, step, append(2, 1)]).await.unwrap();
    assert!(
        matches!(
            outcomes.as_slice(),
            [
                Err(RecorderError::Invalid { .. }),
                Err(RecorderError::Invalid { .. }),
                Ok(_)
            ]
        ),
        "{outcomes:?}"
    );
    assert_eq!(recorder.tracking("pay\0ments").await.unwrap(), None);
}

/// The poll is as good as off, so only a hint can have come.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_process_is_heard_of_without_a_poll() {
    let url = postgres_url();
    let recorder = Arc::new(open(&url).await);
    let bounds = GroupCommitBounds {
        head_poll_interval: Duration::from_secs(3_600),
        ..GroupCommitBounds::default()
    };
    let watching = GroupCommit::start(recorder, bounds).await.unwrap();
    let mut head = watching.watch_head();
    let writing = commit_on(&url).await;
    let mut version = 0;
    // The first commits may come before somebody listens.
    until("the head moves", async || {
        version += 1;
        writing.append(append(1, version)).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), head.changed())
            .await
            .is_ok()
    })
    .await;
    assert!(*head.borrow() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_epoch_was_replaced_takes_nothing_from_a_process_that_knew_the_old_one() {
    let url = postgres_url();
    let recorder = open(&url).await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let (mut admin, schema) = session(&url).await;
    execute(
        &mut admin,
        format!("UPDATE {schema}.notification_log SET epoch = gen_random_uuid()"),
    )
    .await;
    let refused = recorder.record(&[append(1, 2)]).await;
    assert!(
        matches!(refused, Err(RecorderError::Mismatch { .. })),
        "{refused:?}"
    );
    open(&url).await.record(&[append(1, 2)]).await.unwrap();
}

async fn open(url: &str) -> PostgresRecorder {
    PostgresRecorder::open(url, OpenLog::named("orders"))
        .await
        .unwrap()
}

async fn commit_on(url: &str) -> GroupCommit {
    GroupCommit::start(Arc::new(open(url).await), GroupCommitBounds::default())
        .await
        .unwrap()
}

/// A session of somebody else, and the schema of the test.
async fn session(url: &str) -> (PgConnection, String) {
    let (server, schema) = url.split_once("?schema=").unwrap();
    (
        PgConnection::connect(server).await.unwrap(),
        schema.to_owned(),
    )
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
        originator_id,
        originator_version,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(b"{}"),
        metadata: Bytes::from_static(b"{}"),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

fn append(originator: u128, version: u64) -> Append {
    Append::new(vec![event(Uuid::from_u128(originator), version)])
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
