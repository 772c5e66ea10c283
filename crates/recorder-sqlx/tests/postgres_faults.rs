//! What servers and networks do to a recorder on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Notification, Position, Recorder,
    RecorderError, StoredEvent, Tracking,
};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_testing::postgres_url;
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(120);

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

async fn whole_log(url: &str) -> Vec<Notification> {
    open(url)
        .await
        .select_notifications(1, u64::MAX)
        .await
        .unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_somebody_holds_open_delays_writers_and_loses_nothing() {
    let url = postgres_url();
    let commit = commit_on(&url).await;
    commit.append(append(1, 1)).await.unwrap();
    let (mut other, schema) = session(&url).await;
    execute(
        &mut other,
        format!("BEGIN; LOCK TABLE {schema}.stored_event IN SHARE MODE"),
    )
    .await;
    let waiting: Vec<_> = (2..=20)
        .map(|originator| {
            let commit = commit.clone();
            tokio::spawn(async move { commit.append(append(originator, 1)).await })
        })
        .collect();
    let (mut admin, _) = session(&url).await;
    until("a writer waits for the lock", async || {
        let blocked: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass",
        )
        .bind(format!("{schema}.stored_event"))
        .fetch_one(&mut admin)
        .await
        .unwrap();
        blocked > 0
    })
    .await;
    assert_eq!(commit.recorder().head().await.unwrap(), 1);
    assert!(waiting.iter().all(|append| !append.is_finished()));
    execute(&mut other, "ROLLBACK".to_owned()).await;
    for append in waiting {
        append.await.unwrap().unwrap();
    }
    let ids: Vec<_> = whole_log(&url).await.iter().map(|n| n.id).collect();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
}

/// The server ends all sessions over and over while sixteen write. A writer goes on as the port says: what is
/// unavailable is tried again, and a conflict then means that it was recorded.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_the_server_ends_cost_nothing_that_was_acknowledged_and_double_nothing() {
    const VERSIONS: u64 = 60;
    const ROUNDS: u64 = 40;
    let url = postgres_url();
    let (mut admin, schema) = session(&url).await;
    open(&url).await;
    let url_of_process = |process| format!("{url}&application_name={schema}_{process}");
    let mut writers = JoinSet::new();
    for process in 0..4_u128 {
        let commit = commit_on(&url_of_process(process)).await;
        for writer in 0..4_u128 {
            let commit = commit.clone();
            writers.spawn(async move {
                let mut acknowledged = BTreeMap::new();
                let originator = 1 + process * 4 + writer;
                let mut version = 1;
                while version <= VERSIONS {
                    match commit.append(append(originator, version)).await {
                        Ok(ids) => {
                            let event = event(Uuid::from_u128(originator), version);
                            acknowledged.insert(ids.start, event.event_id);
                            version += 1;
                        }
                        Err(RecorderError::Unavailable { .. }) => {}
                        Err(other) => panic!("a commit was doubled, or lost: {other:?}"),
                    }
                }
                acknowledged
            });
        }
    }
    let mut ended = 0;
    for _ in 0..ROUNDS {
        ended += sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1) AS ended",
        )
        .bind(format!("{schema}_%"))
        .fetch_one(&mut admin)
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ended > 0);
    let acknowledged: BTreeMap<u64, Uuid> =
        writers.join_all().await.into_iter().flatten().collect();
    let log = whole_log(&url).await;
    let ids: Vec<_> = log.iter().map(|n| n.id).collect();
    assert_eq!(ids, (1..=16 * VERSIONS).collect::<Vec<_>>());
    let recorded: BTreeMap<_, _> = log.iter().map(|n| (n.id, n.event.event_id)).collect();
    assert!(recorded == acknowledged);
}

/// What happens to a commit on its way.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Fate {
    Passes,
    /// The server hears it, and the answer is lost.
    AnswerLost,
    /// The server never hears it.
    NotHeard,
}

/// A network between a recorder and its server, that can lose a commit or its answer.
struct Network {
    port: u16,
    fate: Arc<AtomicU8>,
    cuts: Arc<AtomicU64>,
}

impl Network {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fate = Arc::new(AtomicU8::new(0));
        let cuts = Arc::new(AtomicU64::new(0));
        let (of_all, counted) = (Arc::clone(&fate), Arc::clone(&cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(
                    client,
                    server,
                    Arc::clone(&of_all),
                    Arc::clone(&counted),
                ));
            }
        });
        Self { port, fate, cuts }
    }

    /// The next commit ends so.
    fn next(&self, fate: Fate) {
        let fate = match fate {
            Fate::Passes => 0,
            Fate::AnswerLost => 1,
            Fate::NotHeard => 2,
        };
        self.fate.store(fate, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, server: TcpStream, fate: Arc<AtomicU8>, cuts: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if cut.load(Ordering::SeqCst) || to_client.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
        let request = &buffer[..n];
        // A simple query: its letter, its length, and the text.
        if request.first() == Some(&b'Q') && request.ends_with(b"COMMIT\0") {
            let fate = fate.swap(0, Ordering::SeqCst);
            if fate != 0 {
                cuts.fetch_add(1, Ordering::SeqCst);
                is_cut.store(true, Ordering::SeqCst);
                if fate == 1 {
                    to_server.write_all(request).await.unwrap();
                    // The answer has come as far as here.
                    answers.await.unwrap();
                }
                return;
            }
        }
        if to_server.write_all(request).await.is_err() {
            return;
        }
    }
}

async fn through_a_network() -> (Network, String, PostgresRecorder) {
    let url = postgres_url();
    let (before, rest) = url.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let network = Network::before(server.to_owned()).await;
    let through = format!("{before}@127.0.0.1:{}/{path}", network.port);
    let recorder = open(&format!("{through}&sslmode=disable")).await;
    (network, url, recorder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_and_not_done_twice() {
    let (network, url, recorder) = through_a_network().await;
    for version in 1..=5 {
        network.next(Fate::AnswerLost);
        let outcomes = recorder.record(&[append(1, version)]).await.unwrap();
        assert_eq!(outcomes[0].clone().unwrap(), version..version + 1);
    }
    assert_eq!(network.cuts.load(Ordering::SeqCst), 5);
    assert_eq!(whole_log(&url).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_server_never_heard_is_found_missing_and_done_once() {
    let (network, url, recorder) = through_a_network().await;
    for version in 1..=5 {
        network.next(Fate::NotHeard);
        let outcomes = recorder.record(&[append(1, version)]).await.unwrap();
        assert_eq!(outcomes[0].clone().unwrap(), version..version + 1);
    }
    assert_eq!(network.cuts.load(Ordering::SeqCst), 5);
    network.next(Fate::Passes);
    assert_eq!(whole_log(&url).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_events_is_recognized_by_the_position() {
    let (network, _, recorder) = through_a_network().await;
    let epoch = Uuid::from_u128(7);
    let at = |id| Position { epoch, id };
    for (fate, to) in [(Fate::AnswerLost, 1), (Fate::NotHeard, 2)] {
        network.next(fate);
        let step = Tracking {
            follower: "payments".to_owned(),
            epoch,
            from: (to > 1).then(|| at(to - 1)),
            to,
        };
        let outcomes = recorder
            .record(&[Append::default().with_tracking(step)])
            .await
            .unwrap();
        assert!(outcomes[0].is_ok(), "{outcomes:?}");
        assert_eq!(recorder.tracking("payments").await.unwrap(), Some(at(to)));
    }
    assert_eq!(network.cuts.load(Ordering::SeqCst), 2);
}
