//! Python reads a box: the library `eventsourcing`, feedparser and the SDK of `CloudEvents`, with their own clients as they
//! are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use boxes::prelude::*;
use boxes_testing::{RunningBoxes, python, python_8};
use serde_json::{Value, json};

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order")]
enum OrderEvent {
    Placed { customer: String },
    Shipped,
}

#[derive(Default, Clone)]
struct Order;

impl Aggregate for Order {
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

async fn start() -> RunningBoxes {
    let orders = BoundedContext::new("orders").aggregate::<Order>();
    RunningBoxes::start([orders.redactable()]).await
}

/// Two events for each of these customers: placed, shipped.
async fn order(boxes: &RunningBoxes, customers: std::ops::Range<u32>) {
    let app = boxes.app("orders").unwrap();
    for n in customers {
        let id = Id::named(&format!("order-{n}"));
        let placed = OrderEvent::Placed {
            customer: format!("customer-{n}"),
        };
        app.upsert(id, |_: &Order| vec![placed.clone(), OrderEvent::Shipped])
            .await
            .unwrap();
    }
}

/// What the box's own pages have, as the scripts print it.
async fn in_pages(boxes: &RunningBoxes) -> Vec<Value> {
    let mut found = Vec::new();
    let mut page_id = Some("1,20".to_owned());
    while let Some(id) = page_id {
        let (status, page) = boxes.get(&format!("/orders/notifications/{id}")).await;
        assert_eq!(status, 200);
        found.extend(page["items"].as_array().unwrap().iter().map(|item| {
            json!([
                item["id"],
                item["originator_id"],
                item["originator_version"],
                item["topic"],
                item["state"],
            ])
        }));
        page_id = page["next_id"].as_str().map(str::to_owned);
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The lines that a script of `tests/python` prints. Each of its requests has a time-out of its own.
async fn run(python: PathBuf, script: &str, arguments: &[&str], data: &Path) -> Vec<String> {
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/python").join(script))
        .args(arguments)
        .env("PERSISTENCE_MODULE", "eventsourcing.sqlite")
        .env("SQLITE_DBNAME", data.join("python.sqlite"));
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = ran.await.unwrap().expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn parsed(lines: &[String]) -> Vec<Value> {
    let lines = lines.iter();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_application_of_version_9_follows_a_box_and_goes_on_where_it_was() {
    let boxes = start().await;
    let url = format!("{}/orders", boxes.base_url());
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&*url];
    let follow = || run(python(), "follow_9.py", &arguments, folder.path());
    let greeted = |customers: u32, position: u32| {
        let greetings = (0..customers).map(|n| format!("Hello customer-{n}"));
        greetings
            .chain([format!("read to {position}")])
            .collect::<Vec<_>>()
    };
    assert_eq!(follow().await, ["read to None"]);
    order(&boxes, 0..27).await;
    assert_eq!(follow().await, greeted(27, 53));
    // It would greet them once more if it began again.
    assert_eq!(follow().await, greeted(27, 53));
    order(&boxes, 27..30).await;
    assert_eq!(follow().await, greeted(30, 59));
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_application_of_version_9_goes_over_what_was_deleted() {
    let boxes = start().await;
    let url = format!("{}/orders", boxes.base_url());
    let folder = tempfile::tempdir().unwrap();
    order(&boxes, 0..14).await;
    let app = boxes.app("orders").unwrap();
    // More than a section of the library has, and one alone.
    for n in (1..12).chain([13]) {
        let deleted = app.delete(Id::<Order>::named(&format!("order-{n}"))).await;
        assert_eq!(deleted.unwrap(), 2);
    }
    order(&boxes, 14..15).await;
    let lines = run(python(), "follow_9.py", &[&url], folder.path()).await;
    let greetings = ["Hello customer-0", "Hello customer-12", "Hello customer-14"];
    assert_eq!(lines, [&greetings[..], &["read to 29"]].concat());
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_version_9_follows_sections_to_the_end() {
    let boxes = start().await;
    order(&boxes, 0..13).await;
    let url = format!("{}/orders", boxes.base_url());
    let folder = tempfile::tempdir().unwrap();
    let lines = run(python(), "sections_9.py", &[&url, "1,10"], folder.path()).await;
    let sections = parsed(&lines);
    let ids: Vec<_> = sections.iter().map(|section| section[0].clone()).collect();
    assert_eq!(ids, ["1,10", "11,20", "21,26"]);
    let items = sections.iter().flat_map(|s| s[1].as_array().unwrap());
    let items: Vec<Value> = items.cloned().collect();
    assert_eq!(items, in_pages(&boxes).await);
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_version_8_reads_a_box_from_any_position() {
    let boxes = start().await;
    let url = format!("{}/orders", boxes.base_url());
    let folder = tempfile::tempdir().unwrap();
    // 40 is the end of a section: the next one is there, and empty.
    for (orders, position, last) in [
        (0..0, 0, 0),
        (0..20, 0, 40),
        (20..24, 0, 48),
        (0..0, 33, 48),
    ] {
        order(&boxes, orders).await;
        let arguments = [&*url, &position.to_string()];
        let lines = run(python_8(), "read_8.py", &arguments, folder.path()).await;
        let (first, lines) = lines.split_first().unwrap();
        let (end, lines) = lines.split_last().unwrap();
        assert_eq!(first, "section size 20");
        assert_eq!(*end, format!("position {last}"));
        assert_eq!(parsed(lines), in_pages(&boxes).await[position..]);
    }
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_reader_has_the_whole_log_from_archive_to_archive() {
    let boxes = start().await;
    order(&boxes, 0..23).await;
    let url = format!("{}/orders/notifications", boxes.base_url());
    let folder = tempfile::tempdir().unwrap();
    let lines = run(python(), "feed.py", &[&url], folder.path()).await;
    let mut entries = parsed(&lines);
    assert_eq!(entries.pop(), Some(json!(3)), "documents");
    // Newest first, from the current page to the first one.
    entries.reverse();
    let (_, log) = boxes.get("/orders/notifications/log").await;
    let feed = format!("urn:uuid:{}", log["epoch"].as_str().unwrap());
    let mut items = Vec::new();
    for page in ["1,20", "21,40", "41,60"] {
        let (_, page) = boxes.get(&format!("/orders/notifications/{page}")).await;
        items.extend(page["items"].as_array().unwrap().clone());
    }
    let expected = items.iter().map(|item| {
        let entry = format!("urn:uuid:{}", item["event_id"].as_str().unwrap());
        json!([feed, entry, item["topic"], item["occurred_on"], item])
    });
    assert_eq!(entries, expected.collect::<Vec<_>>());
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_of_cloud_events_understands_a_batch() {
    let boxes = start().await;
    order(&boxes, 0..11).await;
    let folder = tempfile::tempdir().unwrap();
    let (_, page) = boxes.get("/orders/notifications/1,20").await;
    let (_, log) = boxes.get("/orders/notifications/log").await;
    let source = format!("urn:uuid:{}", log["epoch"].as_str().unwrap());
    for (below, ids) in [("1,20", "event_id"), ("feed", "id")] {
        let url = format!("{}/orders/notifications/{below}", boxes.base_url());
        let lines = run(python(), "cloud_events.py", &[&url], folder.path()).await;
        let items = page["items"].as_array().unwrap().iter();
        let expected = items.map(|item| {
            let id = item[ids].as_str().map_or_else(
                || format!("{}@{}", item[ids], log["epoch"].as_str().unwrap()),
                str::to_owned,
            );
            let time = item["occurred_on"].as_str().unwrap().replace('Z', "+00:00");
            let sequence = format!("{:020}", item["id"].as_u64().unwrap());
            json!([
                id,
                source,
                item["topic"],
                item["originator_id"],
                time,
                sequence,
                item["state"]
            ])
        });
        assert_eq!(parsed(&lines), expected.collect::<Vec<_>>(), "{below}");
    }
    boxes.stop().await;
}

#[test]
fn the_readme_shows_the_script_that_follows_a_box() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let shown = format!("```python\n{}```", read("tests/python/follow_9.py"));
    assert!(read("README.md").contains(&shown));
}
