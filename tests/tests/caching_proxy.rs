//! A caching proxy before the replicas of a box: it keeps archived pages, and hides nothing from a reader.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::sync::Arc;

use boxes::http::{RemoteNotificationLog, RemoteOptions};
use boxes::notification_log::NotificationLogReader;
use boxes::prelude::*;
use boxes_testing::nginx;
use boxes_tests::{CachingProxy, DEADLINE, serve_archive, write_entries};

/// As nginx is if it is told nothing: it speaks HTTP/1.0 to those behind it, and buffers what they say. (What comes in chunks
/// of HTTP/1.1 it passes on chunk by chunk, whether or not it buffers.)
const BY_DEFAULT: &str = "proxy_http_version 1.0; proxy_buffering on;";

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

/// The epoch of the log, which is part of the addresses that a cache may keep.
async fn epoch(base_url: &str) -> String {
    let log = client().get(format!("{base_url}/archive/notifications/log"));
    let log = log.send().await.unwrap().bytes().await.unwrap();
    let log: serde_json::Value = serde_json::from_slice(&log).unwrap();
    log["epoch"].as_str().unwrap().to_owned()
}

/// What a cache must not change of a page, and whether this one came from the cache.
async fn page(base_url: &str, section: &str) -> ((String, Vec<u8>), Option<String>) {
    let url = format!("{base_url}/archive/notifications/{section}");
    let request = client().get(url).header("accept-encoding", "identity");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (etag, cache) = (header("etag").unwrap(), header("x-cache"));
    ((etag, answer.bytes().await.unwrap().to_vec()), cache)
}

