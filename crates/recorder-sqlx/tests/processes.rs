//! Several processes on one SQLite file: the other ones are this program again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Notification, Position, Recorder,
    StoredEvent, Tracking,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long one test may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// What another process is for, in its environment: `open FILE` or `write FILE PROCESS N_WRITERS N_REQUESTS`.
const ROLE: &str = "BOXES_TEST_ROLE";

#[test]
fn sixteen_writers_in_four_processes_are_read_once_in_order_without_a_hole() {
    const WRITERS: usize = 4;
    const REQUESTS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.sqlite");
    let processes: Vec<_> = (0..4)
        .map(|process| Process::writing(&file, process, WRITERS, REQUESTS))
        .collect();
    let acknowledging: Vec<_> = processes
        .into_iter()
        .map(|mut process| {
            std::thread::spawn(move || {
                let acknowledged: Vec<_> = process.by_ref().collect();
                process.ends_well();
                acknowledged
            })
        })
        .collect();
    let ended = || {
        acknowledging
            .iter()
            .all(std::thread::JoinHandle::is_finished)
    };
    let log = block_on(async { read(&open(&file).await, ended).await });

    let acknowledged: Vec<_> = acknowledging
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(acknowledged.len(), 4 * WRITERS * REQUESTS);
    assert_is_what_was_acknowledged(&log, &acknowledged);
    assert_eq!(log.len(), acknowledged.len());
}

#[test]
fn processes_that_make_one_file_at_the_same_time_agree_on_its_epoch() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.sqlite");
        let processes: Vec<_> = (0..8)
            .map(|_| Process::start(&format!("open {}", file.display())))
            .collect();
        fs::write(go(&file), "").unwrap();
        let epochs: BTreeSet<_> = processes
            .into_iter()
            .flat_map(Process::lines_to_the_end)
            .collect();
        assert_eq!(epochs.len(), 1, "{epochs:?}");
        let found = block_on(async { open(&file).await.log().epoch });
        assert_eq!(epochs.first().unwrap(), &format!("epoch {found}"));
    }
}

#[test]
fn what_was_acknowledged_survives_the_killing_of_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.sqlite");
    let mut acknowledged = Vec::new();
    for (process, until) in [1, 40, 170, 333, 5, 500].into_iter().enumerate() {
        let mut writing = Process::writing(&file, process, 8, usize::MAX);
        acknowledged.extend(writing.by_ref().take(until));
        writing.child.kill().unwrap();
        acknowledged.extend(writing.by_ref());
        writing.child.wait().unwrap();

        let log = block_on(async {
            let recorder = open(&file).await;
            let log = read(&recorder, || true).await;
            assert_steps_are_whole(&recorder, &log).await;
            log
        });
        assert_is_what_was_acknowledged(&log, &acknowledged);
    }
}

/// Each event that was acknowledged is in the log under its id, and the log is dense and repeats nothing.
fn assert_is_what_was_acknowledged(log: &[Notification], acknowledged: &[(u64, Uuid)]) {
    assert!(
        log.iter().map(|found| found.id).eq((1..).take(log.len())),
        "the log has a hole"
    );
    let by_id: BTreeMap<_, _> = log
        .iter()
        .map(|found| (found.id, found.event.event_id))
        .collect();
    for (id, event_id) in acknowledged {
        assert_eq!(by_id.get(id), Some(event_id), "notification {id}");
    }
    let once: BTreeSet<_> = log
        .iter()
        .map(|found| (found.event.originator_id, found.event.originator_version))
        .collect();
    assert_eq!(once.len(), log.len(), "a version is there twice");
}

/// Each event was recorded with a step of a follower of its aggregate's name: both are there, or neither.
async fn assert_steps_are_whole(recorder: &dyn Recorder, log: &[Notification]) {
    let versions: BTreeMap<_, _> = log
        .iter()
        .map(|found| (found.event.originator_id, found.event.originator_version))
        .collect();
    for (originator_id, version) in versions {
        let position = recorder.tracking(&originator_id.to_string()).await.unwrap();
        assert_eq!(
            position,
            Some(at(version)),
            "the events and the step of {originator_id}"
        );
    }
}

