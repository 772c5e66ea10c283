//! How fast events are recorded in SQLite: by commands through an application, by the group commit alone, and by a
//! bare multi-row insert beside them.
//!
//! `cargo bench -p boxes-recorder-sqlx --bench append [folder]`
//!
//! All sides write rows of the same size into tables of the same shape, durably (WAL, `synchronous = FULL`), in
//! transactions of the same size, in turn; medians of several rounds. The bare side is handed full
//! transactions and checks nothing; callers of the others come one by one, are checked, and answered.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a measurement fails by panicking, and its figures are not exact"
)]

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_application::{App, AppOptions};
use boxes_domain::{Aggregate, Event};
use boxes_mapper::Topics;
use boxes_recorder::{
    Append, Encoding, GroupCommit, GroupCommitBounds, Recorder, StoredEvent, StreamRange,
};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

/// Rounds of each measurement, of which the median counts.
const ROUNDS: usize = 5;
/// How long one side of a round writes.
const DURATION: Duration = Duration::from_secs(2);
const STATE: &[u8] = &[b'x'; 180];
const METADATA: &[u8] = br#"{"correlation_id":"0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f"}"#;

#[tokio::main]
async fn main() {
    // Cargo adds flags of its own.
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    println!(
        "{} processors, {} bytes of state, in {}",
        std::thread::available_parallelism().unwrap(),
        STATE.len(),
        folder.path().display()
    );
    println!(
        "{:>8} {:>12} {:>14} {:>14} {:>14} {:>8} {:>8}",
        "callers",
        "aggregates",
        "application/s",
        "group commit/s",
        "bare insert/s",
        "ratio A",
        "ratio G"
    );
    for (callers, fresh) in [(1, false), (64, false), (256, false), (256, true)] {
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            let name = format!("{callers}-{fresh}-{round}");
            let commanded = commanded(
                &folder.path().join(format!("{name}-application.sqlite")),
                callers,
                fresh,
            )
            .await;
            let grouped = grouped(
                &folder.path().join(format!("{name}-grouped.sqlite")),
                callers,
                fresh,
            )
            .await;
            let path = folder.path().join(format!("{name}-bare.sqlite"));
            // In a task, as the group commit is: the thread that blocks on the runtime is woken another way.
            let bare = tokio::spawn(async move { bare(&path, callers, fresh).await })
                .await
                .unwrap();
            rounds.push([commanded, grouped, bare, commanded / bare, grouped / bare]);
        }
        let median = |column: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        let aggregates = if fresh { "always new" } else { "one each" };
        println!(
            "{callers:>8} {aggregates:>12} {:>14.0} {:>14.0} {:>14.0} {:>8.2} {:>8.2}",
            median(0),
            median(1),
            median(2),
            median(3),
            median(4)
        );
    }
    println!(
        "ratio A: application to bare (target 0.7 for 256 callers); ratio G: group commit to bare"
    );
    reading(&folder.path().join("reading.sqlite")).await;
}

fn event(originator_id: Uuid, originator_version: u64) -> StoredEvent {
    StoredEvent {
        event_id: Uuid::now_v7(),
        originator_id,
        originator_version,
        topic: Cow::Borrowed("orders.order.placed"),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: Bytes::from_static(STATE),
        metadata: Bytes::from_static(METADATA),
        occurred_on: Timestamp::UNIX_EPOCH,
    }
}

/// The events that one caller appends: of one aggregate, or each of a new one.
struct Source {
    originator_id: Uuid,
    version: u64,
    fresh: bool,
}

impl Source {
    fn new(fresh: bool) -> Self {
        Self {
            originator_id: Uuid::now_v7(),
            version: 0,
            fresh,
        }
    }

    fn next(&mut self) -> StoredEvent {
        if self.fresh {
            *self = Self::new(true);
        }
        self.version += 1;
        event(self.originator_id, self.version)
    }
}

/// An aggregate whose events are as large as the others' rows.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed { note: String },
}

#[derive(Default, Clone)]
struct Order {
    n_placed: u64,
}

impl Aggregate for Order {
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {
        self.n_placed += 1;
    }
}

