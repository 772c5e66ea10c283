//! Many processes, many events, one live reader, on each database: the other processes are this program again.
//!
//! A hundred thousand events, unless the variable `BOXES_TEST_EVENTS` says how many.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, RecorderError, StoredEvent,
};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder, SqliteRecorder};
use boxes_testing::{LiveReading, mysql_url, postgres_url};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many events the writers that live to the end record together, at least.
const EVENTS_VARIABLE: &str = "BOXES_TEST_EVENTS";
const EVENTS: u64 = 100_000;

const PROCESSES: u64 = 4;
const WRITERS: u64 = 4;

/// The events of one request.
const BATCH: u64 = 125;

/// The versions that rivals race for.
const VERSIONS: u64 = 40;

/// The topic whose commit is held open on PostgreSQL.
const HELD: &str = "test.held";

/// What another process is for, in its environment: `write URL PROCESS N_WRITERS N_REQUESTS`, `hold URL PROCESS`, or
/// `race URL`.
const ROLE: &str = "BOXES_TEST_ROLE";

#[test]
fn sixteen_writers_and_one_that_is_killed_are_read_once_in_order_without_a_hole_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.sqlite");
    everything_is_read_once_in_order(file.to_str().unwrap(), write_and_be_killed);
}

#[test]
fn sixteen_writers_and_one_that_is_killed_are_read_once_in_order_without_a_hole_on_mysql() {
    everything_is_read_once_in_order(&mysql_url(), write_and_be_killed);
}

#[test]
fn sixteen_writers_and_a_commit_that_is_held_open_are_read_once_in_order_without_a_hole_on_postgres()
 {
    let url = postgres_url();
    everything_is_read_once_in_order(&url, |url| {
        block_on(hold_a_commit_open_and_kill_its_writer(url))
    });
}

#[test]
fn three_processes_that_race_for_forty_versions_write_each_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.sqlite");
    each_version_is_written_once(file.to_str().unwrap());
}

#[test]
fn three_processes_that_race_for_forty_versions_write_each_once_on_postgres() {
    each_version_is_written_once(&postgres_url());
}

#[test]
fn three_processes_that_race_for_forty_versions_write_each_once_on_mysql() {
    each_version_is_written_once(&mysql_url());
}

/// A writer that is killed when it has recorded ten requests, or a few more.
fn write_and_be_killed(url: &str) -> Vec<Acknowledged> {
    let mut killed = Process::writing(url, PROCESSES, 1, u64::MAX);
    let mut acknowledged: Vec<_> = killed.acknowledged().take(10).collect();
    killed.child.kill().unwrap();
    acknowledged.extend(killed.acknowledged());
    acknowledged
}

/// Sixteen writers in four processes, another one that is `disturbing` them and does not live to its end, and a reader.
fn everything_is_read_once_in_order(
    url: &str,
    disturbing: impl FnOnce(&str) -> Vec<Acknowledged> + Send,
) {
    block_on(open(url));
    let n_requests = n_events().div_ceil(PROCESSES * WRITERS * BATCH);
    let (reading, survivors, disturber) = thread::scope(|scope| {
        let disturbing = scope.spawn(|| disturbing(url));
        let writing: Vec<_> = (0..PROCESSES)
            .map(|process| {
                scope.spawn(move || {
                    let mut writing = Process::writing(url, process, WRITERS, n_requests);
                    let acknowledged: Vec<_> = writing.acknowledged().collect();
                    writing.ends_well();
                    acknowledged
                })
            })
            .collect();
        let reading = block_on(async {
            let recorder = open(url).await;
            let mut reading = LiveReading::default();
            let ended = || {
                disturbing.is_finished()
                    && writing.iter().all(thread::ScopedJoinHandle::is_finished)
            };
            reading.read_until(&*recorder, ended).await.unwrap();
            reading
        });
        let survivors = writing.into_iter().map(|thread| thread.join().unwrap());
        let survivors: Vec<_> = survivors.flatten().collect();
        (reading, survivors, disturbing.join().unwrap())
    });

    let events = |of: &[Acknowledged]| of.iter().flat_map(Acknowledged::events).collect::<Vec<_>>();
    let mut acknowledged = events(&survivors);
    let n_survivors = u64::try_from(acknowledged.len()).unwrap();
    assert_eq!(n_survivors, PROCESSES * WRITERS * n_requests * BATCH);
    acknowledged.extend(events(&disturber));
    reading
        .check(&acknowledged)
        .unwrap_or_else(|flaw| panic!("{flaw}"));
    // The last request of the one that was killed is there as a whole, or not at all.
    let unacknowledged = reading.seen().len() - acknowledged.len();
    assert!(
        [0, BATCH].contains(&u64::try_from(unacknowledged).unwrap()),
        "{unacknowledged} events that nobody acknowledged"
    );
}