/// Reads the log as it grows, and goes on until it is at the end after `ended`.
async fn read(recorder: &dyn Recorder, ended: impl Fn() -> bool) -> Vec<Notification> {
    let start = Instant::now();
    let mut log: Vec<Notification> = Vec::new();
    loop {
        assert!(start.elapsed() < DEADLINE, "takes too long");
        let last_round = ended();
        let next = log.last().map_or(1, |last| last.id + 1);
        let found = recorder.select_notifications(next, 100).await.unwrap();
        for (expected, found) in (next..).zip(&found) {
            assert_eq!(found.id, expected, "a hole while it grows");
        }
        if found.is_empty() && last_round {
            return log;
        }
        log.extend(found);
    }
}

async fn open(file: &Path) -> SqliteRecorder {
    SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"))
        .await
        .unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Another process.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Process {
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "another_process"])
            .env(ROLE, role)
            .stdout(Stdio::null())
            // Standard output belongs to the test harness.
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn writing(file: &Path, process: usize, n_writers: usize, n_requests: usize) -> Self {
        Self::start(&format!(
            "write {} {process} {n_writers} {n_requests}",
            file.display()
        ))
    }

    fn lines_to_the_end(mut self) -> Vec<String> {
        let lines: Vec<_> = self.lines.by_ref().map(Result::unwrap).collect();
        self.ends_well();
        lines
    }

    fn ends_well(&mut self) {
        assert!(
            self.child.wait().unwrap().success(),
            "the other process failed: see its messages above"
        );
    }
}

/// What it acknowledged, as it does so.
impl Iterator for Process {
    type Item = (u64, Uuid);

    fn next(&mut self) -> Option<(u64, Uuid)> {
        loop {
            let line = self.lines.next()?.unwrap();
            // The last line of a process that was killed may be cut short: "end" stands behind each whole one.
            if let ["recorded", id, event_id, "end"] = line.split(' ').collect::<Vec<_>>()[..] {
                return Some((id.parse().unwrap(), event_id.parse().unwrap()));
            }
            eprintln!("{line}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already dead, unless the test failed before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The file whose appearance starts the processes that were told to open `file`.
fn go(file: &Path) -> std::path::PathBuf {
    file.with_extension("go")
}

#[test]
#[ignore = "is the other process of the tests here, and does nothing by itself"]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["open", file] => {
            let start = Instant::now();
            while !go(Path::new(file)).exists() {
                assert!(start.elapsed() < DEADLINE, "nobody says go");
                std::thread::yield_now();
            }
            let epoch = block_on(async { open(Path::new(file)).await.log().epoch });
            eprintln!("epoch {epoch}");
        }
        ["write", file, process, n_writers, n_requests] => {
            let writers = write(
                Path::new(file),
                process,
                n_writers.parse().unwrap(),
                n_requests.parse().unwrap(),
            );
            block_on(writers);
        }
        _ => panic!("no such role: {role}"),
    }
}

/// So many writers append one event after another, each with a step, and tell what was acknowledged.
async fn write(file: &Path, process: &str, n_writers: usize, n_requests: usize) {
    let commit = GroupCommit::start(Arc::new(open(file).await), GroupCommitBounds::default())
        .await
        .unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..n_writers {
        let commit = commit.clone();
        let originator_id = Uuid::new_v5(&Uuid::nil(), format!("{process}/{writer}").as_bytes());
        writers.spawn(async move {
            for version in (1..).take(n_requests) {
                let event = event(originator_id, version);
                let event_id = event.event_id;
                let step = Tracking {
                    follower: originator_id.to_string(),
                    epoch: Uuid::nil(),
                    from: (version > 1).then(|| at(version - 1)),
                    to: version,
                    event_id: None,
                };
                let appended = commit
                    .append(Append::new(vec![event]).with_tracking(step))
                    .await
                    .expect("recorded");
                eprintln!("recorded {} {event_id} end", appended.ids.start);
            }
        });
    }
    writers.join_all().await;
    commit.close().await;
}

fn at(id: u64) -> Position {
    Position::new(Uuid::nil(), id)
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
