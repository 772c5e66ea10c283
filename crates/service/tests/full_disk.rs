//! A store that does not take writes any more, as those see it who ask whether the service can work.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]
#![cfg(all(unix, feature = "sqlite"))]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use boxes_service::{Config, Running, Store};
use reqwest::Method;
use serde_json::Value;
use support::{config, eventually, get_without, request, start};

/// What fills the disk.
const N_BYTES: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_disk_is_full_is_not_ready_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "2m");
    // Who may not mount a disk gives the file a limit, which stays.
    let store = match &disk {
        Some(disk) => disk.path.join("notes.db"),
        None => folder.path().join("notes.db?max_mib=2"),
    };
    let running = start(in_file(store)).await;
    assert_eq!(ready(&running).await, (200, "ok".to_owned()));
    let mut n_written = 0;
    while write(&running, N_BYTES).await == 201 {
        n_written += 1;
        assert!(n_written < 100, "it never fills");
    }
    assert_eq!(ready(&running).await, (503, "not-writable".to_owned()));
    // Reading goes on.
    let page = get_without(&running, "/notes/notifications").await;
    assert_eq!(page.status(), 200);
    if let Some(disk) = &disk {
        disk.resize("64m");
        // Nobody writes.
        eventually("the box is ready again", || async {
            ready(&running).await.0 == 200
        })
        .await;
        assert_eq!(write(&running, N_BYTES).await, 201);
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_file_was_removed_answers_503_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(in_file(folder.path().join("notes.db"))).await;
    assert_eq!(write(&running, 10).await, 201);
    std::fs::remove_file(folder.path().join("notes.db")).unwrap();
    for _ in 0..3 {
        assert_eq!(write(&running, 10).await, 503);
        let page = get_without(&running, "/notes/notifications/1,20").await;
        assert_eq!(page.status(), 503);
        assert_eq!(ready(&running).await, (503, "broken".to_owned()));
    }
    running.shutdown().await;
}

fn in_file(file: PathBuf) -> Config {
    let mut config = config();
    config
        .stores
        .insert("notes".to_owned(), Store::Sqlite(file));
    config
}

async fn write(running: &Running, n_bytes: usize) -> u16 {
    let text = "x".repeat(n_bytes);
    let request = request(running, Method::POST, "/notes/notes")
        .header("content-type", "application/json")
        .body(format!("\"{text}\""));
    request.send().await.unwrap().status().as_u16()
}

/// The status of `/readyz`, and what it says of the store of `notes`.
async fn ready(running: &Running) -> (u16, String) {
    let answer = get_without(running, "/readyz").await;
    let status = answer.status().as_u16();
    let document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let boxes = document["boxes"].as_array().unwrap();
    let notes = boxes.iter().find(|report| report["box"] == "notes");
    let store = notes.unwrap()["store"].as_str().unwrap();
    (status, store.to_owned())
}

/// A disk in memory, of a size that can be changed.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` if this user may not mount one.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then_some(Self { path })
    }

    fn resize(&self, size: &str) {
        let resized = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(&self.path)
            .status();
        assert!(resized.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a database may still be open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.unwrap().success());
    }
}
