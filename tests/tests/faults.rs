//! A box that follows another one through a bad line, or follows what is not what it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path;

use boxes::notification_log::NotificationLog;
use boxes::service::Running;
use boxes_tests::{
    Fault, FaultProxy, copied, count, follower, mirror_box, source_box, start, until,
};
use uuid::Uuid;

async fn source(data: &Path) -> Running {
    start(source_box(), data, None).await
}

async fn mirror(data: &Path, proxy: &FaultProxy) -> Running {
    start(mirror_box(), data, Some(proxy)).await
}

async fn state(mirror: &Running) -> String {
    follower(mirror).await["state"].as_str().unwrap().to_owned()
}

async fn wait_for_copies(mirror: &Running, n: usize) {
    until("everything is copied", async || {
        copied(mirror).await.len() >= n
    })
    .await;
}

fn upto(n: u32) -> Vec<u32> {
    (1..=n).collect()
}

/// Whatever the line does to answers, the follower waits it out, and goes on where it was.
async fn is_waited_out(fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    count(&source, 1..=25).await;
    let proxy = FaultProxy::start(source.address().to_string()).await;
    let mirror = mirror(folder.path(), &proxy).await;
    wait_for_copies(&mirror, 25).await;
    proxy.set(fault);
    until("the follower is held up", async || {
        state(&mirror).await == "retrying"
    })
    .await;
    count(&source, 26..=70).await;
    assert_eq!(copied(&mirror).await, upto(25));
    proxy.set(Fault::None);
    wait_for_copies(&mirror, 70).await;
    assert_eq!(copied(&mirror).await, upto(70));
    until("the follower follows again", async || {
        state(&mirror).await == "following"
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_waited_for() {
    is_waited_out(Fault::Down).await;
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_waited_for() {
    is_waited_out(Fault::Silent).await;
}

#[tokio::test]
async fn an_upstream_that_answers_500_is_waited_for() {
    is_waited_out(Fault::ServerError).await;
}

#[tokio::test]
async fn an_upstream_that_answers_garbage_is_waited_for() {
    is_waited_out(Fault::Garbage).await;
}

#[tokio::test]
async fn an_upstream_whose_answers_are_cut_short_is_waited_for() {
    is_waited_out(Fault::Truncated).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    count(&source, 1..=3).await;
    let proxy = FaultProxy::start(source.address().to_string()).await;
    proxy.set(Fault::Down);
    let mirror = mirror(folder.path(), &proxy).await;
    until("the follower is held up", async || {
        state(&mirror).await == "retrying"
    })
    .await;
    proxy.set(Fault::None);
    wait_for_copies(&mirror, 3).await;
}

#[tokio::test]
async fn pages_of_another_epoch_stop_the_follower_until_the_right_ones_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    count(&source, 1..=7).await;
    let epoch = source
        .app("source")
        .unwrap()
        .notification_log()
        .describe()
        .await
        .unwrap()
        .log
        .epoch;
    let proxy = FaultProxy::start(source.address().to_string()).await;
    let first = mirror(folder.path(), &proxy).await;
    wait_for_copies(&first, 7).await;
    proxy.set(Fault::Replaced(
        epoch.to_string(),
        Uuid::from_u128(1).to_string(),
    ));
    count(&source, 8..=9).await;
    until("the follower stops", async || {
        state(&first).await == "stopped"
    })
    .await;
    let metrics = reqwest::get(format!("{}/metrics", first.base_url()))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let stopped = metrics
        .lines()
        .find(|line| line.starts_with("boxes_follower_stopped{"))
        .unwrap_or_default();
    assert!(stopped.ends_with(" 1"), "{metrics}");
    assert_eq!(copied(&first).await, upto(7));
    proxy.set(Fault::None);
    wait_for_copies(&first, 9).await;
    assert_eq!(copied(&first).await, upto(9));
}

#[tokio::test]
async fn a_log_that_was_restored_from_an_older_copy_stops_the_follower() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("source"), folder.path().join("backup"));
    let first = source(&data).await;
    count(&first, 1..=2).await;
    first.shutdown().await;
    std::fs::create_dir(&backup).unwrap();
    std::fs::copy(data.join("source.db"), backup.join("source.db")).unwrap();

    let second = source(&data).await;
    count(&second, 3..=3).await;
    let proxy = FaultProxy::start(second.address().to_string()).await;
    let mirror = mirror(folder.path(), &proxy).await;
    wait_for_copies(&mirror, 3).await;

    // The restored log has forgotten what the follower has read, and another third event may come.
    let restored = source(&backup).await;
    proxy.lead_to(restored.address());
    second.shutdown().await;
    until("the follower stops", async || {
        state(&mirror).await == "stopped"
    })
    .await;
    count(&restored, 33..=35).await;
    assert_eq!(copied(&mirror).await, upto(3));
}

#[tokio::test]
async fn two_instances_of_one_box_on_one_database_copy_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    let proxy = FaultProxy::start(source.address().to_string()).await;
    let (one, other) = (
        mirror(folder.path(), &proxy).await,
        mirror(folder.path(), &proxy).await,
    );
    count(&source, 1..=120).await;
    wait_for_copies(&one, 120).await;
    assert_eq!(
        (copied(&one).await, copied(&other).await),
        (upto(120), upto(120))
    );
}
