//! Sixteen writers in four processes, while the server ends sessions and is killed, and writers are killed.
//!
//! On a server of its own; the other processes are this program again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use boxes_recorder::{
    Append, GroupCommit, GroupCommitBounds, Notification, Recorder, RecorderError,
};
use boxes_test_servers::Server;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::database::{Database, Kind};
use crate::events::{DEADLINE, event};
use crate::faults::on_both;

/// What another process is for, in its environment: `KIND URL PROCESS`.
const ROLE: &str = "BOXES_TEST_ROLE";

const PROCESSES: usize = 4;
const WRITERS: usize = 4;
const EVENTS: usize = 300;

/// What the writers acknowledge between two disasters.
const ACKNOWLEDGED_BETWEEN: usize = 300;

/// How often each disaster happens.
const ROUNDS: usize = 2;

on_both! {
    crashes_of_the_server_ended_sessions_and_killed_writers_cost_nothing_and_double_nothing
}

async fn crashes_of_the_server_ended_sessions_and_killed_writers_cost_nothing_and_double_nothing(
    kind: Kind,
) {
    let mut server = kind.new_server().start().unwrap();
    let database = Database::on(kind, &server);
    database.recorder().await;
    let (acknowledged, received) = channel();
    let (mut children, outputs): (Vec<_>, Vec<_>) = (0..PROCESSES)
        .map(|process| start(&database, process, acknowledged.clone()))
        .unzip();
    drop(acknowledged);
    let (end, ended) = tokio::sync::watch::channel(());
    let reading = {
        let database = database.clone();
        tokio::spawn(async move { read(&database, || ended.has_changed().is_err()).await })
    };

    let mut known = BTreeMap::new();
    for _ in 0..ROUNDS {
        known.extend(take(&received, ACKNOWLEDGED_BETWEEN));
        end_all_sessions(&database).await;
        known.extend(take(&received, ACKNOWLEDGED_BETWEEN));
        crash(&mut server);
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

/// As a power failure: the server recovers from what it wrote ahead.
fn crash(server: &mut Server) {
    server.kill();
    server.start_again().unwrap();
}

/// All but the one that asks for it.
async fn end_all_sessions(database: &Database) {
    let mut admin = database.session().await;
    match database.kind {
        Kind::Postgres => {
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
            assert!(admin.number(end).await > 0);
        }
        Kind::Mysql => {
            let mut ended = 0;
            let next = "SELECT CAST(COALESCE(MIN(id), 0) AS SIGNED) FROM information_schema.processlist
                        WHERE id > AFTER AND id <> CONNECTION_ID() AND command <> 'Daemon' AND user = 'root'";
            let mut id = 0;
            loop {
                id = admin.number(&next.replace("AFTER", &id.to_string())).await;
                if id == 0 {
                    break;
                }
                // One that is just closing is gone without it.
                ended += usize::from(admin.try_execute(&format!("KILL {id}")).await.is_ok());
            }
            assert!(ended > 0);
        }
    }
}

/// Reads the log as it grows, and goes on until it is at the end after `ended`.
async fn read(database: &Database, ended: impl Fn() -> bool) -> Vec<Notification> {
    let recorder = open_patiently(database).await;
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
    database: &Database,
    process: usize,
    acknowledged: Sender<Acknowledged>,
) -> (Child, JoinHandle<()>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "crash::another_process",
        ])
        .env(
            ROLE,
            format!("{:?} {} {process}", database.kind, database.url),
        )
        .stdout(Stdio::null())
        // Standard output belongs to the test harness.
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stderr.take().unwrap());
    let output = std::thread::spawn(move || tell(output, &acknowledged));
    (child, output)
}

fn tell(output: BufReader<ChildStderr>, acknowledged: &Sender<Acknowledged>) {
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

/// What the store says, or nothing yet: then it is asked again.
fn answer<T>(said: Result<T, RecorderError>) -> Option<T> {
    match said {
        Ok(done) => Some(done),
        Err(RecorderError::Unavailable { .. }) => None,
        // Nothing is recorded when it is unavailable, so a conflict would be a commit that was lost or doubled.
        Err(other) => panic!("{other:?}"),
    }
}

async fn open_patiently(database: &Database) -> Arc<dyn Recorder> {
    let start = Instant::now();
    loop {
        if let Some(recorder) = answer(database.open().await) {
            return recorder;
        }
        assert!(start.elapsed() < DEADLINE, "takes too long");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is the other process of the test here, and does nothing by itself"]
async fn another_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let [kind, url, process] = role.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{role}")
    };
    let kind = match kind {
        "Postgres" => Kind::Postgres,
        _ => Kind::Mysql,
    };
    let url = url.to_owned();
    let database = Database { kind, url };
    let recorder = open_patiently(&database).await;
    let bounds = GroupCommitBounds::default();
    let commit = loop {
        let started = GroupCommit::start(Arc::clone(&recorder), bounds).await;
        if let Some(commit) = answer(started) {
            break commit;
        }
    };
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let commit = commit.clone();
        let originator_id = Uuid::new_v5(&Uuid::nil(), format!("{process}/{writer}").as_bytes());
        writers.spawn(async move {
            for version in (1..).take(EVENTS) {
                let event = event(originator_id, version);
                let append = Append::new(vec![event.clone()]);
                let appended = loop {
                    if let Some(appended) = answer(commit.append(append.clone()).await) {
                        break appended;
                    }
                };
                eprintln!("recorded {} {} end", appended.ids.start, event.event_id);
            }
        });
    }
    writers.join_all().await;
    commit.close().await;
}
