//! Notifications as server-sent events, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use boxes_http::NotificationLogOptions;
use boxes_testing::log_fixture::{EPOCH, FailingLog, Plan, SmallLog, small_event};
use bytes::Bytes;
use serde_json::Value;
use support::{DEADLINE, PATH, send, serve};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

fn options() -> NotificationLogOptions {
    NotificationLogOptions::new(PATH)
}

/// What a stream holds: an event as its id, topic and data; or a comment.
#[derive(Debug, PartialEq)]
enum Piece {
    Event(u64, String, Value),
    Comment,
}

struct Client {
    status: String,
    lines: BufReader<TcpStream>,
}

impl Client {
    /// By HTTP/1.0, in which a stream is not cut into chunks.
    async fn open(url: &Url, query: &str, headers: &str) -> Self {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {}/stream{query} HTTP/1.0\r\nhost: localhost\r\n{headers}\r\n",
            url.path()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut client = Self {
            status: String::new(),
            lines: BufReader::new(stream),
        };
        client.status = client.line().await.unwrap();
        while client.line().await.unwrap() != "" {}
        client
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.lines.read_line(&mut line)).await;
        // A connection that is reset has ended as well; what it held of a line does not count.
        read.expect("a line in time").ok()?;
        let line = line.strip_suffix('\n')?;
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    /// The next piece, if it comes whole.
    async fn piece(&mut self) -> Option<Piece> {
        let first = self.line().await?;
        if first.starts_with(':') {
            assert_eq!(self.line().await?, "");
            return Some(Piece::Comment);
        }
        let (id, epoch) = first.strip_prefix("id: ").unwrap().split_once('@').unwrap();
        assert_eq!(epoch, EPOCH.to_string());
        let id = id.parse().unwrap();
        let mut data = self.line().await?;
        let mut topic = String::new();
        if let Some(name) = data.strip_prefix("event: ").map(str::to_owned) {
            topic = name;
            data = self.line().await?;
        }
        let data = serde_json::from_str(data.strip_prefix("data: ")?).unwrap();
        assert_eq!(self.line().await?, "");
        Some(Piece::Event(id, topic, data))
    }

    async fn event(&mut self) -> Option<u64> {
        loop {
            match self.piece().await? {
                Piece::Event(id, _, data) => {
                    assert_eq!(data["id"], id);
                    return Some(id);
                }
                Piece::Comment => {}
            }
        }
    }
}

#[tokio::test]
async fn an_event_is_the_item_of_a_page_on_one_line() {
    let log = SmallLog::new(5).await;
    let mut event = small_event(1);
    event.state = Bytes::from_static(b"{\r\n  \"customer\": \"ALFKI\"\n}");
    log.append_events(vec![event]).await;
    let url = serve(log.near(), options()).await;
    let item = send(&url, "GET", "/1,5", &[]).await.json()["items"][0].clone();
    let mut client = Client::open(&url, "?after=0", "").await;
    assert_eq!(client.piece().await, Some(Piece::Comment));
    let topic = "orders.order.placed".to_owned();
    let event = Piece::Event(1, topic, item.clone());
    assert_eq!(client.piece().await, Some(event));
    // Under the default name one handler takes all of them.
    let mut client = Client::open(&url, "?after=0&event=message", "").await;
    assert_eq!(client.piece().await, Some(Piece::Comment));
    let event = Piece::Event(1, String::new(), item);
    assert_eq!(client.piece().await, Some(event));
}

#[tokio::test]
async fn a_stream_begins_after_what_the_client_has_had_or_else_now() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), options()).await;
    for (query, headers, first) in [
        ("?after=0", "", 1),
        ("?event=message&after=7", "", 8),
        ("", "last-event-id: 4\r\n", 5),
        (&format!("?after=3@{EPOCH}"), "", 4),
        ("", &format!("last-event-id: 5@{EPOCH}\r\n"), 6),
        ("?after=0", "last-event-id: 10\r\n", 11),
    ] {
        let mut client = Client::open(&url, query, headers).await;
        assert_eq!(client.event().await, Some(first), "{query} {headers}");
    }
    let mut now = Client::open(&url, "", "").await;
    let mut end = Client::open(&url, "?after=13", "").await;
    log.append(1).await;
    assert_eq!(now.event().await, Some(14));
    assert_eq!(end.event().await, Some(14));
}

