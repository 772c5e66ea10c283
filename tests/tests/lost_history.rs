//! A box that was restored from a backup, behind caches that saw the history that was lost: none of its readers is served that again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use boxes::http::{RemoteNotificationLog, RemoteOptions};
use boxes::notification_log::NotificationLogReader;
use boxes::recorder::Position;
use boxes::service::{BoxCommand, Running};
use boxes_testing::{nginx, python, python_8, varnish};
use boxes_tests::{CachingProxy, Fault, FaultProxy, count, source_box, start};
use clap::Parser;
use serde_json::Value;

/// The program of the box, with its command line.
#[derive(Parser)]
enum Cli {
    #[command(flatten)]
    Box(BoxCommand),
}

async fn new_epoch(data: &Path) {
    let data = data.to_str().unwrap();
    let arguments = ["shop", "new-epoch", "source", "--data", data];
    let Cli::Box(command) = Cli::parse_from(arguments);
    let code = command.run([source_box()]).await;
    // An exit code has no equality of its own.
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
}

/// A script of a Python client, and what it prints.
async fn script(python: PathBuf, script: &str, arguments: &[&str]) -> String {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = Command::new(python);
    command.arg(scripts.join(script)).args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = ran.await.unwrap().expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The events of all notifications from the beginning, as every kind of reader has them through this proxy.
async fn read_by_all(base_url: &str) -> Vec<(&'static str, Vec<u64>)> {
    let log = format!("{base_url}/source");
    let nines = script(python(), "sections_9.py", &[&log, "1,10"]).await;
    let nines = nines.lines().flat_map(|line| {
        let section: Value = serde_json::from_str(line).unwrap();
        section[1].as_array().unwrap().clone()
    });
    let eights = script(python_8(), "read_8.py", &[&log]).await;
    let eights = eights.lines().filter(|line| line.starts_with('['));
    let eights = eights.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let number = |item: Value| item[4]["n"].as_u64().unwrap();
    let mut read = vec![
        ("version 9", nines.map(number).collect()),
        ("version 8", eights.map(number).collect()),
    ];
    let mut own = Vec::new();
    let mut reader = reader(base_url, None);
    loop {
        let batch = reader.next_batch().await.unwrap();
        own.extend(batch.iter().map(|notification| {
            let state: Value = serde_json::from_slice(&notification.event.state).unwrap();
            state["n"].as_u64().unwrap()
        }));
        if !reader.has_more() {
            break;
        }
    }
    read.push(("the kit", own));
    read
}

fn reader(base_url: &str, position: Option<Position>) -> NotificationLogReader {
    let url = format!("{base_url}/source/notifications").parse().unwrap();
    let log = RemoteNotificationLog::new(url, RemoteOptions::default()).unwrap();
    NotificationLogReader::new(Arc::new(log), position)
}

/// The pages that a person asks for by hand, and those that links lead to.
async fn pages(base_url: &str) -> Vec<String> {
    let current = format!("{base_url}/source/notifications");
    let page: Value = get(&current).await;
    let first = page["links"]["first"].as_str().unwrap();
    let mut states = Vec::new();
    for address in [
        format!("{current}/1,20"),
        format!("{current}/7"),
        format!("{base_url}{first}"),
        format!("{base_url}/source/compat/eventsourcing-9?start=1&limit=10"),
    ] {
        states.push(get(&address).await.to_string());
    }
    states
}

async fn get(url: &str) -> Value {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn at(running: &Running, id: u64) -> Position {
    let log = get(&format!("{}/source/notifications/log", running.base_url())).await;
    let epoch = log["epoch"].as_str().unwrap().parse().unwrap();
    Position {
        epoch,
        id,
        event_id: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_cache_nobody_is_served_the_history_that_a_restore_lost() {
    let data = tempfile::tempdir().unwrap();
    let caches = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let file = data.path().join("source.db");
    let backup = data.path().join("backup");
    let source = start(source_box(), data.path(), None).await;
    count(&source, 1..=5).await;
    source.shutdown().await;
    std::fs::copy(&file, &backup).unwrap();

    let source = start(source_box(), data.path(), None).await;
    count(&source, 6..=45).await;
    let road = FaultProxy::start(source.address().to_string()).await;
    let (nginx, varnish) = (
        CachingProxy::nginx(&nginx(), caches[0].path(), &[&road.base_url()]).await,
        CachingProxy::varnish(&varnish(), caches[1].path(), &road.base_url()).await,
    );
    let lost: Vec<u64> = (1..=45).collect();
    for proxy in [&nginx, &varnish] {
        // Twice, so that the second time what may be kept comes from the cache.
        for _ in 0..2 {
            for (client, read) in read_by_all(proxy.base_url()).await {
                assert_eq!(read, lost, "{client} through {}", proxy.base_url());
            }
            pages(proxy.base_url()).await;
        }
    }
    let lost_position = at(&source, 45).await;

    road.set(Fault::Down);
    source.shutdown().await;
    std::fs::copy(&backup, &file).unwrap();
    for ending in ["-wal", "-shm"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(ending);
        drop(std::fs::remove_file(beside));
    }
    new_epoch(data.path()).await;
    let source = start(source_box(), data.path(), None).await;
    count(&source, 101..=145).await;
    road.lead_to(source.address());
    road.set(Fault::None);

    let present: Vec<u64> = (1..=5).chain(101..=145).collect();
    for proxy in [&nginx, &varnish] {
        for (client, read) in read_by_all(proxy.base_url()).await {
            assert_eq!(read, present, "{client} through {}", proxy.base_url());
        }
        for page in pages(proxy.base_url()).await {
            assert!(!page.contains("\"n\":7}"), "{page}");
        }
        let mut follower = reader(proxy.base_url(), Some(lost_position));
        let error = follower.next_batch().await.unwrap_err();
        assert!(error.to_string().contains("epoch"), "{error}");
    }
    drop((nginx, varnish));
    source.shutdown().await;
}
