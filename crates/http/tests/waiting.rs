//! Requests that wait for something new.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use boxes_http::NotificationLogOptions;
use boxes_notification_log::{
    LocalNotificationLog, LogDescription, LogError, NotificationLog, Section, SectionLink,
};
use boxes_recorder::{Append, GroupCommit, GroupCommitBounds};
use boxes_testing::log_fixture::{EPOCH, SmallLog, small_event};
use support::{DEADLINE, PATH, Raw, send, serve};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// A log that tells how many wait for it, and how often its sections are read.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn NotificationLog>,
    waiting: watch::Sender<usize>,
    sections_read: AtomicUsize,
}

impl Watched {
    fn new(log: &SmallLog) -> Arc<Self> {
        Arc::new(Self {
            inner: log.near(),
            waiting: watch::Sender::new(0),
            sections_read: AtomicUsize::new(0),
        })
    }

    async fn until_waiting(&self, n: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached = waiting.wait_for(|waiting| *waiting == n);
        tokio::time::timeout(DEADLINE, reached)
            .await
            .expect("they wait in time")
            .unwrap();
    }
}

/// One less waits when it is dropped, however the wait ends.
struct One<'a>(&'a watch::Sender<usize>);

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[async_trait]
impl NotificationLog for Watched {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.inner.describe().await
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.sections_read.fetch_add(1, Ordering::Relaxed);
        self.inner.current().await
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.sections_read.fetch_add(1, Ordering::Relaxed);
        self.inner.section(link).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _one = One(&self.waiting);
        self.inner.wait(after, timeout).await
    }

    async fn wait_for_change(
        &self,
        known: &LogDescription,
        timeout: Duration,
    ) -> Result<bool, LogError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _one = One(&self.waiting);
        self.inner.wait_for_change(known, timeout).await
    }
}

async fn start(log: &SmallLog, options: NotificationLogOptions) -> (Arc<Watched>, Url) {
    let watched = Watched::new(log);
    let url = serve(watched.clone(), options).await;
    (watched, url)
}

fn options() -> NotificationLogOptions {
    NotificationLogOptions::new(PATH)
}

fn ask(url: &Url, below: &'static str, tag: &str, wait: &'static str) -> JoinHandle<Raw> {
    let (url, tag) = (url.clone(), tag.to_owned());
    tokio::spawn(async move {
        send(
            &url,
            "GET",
            below,
            &[("if-none-match", &tag), ("prefer", wait)],
        )
        .await
    })
}