/// A writer stands still in the middle of its commit: its rows are inserted, the log's lock is its own, and the server is
/// told to wait before it makes them visible. Then the writer is killed, and the server may go on.
async fn hold_a_commit_open_and_kill_its_writer(url: &str) -> Vec<Acknowledged> {
    let (server, schema) = url.split_once("?schema=").unwrap();
    let mut holder = PgConnection::connect(server).await.unwrap();
    let prepare = format!(
        "SELECT pg_advisory_lock(hashtext('{schema}'), 1);
         CREATE FUNCTION {schema}.wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext('{schema}'), 1); RETURN NULL; END
         $$;
         CREATE CONSTRAINT TRIGGER held AFTER INSERT ON {schema}.stored_event DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.topic = '{HELD}') EXECUTE FUNCTION {schema}.wait();"
    );
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut holder)
        .await
        .unwrap();
    let recorder = open(url).await;
    let mut held = Process::start(&format!("hold {url} {PROCESSES}"));
    let mut acknowledged: Vec<_> = held.acknowledged().take(1).collect();
    until("the writers are at work", async || {
        recorder.head().await.unwrap() >= n_events() / 4
    })
    .await;
    held.go();

    until("a commit is held open", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
        let waiting: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut holder)
            .await
            .unwrap();
        waiting > 0
    })
    .await;
    let head = recorder.head().await.unwrap();
    until("another writer waits for it", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity held, pg_stat_activity other
                       WHERE pg_backend_pid() = ANY (pg_blocking_pids(held.pid))
                       AND held.pid = ANY (pg_blocking_pids(other.pid))";
        let waiting: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut holder)
            .await
            .unwrap();
        waiting > 0
    })
    .await;
    assert_eq!(
        recorder.head().await.unwrap(),
        head,
        "somebody went past an open commit"
    );
    held.child.kill().unwrap();
    acknowledged.extend(held.acknowledged());
    assert_eq!(acknowledged.len(), 1, "the commit was not held");
    sqlx::raw_sql("SELECT pg_advisory_unlock_all()")
        .execute(&mut holder)
        .await
        .unwrap();
    acknowledged
}

fn each_version_is_written_once(url: &str) {
    block_on(open(url));
    let mut rivals = [(); 3].map(|()| Process::start(&format!("race {url}")));
    for rival in &mut rivals {
        assert_eq!(rival.next_line().unwrap(), "ready");
    }
    for rival in &mut rivals {
        rival.go();
    }
    let mut written = Vec::new();
    for mut rival in rivals {
        written.extend(rival.acknowledged().flat_map(|won| won.events()));
        rival.ends_well();
    }
    written.sort_unstable();
    // The only aggregate: its versions are the ids.
    let each_once: Vec<_> = (1..=VERSIONS).map(|n| (n, event_id(0, n))).collect();
    assert_eq!(written, each_once);
    let mut reading = LiveReading::default();
    block_on(async {
        reading
            .read_until(&*open(url).await, || true)
            .await
            .unwrap();
    });
    assert_eq!(reading.seen(), each_once);
}

fn n_events() -> u64 {
    std::env::var(EVENTS_VARIABLE).map_or(EVENTS, |text| {
        let n_events = text.replace('_', "").parse();
        n_events.unwrap_or_else(|_| panic!("{EVENTS_VARIABLE} is a number of events, not {text}"))
    })
}

/// How long a test may take.
fn deadline() -> Duration {
    Duration::from_secs(120 + n_events() / 1_000)
}