#[tokio::test]
async fn a_reader_behind_a_caching_proxy_gets_every_notification_once_while_the_log_grows() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (
        serve_archive(data.path()).await,
        serve_archive(data.path()).await,
    );
    let proxy = CachingProxy::nginx(
        &nginx(),
        cache.path(),
        &[first.base_url(), second.base_url()],
    )
    .await;

    let url = format!("{}/archive/notifications", proxy.base_url());
    let log = RemoteNotificationLog::new(url.parse().unwrap(), RemoteOptions::default()).unwrap();
    let mut reader = NotificationLogReader::new(Arc::new(log), None);
    let mut n_written = 0;
    // To a page's last notification and past it, again and again: before, at and after each multiple of 20.
    for n_entries in [19, 1, 1, 18, 1, 1, 19, 20, 40, 1, 59, 1] {
        write_entries(&first, n_entries).await;
        let seen_from = n_written;
        n_written += u64::from(n_entries);
        let mut seen = Vec::new();
        tokio::time::timeout(DEADLINE, async {
            while seen_from + u64::try_from(seen.len()).unwrap() < n_written {
                let batch = reader.next_batch().await.unwrap();
                seen.extend(batch.iter().map(|notification| notification.id));
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{n_written} are written, and after {seen_from} came {seen:?}"));
        assert_eq!(seen, (seen_from + 1..=n_written).collect::<Vec<_>>());
    }
    drop(proxy);
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn archived_pages_come_from_the_cache_as_every_replica_gives_them_also_after_a_restart() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (
        serve_archive(data.path()).await,
        serve_archive(data.path()).await,
    );
    write_entries(&first, 61).await;
    let proxy = CachingProxy::nginx(
        &nginx(),
        cache.path(),
        &[first.base_url(), second.base_url()],
    )
    .await;

    let epoch = epoch(first.base_url()).await;
    let sections = ["1,20", "21,40", "41,60"].map(|section| format!("{epoch}/{section}"));
    let mut pages = Vec::new();
    for section in &sections {
        let (given, cache) = page(proxy.base_url(), section).await;
        assert_eq!(cache.as_deref(), Some("MISS"), "{section}");
        for replica in [&first, &second] {
            let direct = page(replica.base_url(), section).await.0;
            assert_eq!(direct, given, "{section}");
        }
        pages.push(given);
    }
    // The page that grows is asked for again each time.
    for _ in 0..2 {
        let (_, cache) = page(proxy.base_url(), "61,80").await;
        assert_ne!(cache.as_deref(), Some("HIT"));
    }

    first.shutdown().await;
    second.shutdown().await;
    let restarted = serve_archive(data.path()).await;
    for (section, given) in sections.iter().zip(&pages) {
        // The proxy does not know the new port: what it still gives, it has kept.
        let (kept, cache) = page(proxy.base_url(), section).await;
        assert_eq!(cache.as_deref(), Some("HIT"), "{section}");
        assert_eq!(&kept, given, "{section}");
        let direct = page(restarted.base_url(), section).await.0;
        assert_eq!(&direct, given, "{section}");
    }
    drop(proxy);
    restarted.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_through_a_caching_proxy_waits_and_is_woken() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = serve_archive(data.path()).await;
    write_entries(&service, 20).await;
    let proxy = CachingProxy::nginx(&nginx(), cache.path(), &[service.base_url()]).await;

    let url = format!("{}/archive/notifications", proxy.base_url());
    let poll = |etag: String, wait: &'static str| {
        client()
            .get(&url)
            .header("accept-encoding", "identity")
            .header("if-none-match", etag)
            .header("prefer", wait)
            .send()
    };
    let current = poll("\"of nothing\"".to_owned(), "wait=0").await.unwrap();
    let etag = current.headers().get("etag").unwrap().to_str().unwrap();
    let in_vain = poll(etag.to_owned(), "wait=1").await.unwrap();
    assert_eq!(in_vain.status(), StatusCode::NOT_MODIFIED);
    assert!(in_vain.headers().contains_key("preference-applied"));

    let (news, ()) = tokio::join!(poll(etag.to_owned(), "wait=30"), write_entries(&service, 1));
    let news = news.unwrap();
    assert_eq!(news.status(), StatusCode::OK);
    assert_ne!(news.headers().get("etag"), current.headers().get("etag"));
    drop(proxy);
    service.shutdown().await;
}

/// Reads the stream until the event with this id has come.
async fn up_to(stream: &mut reqwest::Response, id: u32) -> String {
    let mut text = String::new();
    while !text.contains(&format!("id: {id}@")) {
        let piece = stream.chunk().await.unwrap();
        let piece = piece.unwrap_or_else(|| panic!("the stream ended before {id}: {text}"));
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

/// A stream does not end, so a proxy that waits until its buffer is full would hold back what a person waits for. Red
/// without `X-Accel-Buffering: no`, for which nginx passes on what comes.
#[tokio::test]
async fn a_proxy_that_buffers_by_default_passes_on_each_event_as_it_comes() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = serve_archive(data.path()).await;
    let proxy =
        CachingProxy::nginx_with(&nginx(), folder.path(), &[service.base_url()], BY_DEFAULT).await;
    let url = format!("{}/archive/notifications/stream?after=0", proxy.base_url());
    let mut stream = client().get(url).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    for id in 1..=3 {
        write_entries(&service, 1).await;
        up_to(&mut stream, id).await;
    }
    drop(stream);
    drop(proxy);
    service.shutdown().await;
}

#[tokio::test]
async fn a_stream_of_events_comes_through_a_caching_proxy_event_by_event_and_is_resumed() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = serve_archive(data.path()).await;
    write_entries(&service, 3).await;
    let proxy = CachingProxy::nginx(&nginx(), cache.path(), &[service.base_url()]).await;

    let url = format!("{}/archive/notifications/stream", proxy.base_url());
    let open = |last_event_id: &'static str| {
        let request = client().get(&url).header("last-event-id", last_event_id);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
            answer
        }
    };
    // Each event comes while the stream is open.
    let mut stream = open("1").await;
    let text = up_to(&mut stream, 3).await;
    assert!(
        text.contains("id: 2@") && !text.contains("id: 1@"),
        "{text}"
    );
    for id in 4..=6 {
        write_entries(&service, 1).await;
        up_to(&mut stream, id).await;
    }
    drop(stream);
    write_entries(&service, 1).await;
    let text = up_to(&mut open("6").await, 7).await;
    assert!(!text.contains("id: 6@"), "{text}");
    drop(proxy);
    service.shutdown().await;
}