async fn tag(url: &Url) -> String {
    send(url, "GET", "", &[])
        .await
        .header("etag")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_request_that_waits_is_answered_at_the_commit() {
    for below in ["", "/1,5"] {
        let log = SmallLog::with(5, 3).await;
        let (watched, url) = start(&log, options()).await;
        let waiting = ask(&url, below, &tag(&url).await, "wait=30");
        watched.until_waiting(1).await;
        assert!(!waiting.is_finished());
        log.append(1).await;
        let answer = waiting.await.unwrap();
        assert_eq!(
            (answer.status, answer.json()["last"].as_u64()),
            (200, Some(4))
        );
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_ne!(answer.header("etag"), None);
    }
}

#[tokio::test]
async fn a_request_that_waits_is_answered_when_something_of_its_page_is_redacted() {
    for below in ["", "/11,15"] {
        let log = SmallLog::with(5, 13).await;
        let (watched, url) = start(&log, options()).await;
        for n in [12, 13] {
            let kept = tag(&url).await;
            let waiting = ask(&url, below, &kept, "wait=30");
            watched.until_waiting(1).await;
            log.delete(n).await;
            let answer = waiting.await.unwrap();
            assert_eq!((answer.status, &answer.json()["last"]), (200, &13.into()));
            let at = usize::try_from(n).unwrap() - 11;
            assert_eq!(answer.json()["items"][at]["redacted"], true);
            assert_eq!(answer.header("etag"), Some(&*tag(&url).await));
            assert_ne!(answer.header("etag"), Some(&*kept));
        }
    }
}

#[tokio::test]
async fn a_request_goes_on_waiting_when_something_of_another_page_is_redacted() {
    let log = SmallLog::with(5, 13).await;
    let (watched, url) = start(&log, options()).await;
    let kept = tag(&url).await;
    let waiting = ask(&url, "", &kept, "wait=30");
    watched.until_waiting(1).await;
    let before = watched.sections_read.load(Ordering::Relaxed);
    let mut n_waiting = watched.waiting.subscribe();
    n_waiting.mark_unchanged();
    log.delete(3).await;
    // It looked, and waits again.
    let again = n_waiting.wait_for(|_| watched.sections_read.load(Ordering::Relaxed) > before);
    drop(
        tokio::time::timeout(DEADLINE, again)
            .await
            .expect("a look in time"),
    );
    watched.until_waiting(1).await;
    assert!(!waiting.is_finished());
    assert_eq!(tag(&url).await, kept);
    log.append(1).await;
    assert_eq!(waiting.await.unwrap().json()["last"], 14);
}

#[tokio::test]
async fn a_full_page_that_is_waited_for_comes_back_archived() {
    let log = SmallLog::with(5, 5).await;
    let (watched, url) = start(&log, options()).await;
    let kept = tag(&url).await;
    let (by_id, current) = (
        ask(&url, "/1,5", &kept, "wait=30"),
        ask(&url, "", &kept, "wait=30"),
    );
    watched.until_waiting(2).await;
    log.append(1).await;
    let by_id = by_id.await.unwrap();
    // To the byte as everybody gets it: nothing in it comes from having waited.
    assert_eq!(by_id, send(&url, "GET", "/1,5", &[]).await);
    assert_eq!(by_id.json()["archived"], true);
    assert_eq!(current.await.unwrap().json()["id"], "6,10");
}

#[tokio::test]
async fn when_nothing_comes_the_request_is_told_so_at_the_end_of_its_time() {
    let log = SmallLog::with(5, 3).await;
    let (watched, url) = start(&log, options()).await;
    let kept = tag(&url).await;
    for (wait, applied) in [("wait=0", "wait=0"), ("respond-async, wait=1", "wait=1")] {
        let answer = ask(&url, "", &kept, wait).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (304, 0));
        assert_eq!(answer.header("preference-applied"), Some(applied));
        assert_eq!(answer.header("etag"), Some(kept.as_str()));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
    }
    // However long a request would wait, there is a bound, and it is told.
    let bounded = ask(&url, "", &kept, "wait=3600");
    watched.until_waiting(1).await;
    log.append(1).await;
    assert_eq!(bounded.await.unwrap().status, 200);
}

#[tokio::test]
async fn only_what_is_known_is_waited_for() {
    let log = SmallLog::with(5, 13).await;
    let (watched, url) = start(&log, options()).await;
    let kept = tag(&url).await;
    let wait = ("prefer", "wait=30");
    for (below, headers, status) in [
        ("", vec![wait], 200),
        ("", vec![wait, ("if-none-match", "\"old\"")], 200),
        ("", vec![wait, ("if-none-match", "*")], 304),
        ("", vec![("if-none-match", kept.as_str())], 304),
        (
            "",
            vec![("prefer", "wait=x"), ("if-none-match", &kept)],
            304,
        ),
        ("/1,5", vec![wait, ("if-none-match", "*")], 304),
        ("/16,20", vec![wait, ("if-none-match", "*")], 200),
        ("/14", vec![wait, ("if-none-match", "*")], 404),
    ] {
        let answer = send(&url, "GET", below, &headers).await;
        assert_eq!(answer.status, status, "{below} {headers:?}");
        assert_eq!(answer.header("preference-applied"), None);
    }
    assert!(!watched.waiting.subscribe().has_changed().unwrap());
}

