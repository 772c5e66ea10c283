//! Values that no event names are found and removed by the program, and those that are named stay.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::path::Path as FilePath;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use boxes::domain::Large;
use boxes::mapper::Topics;
use boxes::prelude::*;
use boxes_application::{AppOptions, Edge, SystemEdge, find_garbage};
use boxes_recorder::{GroupCommit, GroupCommitBounds, Recorder};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.receipt")]
enum ReceiptEvent {
    Scanned { scan: Large },
}

#[derive(Default, Clone)]
struct Receipt;

impl Aggregate for Receipt {
    type Event = ReceiptEvent;
    fn apply(&mut self, _: &ReceiptEvent) {}
}

/// A clock that stands still, so many hours ago.
#[derive(Debug)]
struct HoursAgo(Timestamp);

impl HoursAgo {
    fn new(hours: i64) -> Self {
        Self(SystemEdge.now() - SignedDuration::from_hours(hours))
    }
}

impl Edge for HoursAgo {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn new_id(&self) -> Uuid {
        SystemEdge.new_id()
    }
}

/// The box `orders` as it was so many hours ago, and its store.
struct Orders {
    app: App,
    recorder: Arc<dyn Recorder>,
    now: Timestamp,
}

impl Orders {
    async fn hours_ago(data: &FilePath, hours: i64) -> Self {
        let file = data.join("orders.db");
        let opened = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"));
        let recorder: Arc<dyn Recorder> = Arc::new(opened.await.unwrap());
        let writer = GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default());
        let mut topics = Topics::default();
        topics.register::<ReceiptEvent>().unwrap();
        let edge = HoursAgo::new(hours);
        let now = edge.now();
        let options = AppOptions {
            topics,
            large_over: 10,
            edge: Arc::new(edge),
            ..AppOptions::default()
        };
        Self {
            app: App::new(writer.await.unwrap(), options),
            recorder,
            now,
        }
    }

    async fn keep(&self, content: &'static str) -> Large {
        self.app.keep(content).await.unwrap()
    }

    /// An event names it.
    async fn name(&self, receipt: &str, scan: &Large) {
        let scanned = ReceiptEvent::Scanned { scan: scan.clone() };
        let id = Id::<Receipt>::named(receipt);
        self.app.create(id, scanned).await.unwrap();
    }

    /// As a daily run did then.
    async fn put_old_garbage_aside(&self) -> u64 {
        let values = self.app.stored_values().unwrap();
        let day = Some(Duration::from_secs(24 * 3600));
        let found = find_garbage(&self.recorder, &values, self.now, day, |_| {}).await;
        found.unwrap().n_put_aside
    }

    /// The content of those that are still found.
    async fn found(&self, values: &[&Large]) -> Vec<String> {
        let mut found = Vec::new();
        for value in values {
            match self.app.value(value).await {
                Ok(content) => found.push(String::from_utf8(content.to_vec()).unwrap()),
                Err(error) => assert!(matches!(error, Error::NoValue { .. }), "{error}"),
            }
        }
        found
    }
}

/// What `shop garbage` answers: its code, what it prints, and what it says went wrong.
fn garbage(data: &FilePath, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
        command.env_remove(name);
    }
    let command = command.arg("garbage").args(arguments);
    let output = command.arg("--data").arg(data).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The lines of an answer that went well, with one space between the words.
fn lines(answer: (Option<i32>, String, String)) -> Vec<String> {
    let (code, printed, said) = answer;
    assert_eq!(code, Some(0), "{said}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    printed.lines().map(words).collect()
}

#[tokio::test]
async fn the_program_finds_garbage_removes_what_is_old_and_leaves_what_is_named() {
    let data = TempDir::new().unwrap();
    let data = data.path();
    let before = Orders::hours_ago(data, 60).await;
    let named = before.keep("a receipt that counts").await;
    before.name("one", &named).await;
    let lost = before.keep("its command failed").await;
    let late = before.keep("its command took its time").await;
    let yesterday = Orders::hours_ago(data, 30).await;
    assert_eq!(yesterday.put_old_garbage_aside().await, 2);
    yesterday.name("two", &late).await;
    let old = yesterday.keep("a scan that was bad").await;
    let now = Orders::hours_ago(data, 0).await;
    let new = now.keep("a scan of this very hour").await;
    let all = [&named, &late, &lost, &old, &new];
    let contents = now.found(&all).await;
    assert_eq!(contents.len(), 5);

    // Who only asks is told, and nothing happens, however often.
    for _ in 0..2 {
        let found = lines(garbage(data, &["orders"]));
        assert_eq!(found[0], "named 2 values");
        assert!(found[1].starts_with("garbage 3 values, "), "{found:?}");
        assert_eq!(found.len(), 2);
        assert_eq!(now.found(&all).await, contents);
    }
    // What was put aside a day ago is gone, or back; what is old enough is put aside, where it is found still.
    let removed = lines(garbage(data, &["orders", "--remove"]));
    let told = ["put aside 1", "deleted 1", "put back 1"];
    assert_eq!(removed[2..], told, "{removed:?}");
    assert_eq!(removed[0], "named 2 values");
    assert_eq!(now.found(&[&lost]).await, [""; 0]);
    let left = now.found(&[&named, &late, &old, &new]).await;
    assert_eq!(left.len(), 4);
    // Once more at once: it has not been aside for long enough.
    let again = lines(garbage(data, &["orders", "--remove"]));
    let told = ["put aside 0", "deleted 0", "put back 0"];
    assert_eq!(again[2..], told, "{again:?}");
    assert_eq!(now.found(&[&named, &late, &old, &new]).await, left);
}

#[tokio::test]
async fn how_old_garbage_has_to_be_is_said_in_hours() {
    let data = TempDir::new().unwrap();
    let data = data.path();
    let earlier = Orders::hours_ago(data, 3).await;
    let lost = earlier.keep("its command failed").await;
    let put_aside = |hours| {
        lines(garbage(
            data,
            &["orders", "--remove", "--older-than-hours", hours],
        ))
    };
    assert_eq!(put_aside("4")[2], "put aside 0");
    assert_eq!(put_aside("2")[2], "put aside 1");
    assert_eq!(earlier.found(&[&lost]).await, ["its command failed"]);
    // Not at all would take what a command is about to name.
    let (code, _, said) = garbage(data, &["orders", "--remove", "--older-than-hours", "0"]);
    assert!(
        code == Some(2) && said.contains("--older-than-hours"),
        "{said}"
    );
}

#[test]
fn a_box_without_a_store_has_no_garbage_and_gets_no_store() {
    let data = TempDir::new().unwrap();
    let (code, _, said) = garbage(data.path(), &["orders", "--remove"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("the box `orders` has no events at sqlite:"),
        "{said}"
    );
    let (code, _, said) = garbage(data.path(), &["cellar"]);
    assert!(
        code == Some(2) && said.contains("there is no box `cellar`"),
        "{said}"
    );
    assert_eq!(
        data.path().read_dir().unwrap().count(),
        0,
        "a store was made"
    );
}