/// Commands by so many tasks through an application: load from memory, decide, append, each of one event.
async fn commanded(path: &Path, callers: usize, fresh: bool) -> f64 {
    let recorder = SqliteRecorder::open(path.to_str().unwrap(), OpenLog::named("bench"))
        .await
        .unwrap();
    let writer = GroupCommit::start(Arc::new(recorder), GroupCommitBounds::default())
        .await
        .unwrap();
    let mut topics = Topics::default();
    topics.register::<OrderEvent>().unwrap();
    let app = App::new(
        writer.clone(),
        AppOptions {
            topics,
            ..AppOptions::default()
        },
    );
    // `{"note":"…"}` is as long as the state of the other sides.
    let note = "x".repeat(STATE.len() - 11);
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (app, note) = (app.clone(), note.clone());
            tokio::spawn(async move {
                let mut id = app.new_id::<Order>();
                let mut exists = false;
                while start.elapsed() < DURATION {
                    let placed = || OrderEvent::Placed { note: note.clone() };
                    if fresh || !exists {
                        id = app.new_id();
                        app.create(id, placed()).await.unwrap();
                        exists = true;
                    } else {
                        app.update(id, |order: &Order| (order.n_placed > 0).then(placed))
                            .await
                            .unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let per_second = writer.recorder().head().await.unwrap() as f64 / start.elapsed().as_secs_f64();
    writer.close().await;
    per_second
}

/// Single events appended by so many tasks, in events per second.
async fn grouped(path: &Path, callers: usize, fresh: bool) -> f64 {
    let recorder = SqliteRecorder::open(path.to_str().unwrap(), OpenLog::named("bench"))
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
                let mut source = Source::new(fresh);
                while start.elapsed() < DURATION {
                    commit
                        .append(Append::new(vec![source.next()]))
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

/// The same rows by one multi-row insert for each transaction, in events per second.
async fn bare(path: &Path, rows: usize, fresh: bool) -> f64 {
    let location = path.to_str().unwrap();
    SqliteRecorder::open(location, OpenLog::named("bench"))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    let options = SqliteConnectOptions::new()
        .filename(location)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16384")
        .pragma("wal_autocheckpoint", "4000");
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let statement: &'static str = format!(
        "INSERT INTO stored_event VALUES {}",
        vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(",")
    )
    .leak();
    let mut sources: Vec<_> = (0..rows).map(|_| Source::new(fresh)).collect();
    let mut id = 0_i64;
    let start = Instant::now();
    while start.elapsed() < DURATION {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let mut insert = sqlx::query(statement);
        for source in &mut sources {
            let event = source.next();
            id += 1;
            insert = insert
                .bind(id)
                .bind(event.originator_id)
                .bind(event.originator_version as i64)
                .bind(event.event_id)
                .bind(event.topic)
                .bind(event.schema_version)
                .bind(event.encoding.as_str().to_owned())
                .bind(event.state.to_vec())
                .bind(event.metadata.to_vec())
                .bind(event.occurred_on.as_microsecond());
        }
        insert.execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    id as f64 / start.elapsed().as_secs_f64()
}

/// How long it takes to read a section of 20, 1000 notifications, an aggregate of 100 events, and the head.
async fn reading(path: &Path) {
    let recorder = SqliteRecorder::open(path.to_str().unwrap(), OpenLog::named("bench"))
        .await
        .unwrap();
    let originators: Vec<_> = (0..1_000).map(|_| Uuid::now_v7()).collect();
    for version in 1..=100 {
        let appends: Vec<_> = originators
            .iter()
            .map(|id| Append::new(vec![event(*id, version)]))
            .collect();
        recorder.record(&appends).await.unwrap();
    }
    const REPEAT: u32 = 2_000;
    let mut random = (1_u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20);
    let mut random = move || random.next().unwrap();
    let start = Instant::now();
    for _ in 0..REPEAT {
        recorder
            .select_notifications(random() % 90_000, 20)
            .await
            .unwrap();
    }
    println!("a section of 20: {:?}", start.elapsed() / REPEAT);
    let start = Instant::now();
    for _ in 0..REPEAT / 20 {
        recorder
            .select_notifications(random() % 90_000, 1_000)
            .await
            .unwrap();
    }
    println!("1000 notifications: {:?}", start.elapsed() / (REPEAT / 20));
    let start = Instant::now();
    for _ in 0..REPEAT {
        let id = originators[random() as usize % originators.len()];
        recorder.select_events(id, StreamRange::ALL).await.unwrap();
    }
    println!("an aggregate of 100 events: {:?}", start.elapsed() / REPEAT);
    let start = Instant::now();
    for _ in 0..REPEAT {
        recorder.head().await.unwrap();
    }
    println!("the head: {:?}", start.elapsed() / REPEAT);
}