#[tokio::test]
async fn what_is_stored_and_what_comes_meanwhile_is_sent_in_order_without_a_hole() {
    const STORED: u64 = 1_000;
    const LIVE: u64 = 2_000;
    let log = SmallLog::with(20, STORED).await;
    let url = serve(log.near(), options()).await;
    let writing = async {
        for _ in 0..LIVE / 8 {
            log.append(8).await;
            tokio::task::yield_now().await;
        }
    };
    let reading = async |after: u64| {
        let mut client = Client::open(&url, &format!("?after={after}"), "").await;
        for expected in after + 1..=STORED + LIVE {
            assert_eq!(client.event().await, Some(expected));
        }
    };
    tokio::join!(writing, reading(0), reading(STORED), reading(STORED - 7));
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_is_alive() {
    let log = SmallLog::with(5, 3).await;
    let options = NotificationLogOptions {
        heartbeat: Duration::from_millis(10),
        ..options()
    };
    let url = serve(log.near(), options).await;
    let mut client = Client::open(&url, "", "").await;
    // The first one comes at once; the others after a time of silence each.
    for _ in 0..4 {
        assert_eq!(client.piece().await, Some(Piece::Comment));
    }
    log.append(1).await;
    assert_eq!(client.event().await, Some(4));
}

#[tokio::test]
async fn however_many_streams_are_silent_the_store_is_read_once_when_something_comes() {
    const CROWD: usize = 50;
    let log = SmallLog::with(5, 3).await;
    let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
    let options = NotificationLogOptions {
        heartbeat: Duration::from_millis(10),
        ..options()
    };
    let url = serve(counting.clone(), options).await;
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        clients.push(Client::open(&url, "", "").await);
    }
    let silent = async |clients: &mut Vec<Client>| {
        for client in clients {
            for _ in 0..3 {
                assert_eq!(client.piece().await, Some(Piece::Comment));
            }
        }
    };
    silent(&mut clients).await;
    let before = counting.sections_read.load(Ordering::Relaxed);
    silent(&mut clients).await;
    assert_eq!(counting.sections_read.load(Ordering::Relaxed), before);
    log.append(1).await;
    for client in &mut clients {
        assert_eq!(client.event().await, Some(4));
    }
    silent(&mut clients).await;
    assert_eq!(counting.sections_read.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_and_goes_on_where_it_was() {
    const EVENTS: u64 = 100;
    let log = SmallLog::new(5).await;
    // Far more than what lies in buffers between the two.
    let large = Bytes::from(format!("\"{}\"", "x".repeat(256 * 1024)));
    for n in 1..=EVENTS {
        let mut event = small_event(n);
        event.state = large.clone();
        log.append_events(vec![event]).await;
    }
    let options = NotificationLogOptions {
        max_waiters: 1,
        slow_client_timeout: Duration::from_millis(50),
        ..options()
    };
    let url = serve(log.near(), options).await;
    let mut slow = Client::open(&url, "?after=0", "").await;
    assert!(slow.status.contains("200"), "{}", slow.status);
    // Its room is given to another, which has none as long as the slow one is served.
    let another = async {
        loop {
            let client = Client::open(&url, &format!("?after={EVENTS}"), "").await;
            if client.status.contains("200") {
                return client;
            }
            assert!(client.status.contains("503"), "{}", client.status);
            tokio::task::yield_now().await;
        }
    };
    drop(timeout(DEADLINE, another).await.expect("room in time"));
    // What had been sent is there, whole and in order; then the stream ends.
    let mut last = 0;
    while let Some(id) = slow.event().await {
        assert_eq!(id, last + 1);
        last = id;
    }
    assert!(last < EVENTS);
    // Where it is served with patience: this machine may be busy, and a reader that is not the one who is tried here
    // must not be given up for that.
    let patient = serve(log.near(), self::options()).await;
    let resume = format!("last-event-id: {last}\r\n");
    let mut resumed = Client::open(&patient, "", &resume).await;
    for expected in last + 1..=EVENTS {
        assert_eq!(resumed.event().await, Some(expected));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_gives_back_its_room() {
    let log = SmallLog::with(5, 3).await;
    let options = NotificationLogOptions {
        max_waiters: 1,
        ..options()
    };
    let url = serve(log.near(), options).await;
    let client = Client::open(&url, "", "").await;
    let full = send(&url, "GET", "/stream", &[]).await;
    assert_eq!(full.status, 503);
    assert_eq!(full.json()["type"], "/problems/too-many-waiters");
    assert_eq!(full.header("retry-after"), Some("5"));
    drop(client);
    let again = async { while Client::open(&url, "", "").await.status.contains("503") {} };
    timeout(DEADLINE, again).await.expect("room in time");
}

#[tokio::test]
async fn a_process_that_stops_ends_its_streams() {
    let log = SmallLog::with(5, 3).await;
    let options = options();
    let shutdown = options.shutdown.clone();
    let url = serve(log.near(), options).await;
    let mut client = Client::open(&url, "?after=0", "").await;
    assert_eq!(client.event().await, Some(1));
    shutdown.cancel();
    while client.piece().await.is_some() {}
}

#[tokio::test]
async fn what_is_no_place_in_the_log_is_refused() {
    let log = SmallLog::with(5, 13).await;
    let url = serve(log.near(), options()).await;
    for (below, headers, status, slug) in [
        ("/stream?after=x", vec![], 400, "malformed-resume-point"),
        ("/stream?after=-1", vec![], 400, "malformed-resume-point"),
        ("/stream?after=", vec![], 400, "malformed-resume-point"),
        (
            "/stream",
            vec![("last-event-id", "01")],
            400,
            "malformed-resume-point",
        ),
        ("/stream?after=14", vec![], 409, "ahead-of-log"),
        (
            "/stream?after=18446744073709551615",
            vec![],
            409,
            "ahead-of-log",
        ),
        (
            "/stream",
            vec![("last-event-id", "99")],
            409,
            "ahead-of-log",
        ),
        (
            "/stream",
            vec![("accept", "application/json")],
            406,
            "not-acceptable",
        ),
    ] {
        let refused = send(&url, "GET", below, &headers).await;
        assert_eq!(refused.status, status, "{below} {headers:?}");
        assert_eq!(refused.json()["type"], format!("/problems/{slug}"));
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        if status == 409 {
            assert_eq!(refused.json()["last"], 13);
        }
    }
    let posted = send(&url, "POST", "/stream", &[]).await;
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[tokio::test]
async fn a_stream_is_described_and_has_a_head() {
    let log = SmallLog::with(5, 3).await;
    let url = serve(log.near(), options()).await;
    let description = send(&url, "GET", "/log", &[]).await;
    assert_eq!(
        description.json()["links"]["stream"],
        format!("{PATH}/stream")
    );
    let monitor = format!("<{PATH}/stream>; rel=\"monitor\"");
    assert!(description.header("link").unwrap().contains(&monitor));
    let accept = [("accept", "text/event-stream")];
    let head = send(&url, "HEAD", "/stream", &accept).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("etag"), None);
}
