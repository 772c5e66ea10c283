//! PostgreSQL behind `PgBouncer`, which lends its sessions: for as long as a client is connected, or for one transaction.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use boxes_recorder::{Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, StoredEvent};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_test_servers::{NewServer, PoolMode, Server};
use boxes_testing::postgres_url;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

static SESSION: LazyLock<Server> = LazyLock::new(|| pooler(PoolMode::Session));
static TRANSACTION: LazyLock<Server> = LazyLock::new(|| pooler(PoolMode::Transaction));

/// In front of the server that tests share. It stays for as long as the tests run.
fn pooler(mode: PoolMode) -> Server {
    let url = postgres_url();
    let (_, place) = url.split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let (_, port) = address.split_once(':').unwrap();
    let pooler = NewServer::pgbouncer(port.parse().unwrap(), mode).and_then(NewServer::start);
    pooler.unwrap_or_else(|error| panic!("{error}"))
}

/// New tables, behind the pooler.
fn url(pooler: &Server) -> String {
    let direct = postgres_url();
    let (_, parameters) = direct.split_once('?').unwrap();
    format!("{}?{parameters}", pooler.url())
}

/// The same tables without it.
fn direct(url: &str) -> String {
    let direct = postgres_url();
    let (server, _) = direct.split_once('?').unwrap();
    let (_, parameters) = url.split_once('?').unwrap();
    format!("{server}?{parameters}")
}

async fn open(url: &str) -> PostgresRecorder {
    PostgresRecorder::open(url, OpenLog::named("test"))
        .await
        .unwrap()
}

struct Pooled(String);

impl boxes_testing::recorder_contract::Store for Pooled {
    async fn open(&self) -> Arc<dyn Recorder> {
        Arc::new(open(&self.0).await)
    }
}

mod transaction {
    use super::{Pooled, TRANSACTION, url};

    boxes_testing::recorder_contract!(Pooled(url(&TRANSACTION)));

    mod key_values {
        use super::{Pooled, TRANSACTION, url};

        boxes_testing::key_value_contract!(Pooled(url(&TRANSACTION)));
    }
}

mod session {
    use super::{Pooled, SESSION, url};

    boxes_testing::recorder_contract!(Pooled(url(&SESSION)));

    mod key_values {
        use super::{Pooled, SESSION, url};

        boxes_testing::key_value_contract!(Pooled(url(&SESSION)));
    }
}

fn append(originator: u128, version: u64) -> Append {
    let originator_id = Uuid::from_u128(originator);
    Append::new(vec![StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &version.to_be_bytes()),
        originator_id,
        originator_version: version,
        topic: "orders.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }])
}

/// Two processes of one box, with several writers each, and more clients than the pooler has sessions.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_one_log_behind_each_kind_of_pooler() {
    const N_WRITERS: u128 = 8;
    const N_EVENTS: u64 = 30;
    for pooler in [&*TRANSACTION, &*SESSION] {
        let url = url(pooler);
        let mut writers = tokio::task::JoinSet::new();
        for process in 0..2 {
            let recorder = Arc::new(open(&url).await);
            let commit = GroupCommit::start(recorder, GroupCommitBounds::default())
                .await
                .unwrap();
            for writer in 0..N_WRITERS {
                let commit = commit.clone();
                writers.spawn(async move {
                    for version in 1..=N_EVENTS {
                        let originator = process * N_WRITERS + writer + 1;
                        commit.append(append(originator, version)).await.unwrap();
                        let recorder = commit.recorder();
                        assert!(recorder.head().await.unwrap() >= version);
                    }
                });
            }
        }
        while let Some(written) = writers.join_next().await {
            written.unwrap();
        }
        let log = open(&direct(&url)).await;
        let log = log.select_notifications(1, u64::MAX).await.unwrap();
        let n_events = usize::try_from(2 * N_WRITERS).unwrap() * usize::try_from(N_EVENTS).unwrap();
        assert_eq!(log.len(), n_events);
        let ids = 1..=u64::try_from(n_events).unwrap();
        assert!(log.iter().map(|n| n.id).eq(ids));
    }
}

/// In sessions that others share, nothing that one asks for may stay, or hold for others.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_box_asks_for_stays_in_its_transactions() {
    let url = url(&TRANSACTION);
    let recorder = open(&url).await;
    recorder.record(&[append(1, 1)]).await.unwrap();
    let values = recorder.key_value_store().unwrap();
    values.put("kind", b"key", b"value").await.unwrap();
    assert_eq!(recorder.select_notifications(1, 9).await.unwrap().len(), 1);
    let (server, _) = url.split_once('?').unwrap();
    let mut others = Vec::new();
    for _ in 0..4 {
        // The pooler refuses a parameter that the driver asks for by itself.
        let options: PgConnectOptions = server.parse().unwrap();
        let options = options.extra_float_digits(None);
        others.push(PgConnection::connect_with(&options).await.unwrap());
    }
    for other in &mut others {
        for (setting, expected) in [
            ("default_transaction_read_only", "off"),
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
        ] {
            let show = format!("SHOW {setting}");
            let row = sqlx::raw_sql(AssertSqlSafe(show))
                .fetch_one(&mut *other)
                .await
                .unwrap();
            let found: String = row.get(0);
            assert_eq!(found, expected, "{setting}");
        }
        let prepared = sqlx::raw_sql("SELECT count(*)::text FROM pg_prepared_statements")
            .fetch_one(&mut *other)
            .await
            .unwrap();
        let prepared: String = prepared.get(0);
        assert_eq!(prepared, "0");
    }
}

/// The poll is as good as off: only a hint can have come, which a pooler of sessions passes on.
#[tokio::test(flavor = "multi_thread")]
async fn commits_are_heard_of_behind_a_pooler_of_sessions_and_polled_behind_one_of_transactions() {
    assert!(open(&url(&TRANSACTION)).await.head_hints().is_none());
    let url = url(&SESSION);
    let recorder = open(&url).await;
    let mut hints = recorder.head_hints().unwrap();
    let writing = open(&direct(&url)).await;
    let mut version = 0;
    let heard = async {
        loop {
            version += 1;
            writing.record(&[append(1, version)]).await.unwrap();
            // The first ones may come before it listens.
            let changed = tokio::time::timeout(Duration::from_millis(200), hints.changed());
            if changed.await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard)
        .await
        .unwrap();
}
