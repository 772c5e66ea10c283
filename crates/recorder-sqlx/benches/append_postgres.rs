//! How fast events are recorded in PostgreSQL: by the group commit, and by a bare batched insert beside it.
//!
//! `BOXES_TEST_POSTGRES_URL=postgres://… cargo bench -p boxes-recorder-sqlx --features postgres --bench append_postgres`
//!
//! Both sides write rows of the same size into tables of the same shape, with `fsync` and `synchronous_commit` as the
//! server has them, in turn; medians of several rounds. The bare side inserts one row for each caller in a
//! transaction, and checks nothing; callers of the group commit come one by one, are checked, and answered.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a measurement fails by panicking, and its figures are not exact"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_recorder::{Append, Encoding, GroupCommit, GroupCommitBounds, StoredEvent};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_testing::postgres_url;
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// Rounds of each measurement, of which the median counts.
const ROUNDS: usize = 5;
/// How long one side of a round writes.
const DURATION: Duration = Duration::from_secs(2);
const STATE: &[u8] = &[b'x'; 180];
const METADATA: &[u8] = br#"{"correlation_id":"0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f"}"#;

#[tokio::main]
async fn main() {
    let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
    for setting in ["server_version", "fsync", "synchronous_commit"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        println!("{setting} {value}");
    }
    println!(
        "{} processors, {} bytes of state\n{:>8} {:>14} {:>14} {:>7}",
        std::thread::available_parallelism().unwrap(),
        STATE.len(),
        "callers",
        "group commit/s",
        "bare insert/s",
        "ratio"
    );
    for callers in [1, 8, 64, 256] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let grouped = grouped(callers).await;
            // In a task, as the group commit is: the thread that blocks on the runtime is woken another way.
            let bare = tokio::spawn(bare(callers)).await.unwrap();
            rounds.push([grouped, bare, grouped / bare]);
        }
        let median = |column: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        println!(
            "{callers:>8} {:>14.0} {:>14.0} {:>7.2}",
            median(0),
            median(1),
            median(2)
        );
    }
}

fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::now_v7(),
        originator_id,
        originator_version,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(STATE),
        metadata: Bytes::from_static(METADATA),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

/// Single events appended by so many tasks, in events per second.
async fn grouped(callers: usize) -> f64 {
    let recorder = PostgresRecorder::open(&postgres_url(), OpenLog::named("bench"))
        .await
        .unwrap();
    let commit = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default())
        .await
        .unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let commit = commit.clone();
            tokio::spawn(async move {
                let id = Uuid::now_v7();
                for version in 1.. {
                    if start.elapsed() >= DURATION {
                        return;
                    }
                    commit
                        .append(Append::new(vec![event(id, version)]))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let per_second = commit.recorder().head().await.unwrap() as f64 / start.elapsed().as_secs_f64();
    commit.close().await;
    per_second
}

/// The same rows by one statement for each transaction, in events per second.
async fn bare(rows: usize) -> f64 {
    let url = postgres_url();
    let recorder = PostgresRecorder::open(&url, OpenLog::named("bench"))
        .await
        .unwrap();
    recorder.close().await;
    let (server, schema) = url.split_once("?schema=").unwrap();
    let mut connection = PgConnection::connect(server).await.unwrap();
    let statement: Arc<str> = format!(
        "INSERT INTO {schema}.stored_event SELECT * FROM UNNEST($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[], \
         $5::text[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[], $10::bigint[])"
    )
    .into();
    let originators: Vec<_> = (0..rows).map(|_| Uuid::now_v7()).collect();
    let mut version = 0_i64;
    let start = Instant::now();
    while start.elapsed() < DURATION {
        let ids: Vec<_> = (version * rows as i64 + 1..).take(rows).collect();
        version += 1;
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(Arc::clone(&statement)))
            .bind(ids)
            .bind(originators.clone())
            .bind(vec![version; rows])
            .bind((0..rows).map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(vec!["orders.order.placed"; rows])
            .bind(vec![1_i64; rows])
            .bind(vec!["json"; rows])
            .bind(vec![STATE; rows])
            .bind(vec![METADATA; rows])
            .bind(vec![0_i64; rows])
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
    (version * rows as i64) as f64 / start.elapsed().as_secs_f64()
}
