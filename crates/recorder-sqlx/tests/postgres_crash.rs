//! Sixteen writers in four processes on PostgreSQL, while the server crashes and writers are killed.
//!
//! In a program of its own, because a crash ends the sessions of all; the other processes are this program again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Notification, Recorder, RecorderError,
    StoredEvent,
};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder};
use boxes_testing::postgres_url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(120);

/// What another process is for, in its environment: `URL PROCESS N_EVENTS`.
const ROLE: &str = "BOXES_TEST_ROLE";

const PROCESSES: usize = 4;
const WRITERS: usize = 4;
const EVENTS: usize = 400;

/// How often the server crashes.
const CRASHES: usize = 2;

/// What the writers acknowledge between two disasters.
const ACKNOWLEDGED_BETWEEN: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_and_killed_writers_cost_nothing_and_double_nothing() {
    let url = postgres_url();
    open(&url).await;
    let (acknowledged, received) = channel();
    let (mut children, outputs): (Vec<_>, Vec<_>) = (0..PROCESSES)
        .map(|process| start(&url, process, acknowledged.clone()))
        .unzip();
    drop(acknowledged);
    let (end, ended) = tokio::sync::watch::channel(());
    let reading = {
        let url = url.clone();
        tokio::spawn(async move { read(&url, || ended.has_changed().is_err()).await })
    };

    let mut known = BTreeMap::new();
    for _ in 0..CRASHES {
        known.extend(take(&received, ACKNOWLEDGED_BETWEEN));
        crash(&url).await;
    }
    known.extend(take(&received, ACKNOWLEDGED_BETWEEN));
    // The last one is killed in the middle of what it does.
    let mut killed = children.pop().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    for mut child in children {
        assert!(
            child.wait().unwrap().success(),
            "a writer failed: see above"
        );
    }
    known.extend(received);
    outputs
        .into_iter()
        .for_each(|output| output.join().unwrap());
    drop(end);

    let log = reading.await.unwrap();
    assert!(log.iter().map(|n| n.id).eq((1..).take(log.len())));
    let recorded: BTreeMap<_, _> = log.iter().map(|n| (n.id, n.event.event_id)).collect();
    for (id, event_id) in &known {
        assert_eq!(recorded.get(id), Some(event_id), "notification {id}");
    }
    let once: BTreeSet<_> = recorded.values().collect();
    assert_eq!(once.len(), log.len(), "an event is there twice");
    // Those that lived wrote all; the killed one may have left what nobody acknowledged to the test.
    assert!(log.len() >= (PROCESSES - 1) * WRITERS * EVENTS);
    assert!(log.len() <= known.len() + WRITERS);
}

async fn open(url: &str) -> PostgresRecorder {
    PostgresRecorder::open(url, OpenLog::named("orders"))
        .await
        .unwrap()
}

/// A session is killed as no program should be: the server takes its memory for damaged, ends all sessions, and
/// recovers from what it wrote ahead, as after a power failure.
async fn crash(url: &str) {
    let server = url.split_once('?').unwrap().0;
    let start = Instant::now();
    let mut admin = loop {
        match PgConnection::connect(server).await {
            Ok(connection) => break connection,
            Err(error) if start.elapsed() > DEADLINE => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let victim: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    // Run by the server as its own user, who may.
    let kill = format!("COPY (SELECT 1) TO PROGRAM 'kill -9 {victim}'");
    let gone = sqlx::raw_sql(AssertSqlSafe(kill)).execute(&mut admin).await;
    assert!(gone.is_err(), "the session lives on");
}

/// Reads the log as it grows, and goes on until it is at the end after `ended`.
async fn read(url: &str, ended: impl Fn() -> bool) -> Vec<Notification> {
    let recorder = open(url).await;
    let start = Instant::now();
    let mut log: Vec<Notification> = Vec::new();
    loop {
        assert!(start.elapsed() < DEADLINE, "takes too long");
        let last_round = ended();
        let next = log.last().map_or(1, |last| last.id + 1);
        let found = match recorder.select_notifications(next, 100).await {
            Ok(found) => found,
            // The server recovers.
            Err(RecorderError::Unavailable { .. }) => continue,
            Err(other) => panic!("{other:?}"),
        };
        for (expected, found) in (next..).zip(&found) {
            assert_eq!(found.id, expected, "a hole while it grows");
        }
        if found.is_empty() && last_round {
            return log;
        }
        log.extend(found);
    }
}

type Acknowledged = (u64, Uuid);

/// So many acknowledgements, or those that there are before nobody writes any more.
fn take(received: &Receiver<Acknowledged>, n: usize) -> Vec<Acknowledged> {
    received.iter().take(n).collect()
}

fn start(
    url: &str,
    process: usize,
    acknowledged: std::sync::mpsc::Sender<Acknowledged>,
) -> (Child, JoinHandle<()>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "another_process"])
        .env(ROLE, format!("{url} {process}"))
        .stdout(Stdio::null())
        // Standard output belongs to the test harness.
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stderr.take().unwrap());
    let output = std::thread::spawn(move || tell(output, &acknowledged));
    (child, output)
}

fn tell(output: BufReader<ChildStderr>, acknowledged: &std::sync::mpsc::Sender<Acknowledged>) {
    for line in output.lines() {
        let line = line.unwrap();
        // The last line of a process that was killed may be cut short: "end" stands behind each whole one.
        if let ["recorded", id, event_id, "end"] = line.split(' ').collect::<Vec<_>>()[..] {
            // Nobody hears it any more if the test failed.
            acknowledged
                .send((id.parse().unwrap(), event_id.parse().unwrap()))
                .ok();
        } else {
            eprintln!("{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the other process of the test here, and does nothing by itself"]
async fn another_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (url, process) = role.split_once(' ').unwrap();
    let recorder = loop {
        match PostgresRecorder::open(url, OpenLog::named("orders")).await {
            Ok(recorder) => break recorder,
            // The server crashed while this process was starting.
            Err(RecorderError::Unavailable { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    };
    let bounds = GroupCommitBounds::default();
    let recorder: Arc<dyn Recorder> = Arc::new(recorder);
    let commit = loop {
        match GroupCommit::start(Arc::clone(&recorder), bounds).await {
            Ok(commit) => break commit,
            Err(RecorderError::Unavailable { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    };
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let commit = commit.clone();
        let originator_id = Uuid::new_v5(&Uuid::nil(), format!("{process}/{writer}").as_bytes());
        writers.spawn(async move {
            for version in (1..).take(EVENTS) {
                let event = event(originator_id, version);
                let ids = loop {
                    match commit.append(Append::new(vec![event.clone()])).await {
                        Ok(ids) => break ids,
                        // Nothing is recorded then, so a conflict would be a commit that was lost or doubled.
                        Err(RecorderError::Unavailable { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                };
                eprintln!("recorded {} {} end", ids.start, event.event_id);
            }
        });
    }
    writers.join_all().await;
    commit.close().await;
}

fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, &originator_version.to_be_bytes()),
        originator_id,
        originator_version,
        topic: "test.happened".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}