async fn open(url: &str) -> Arc<dyn Recorder> {
    let log = OpenLog::named("orders");
    if url.starts_with("postgres:") {
        Arc::new(PostgresRecorder::open(url, log).await.unwrap())
    } else if url.starts_with("mysql:") {
        Arc::new(MysqlRecorder::open(url, log).await.unwrap())
    } else {
        Arc::new(SqliteRecorder::open(url, log).await.unwrap())
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(deadline(), future).await })
        .unwrap_or_else(|_| panic!("takes longer than {:?}", deadline()))
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(deadline(), waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A request that a process was told is recorded.
struct Acknowledged {
    first: u64,
    originator: u64,
    version: u64,
    n_events: u64,
}

impl Acknowledged {
    fn tell(&self) {
        let Self {
            first,
            originator,
            version,
            n_events,
        } = self;
        eprintln!("recorded {first} {originator} {version} {n_events} end");
    }

    /// The last line of a process that was killed may be cut short: "end" stands behind each whole one.
    fn heard(line: &str) -> Option<Self> {
        let ["recorded", first, originator, version, n_events, "end"] =
            line.split(' ').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        Some(Self {
            first: first.parse().unwrap(),
            originator: originator.parse().unwrap(),
            version: version.parse().unwrap(),
            n_events: n_events.parse().unwrap(),
        })
    }

    /// Notification ids and events.
    fn events(&self) -> impl Iterator<Item = (u64, Uuid)> + use<> {
        let Self {
            first,
            originator,
            version,
            n_events,
        } = *self;
        (0..n_events).map(move |n| (first + n, event_id(originator, version + n)))
    }
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
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Standard output belongs to the test harness.
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn writing(url: &str, process: u64, n_writers: u64, n_requests: u64) -> Self {
        Self::start(&format!("write {url} {process} {n_writers} {n_requests}"))
    }

    fn go(&mut self) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"go\n")
            .unwrap();
    }

    fn next_line(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }

    /// What it acknowledges, as it does so, to its end.
    fn acknowledged(&mut self) -> impl Iterator<Item = Acknowledged> {
        std::iter::from_fn(|| {
            loop {
                let line = self.next_line()?;
                match Acknowledged::heard(&line) {
                    Some(acknowledged) => return Some(acknowledged),
                    None => eprintln!("{line}"),
                }
            }
        })
    }

    fn ends_well(&mut self) {
        assert!(
            self.child.wait().unwrap().success(),
            "the other process failed: see its messages above"
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already dead, unless it was to be killed or the test failed before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[ignore = "is the other process of the tests here, and does nothing by itself"]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let number = |text: &str| text.parse::<u64>().unwrap();
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["write", url, process, n_writers, n_requests] => {
            let first = number(process) * WRITERS;
            let originators = first..first + number(n_writers);
            block_on(write(url, originators, number(n_requests)));
        }
        ["hold", url, process] => block_on(hold(url, number(process) * WRITERS)),
        ["race", url] => block_on(race(url)),
        _ => panic!("no such role: {role}"),
    }
}

/// One writer for each aggregate.
async fn write(url: &str, originators: std::ops::Range<u64>, n_requests: u64) {
    let commit = GroupCommit::start(open(url).await, GroupCommitBounds::default())
        .await
        .unwrap();
    let mut writers = JoinSet::new();
    for originator in originators {
        let commit = commit.clone();
        writers.spawn(async move {
            for request in 0..n_requests {
                append(&commit, originator, 1 + request * BATCH, "test.happened").await;
            }
        });
    }
    writers.join_all().await;
    commit.close().await;
}

/// One request, and at a word another one that is held open.
async fn hold(url: &str, originator: u64) {
    let commit = GroupCommit::start(open(url).await, GroupCommitBounds::default())
        .await
        .unwrap();
    append(&commit, originator, 1, "test.happened").await;
    wait_for_the_word();
    append(&commit, originator, 1 + BATCH, HELD).await;
}

async fn append(commit: &GroupCommit, originator: u64, version: u64, topic: &'static str) {
    let events = (version..version + BATCH).map(|version| event(originator, version, topic));
    let appended = commit.append(Append::new(events.collect())).await.unwrap();
    Acknowledged {
        first: appended.ids.start,
        originator,
        version,
        n_events: BATCH,
    }
    .tell();
}

/// Writes the version that comes next, or goes on from the one that another wrote.
async fn race(url: &str) {
    let recorder = open(url).await;
    eprintln!("ready");
    wait_for_the_word();
    let mut recorded = 0;
    while recorded < VERSIONS {
        let version = recorded + 1;
        let request = Append::new(vec![event(0, version, "test.happened")]);
        match recorder.record(&[request]).await.unwrap().remove(0) {
            Ok(appended) => {
                Acknowledged {
                    first: appended.ids.start,
                    originator: 0,
                    version,
                    n_events: 1,
                }
                .tell();
                recorded = version;
            }
            Err(RecorderError::VersionConflict { recorded: by, .. }) => recorded = by,
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn wait_for_the_word() {
    let mut word = String::new();
    std::io::stdin().read_line(&mut word).unwrap();
    assert_eq!(word, "go\n");
}

fn event_id(originator: u64, version: u64) -> Uuid {
    Uuid::from_u64_pair(originator, version)
}

fn event(originator: u64, originator_version: u64, topic: &'static str) -> StoredEvent {
    StoredEvent {
        event_id: event_id(originator, originator_version),
        originator_id: Uuid::from_u128(originator.into()),
        originator_version,
        topic: topic.into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: "{}".into(),
        metadata: "{}".into(),
        occurred_on: jiff::Timestamp::UNIX_EPOCH,
    }
}
