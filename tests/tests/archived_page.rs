//! An archived page is the same for ever.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use boxes::prelude::*;
use boxes::service::Running;
use boxes_tests::{Entries, Entry, serve_archive, write_entries};
use futures::{StreamExt, stream};

/// Each is an append of its own; those that are under way together share transactions.
async fn append_10_000(service: &Running) {
    let app = service.app("archive").unwrap();
    let appends = stream::iter(0..10_000).map(|n| {
        let app = &app;
        async move {
            app.create(app.new_id::<Entries>(), Entry::Written { n })
                .await
                .unwrap();
        }
    });
    appends.buffer_unordered(256).collect::<()>().await;
}

/// Body and headers of a page, without the date, which is that of the answer.
async fn page(service: &Running, path: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let answer = reqwest::get(format!(
        "{}/archive/notifications/{path}",
        service.base_url()
    ))
    .await
    .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = answer
        .headers()
        .iter()
        .map(header)
        .filter(|(name, _)| name != "date" && name != "x-request-id")
        .collect();
    (headers, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn an_archived_page_is_the_same_after_10_000_more_appends_a_restart_and_on_another_replica() {
    let folder = tempfile::tempdir().unwrap();
    let first = serve_archive(folder.path()).await;
    write_entries(&first, 21).await;
    let (_, log) = page(&first, "log").await;
    let log: serde_json::Value = serde_json::from_slice(&log).unwrap();
    let section = |id: &str| format!("{}/{id}", log["epoch"].as_str().unwrap());
    let for_ever = section("1,20");
    let before = page(&first, &for_ever).await;
    assert!(
        before
            .0
            .iter()
            .any(|(name, value)| name == "cache-control" && value.contains("immutable")),
        "{:?}",
        before.0
    );
    append_10_000(&first).await;
    assert_eq!(page(&first, &for_ever).await, before);

    let replica = serve_archive(folder.path()).await;
    assert_eq!(page(&replica, &for_ever).await, before);
    replica.shutdown().await;
    first.shutdown().await;

    let restarted = serve_archive(folder.path()).await;
    assert_eq!(page(&restarted, &for_ever).await, before);
    assert_eq!(
        page(&restarted, &section("10001,10020")).await.0.len(),
        before.0.len()
    );
}