#[tokio::test]
async fn more_than_may_wait_are_sent_away_and_room_is_given_back() {
    let log = SmallLog::with(5, 3).await;
    let bounds = NotificationLogOptions {
        max_waiters: 2,
        ..options()
    };
    let (watched, url) = start(&log, bounds).await;
    let kept = tag(&url).await;
    let waiting = [
        ask(&url, "", &kept, "wait=30"),
        ask(&url, "", &kept, "wait=30"),
    ];
    watched.until_waiting(2).await;
    let sent_away = ask(&url, "", &kept, "wait=30").await.unwrap();
    assert_eq!(sent_away.status, 503);
    assert_eq!(sent_away.json()["type"], "/problems/too-many-waiters");
    assert_eq!(sent_away.header("retry-after"), Some("5"));
    // Without waiting there is no bound to it.
    let plain = send(&url, "GET", "", &[("if-none-match", &kept)]).await;
    assert_eq!(plain.status, 304);
    log.append(1).await;
    for waited in waiting {
        assert_eq!(waited.await.unwrap().status, 200);
    }
    let kept = tag(&url).await;
    let again = ask(&url, "", &kept, "wait=30");
    watched.until_waiting(1).await;
    // Who goes away gives back its room as well.
    again.abort();
    watched.until_waiting(0).await;
    let both = [
        ask(&url, "", &kept, "wait=30"),
        ask(&url, "", &kept, "wait=30"),
    ];
    watched.until_waiting(2).await;
    log.append(1).await;
    for waited in both {
        assert_eq!(waited.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_process_that_stops_keeps_nobody_waiting() {
    let log = SmallLog::with(5, 3).await;
    let options = options();
    let shutdown = options.shutdown.clone();
    let (watched, url) = start(&log, options).await;
    let kept = tag(&url).await;
    let waiting = ask(&url, "", &kept, "wait=30");
    watched.until_waiting(1).await;
    shutdown.cancel();
    assert_eq!(waiting.await.unwrap().status, 304);
    assert_eq!(ask(&url, "", &kept, "wait=30").await.unwrap().status, 304);
}

#[tokio::test]
async fn however_many_wait_the_store_is_read_once_for_all_of_them() {
    const CROWD: usize = 200;
    let log = SmallLog::with(5, 3).await;
    let (watched, url) = start(&log, options()).await;
    let kept = tag(&url).await;
    let before = watched.sections_read.load(Ordering::Relaxed);
    let waiting: Vec<_> = (0..CROWD)
        .map(|_| ask(&url, "", &kept, "wait=30"))
        .collect();
    watched.until_waiting(CROWD).await;
    assert_eq!(watched.sections_read.load(Ordering::Relaxed), before);
    log.append(1).await;
    for waited in waiting {
        assert_eq!(waited.await.unwrap().json()["last"], 4);
    }
    assert_eq!(watched.sections_read.load(Ordering::Relaxed), before + 1);
}

fn ask_after(url: &Url, query: &'static str) -> JoinHandle<Raw> {
    let url = url.clone();
    tokio::spawn(async move { send(&url, "GET", query, &[]).await })
}

fn ids(page: &Raw) -> Vec<u64> {
    let page = page.json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_comes_after_a_place_is_waited_for_without_conditional_headers() {
    let log = SmallLog::with(5, 5).await;
    let (watched, url) = start(&log, options()).await;
    // Waits longer than the test may take, unless it is woken.
    let waiting = ask_after(&url, "?after=5&wait=30");
    watched.until_waiting(1).await;
    log.append(2).await;
    let page = waiting.await.unwrap();
    assert_eq!((page.status, ids(&page)), (200, vec![6, 7]));
    // Nothing on the way can answer the next one from memory.
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("etag"), None);
    assert_eq!(page.json()["id"], "6,10");
    let own = format!("{PATH}/{EPOCH}/6,10");
    assert_eq!(page.json()["links"]["self"], *own);
    for (query, expected) in [
        ("?after=0", vec![1, 2, 3, 4, 5]),
        ("?after=3&wait=30", vec![1, 2, 3, 4, 5]),
        ("?after=5", vec![6, 7]),
        ("?after=7", vec![6, 7]),
        ("?after=7&wait=0", vec![6, 7]),
        ("?after=7&wait=1", vec![6, 7]),
    ] {
        let page = ask_after(&url, query).await.unwrap();
        assert_eq!((page.status, ids(&page)), (200, expected), "{query}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{query}");
        assert_eq!(page.header("etag"), None, "{query}");
    }
    // A tag changes nothing: there is none to compare.
    let known = [("if-none-match", "*"), ("prefer", "wait=30")];
    let page = send(&url, "GET", "?after=7", &known).await;
    assert_eq!(page.status, 200);
    log.append(3).await;
    let page = ask_after(&url, "?after=10&wait=1").await.unwrap();
    assert_eq!(
        (page.json()["id"].as_str(), ids(&page)),
        (Some("11,15"), vec![])
    );
}

#[tokio::test]
async fn a_place_after_which_nothing_can_come_is_refused() {
    let log = SmallLog::with(5, 5).await;
    let (_, url) = start(&log, options()).await;
    let other = "00000000-0000-4000-8000-000000000009";
    for (query, status, slug) in [
        ("?after=6&wait=30".to_owned(), 409, "ahead-of-log"),
        (format!("?after=5@{other}&wait=30"), 409, "epoch-changed"),
        ("?after=x".to_owned(), 400, "malformed-resume-point"),
        ("?after=5&wait=x".to_owned(), 400, "malformed-request"),
        ("?wait=30".to_owned(), 400, "malformed-request"),
    ] {
        let refused = send(&url, "GET", &query, &[]).await;
        assert_eq!(refused.status, status, "{query}");
        assert_eq!(refused.json()["type"], format!("/problems/{slug}"));
    }
    let page = send(&url, "GET", &format!("?after=4@{EPOCH}"), &[]).await;
    assert_eq!(page.status, 200);
    let none = NotificationLogOptions {
        max_waiters: 0,
        ..options()
    };
    let (_, url) = start(&log, none).await;
    let full = ask_after(&url, "?after=5&wait=30").await.unwrap();
    assert_eq!(full.status, 503);
    assert_eq!(full.json()["type"], "/problems/too-many-waiters");
}

#[tokio::test]
async fn many_that_wait_after_a_place_read_what_comes_once() {
    let log = SmallLog::with(5, 5).await;
    let (watched, url) = start(&log, options()).await;
    let waiting: Vec<_> = (0..50)
        .map(|_| ask_after(&url, "?after=5&wait=30"))
        .collect();
    watched.until_waiting(50).await;
    let before = watched.sections_read.load(Ordering::Relaxed);
    log.append(1).await;
    for one in waiting {
        assert_eq!(ids(&one.await.unwrap()), [6]);
    }
    let read = watched.sections_read.load(Ordering::Relaxed);
    assert_eq!(read, before + 1);
}

/// A process that never looks at the head by itself: what does not wake those who wait leaves them waiting, and is not found by
/// chance at the next look.
#[tokio::test]
async fn a_commit_wakes_those_who_wait_and_not_the_next_look_at_the_store() {
    let log = SmallLog::with(5, 5).await;
    let bounds = GroupCommitBounds {
        head_poll_interval: DEADLINE * 1_000,
        ..GroupCommitBounds::default()
    };
    let recorder = Arc::clone(log.writer().recorder());
    let writer = GroupCommit::start(recorder, bounds).await.unwrap();
    let watched = Arc::new(Watched {
        inner: Arc::new(LocalNotificationLog::new(&writer)),
        waiting: watch::Sender::new(0),
        sections_read: AtomicUsize::new(0),
    });
    let url = serve(watched.clone(), options()).await;
    let known = tag(&url).await;
    let by_place = ask_after(&url, "?after=5&wait=30");
    let by_tag = ask(&url, "", &known, "wait=30");
    watched.until_waiting(2).await;
    let append = Append::new(vec![small_event(6)]);
    writer.append(append).await.unwrap();
    assert_eq!(ids(&by_place.await.unwrap()), [6]);
    let woken = by_tag.await.unwrap();
    assert_eq!(ids(&woken), [6]);
    assert_eq!(woken.header("preference-applied"), Some("wait=30"));
}
