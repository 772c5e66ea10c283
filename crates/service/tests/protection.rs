//! What keeps a service up, and browsers honest: limits on clients, slow clients, other origins.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test, too"
)]

mod support;

use std::future::Future;
use std::time::Duration;

use boxes_service::{Config, CorsOrigin, RateLimit, Running, Stopped, Token, Tokens};
use reqwest::{Method, Response};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const ONE: &str = "one-0123456789abcdef";
const OTHER: &str = "other-0123456789abcdef";
const PAGE: &str = "/notes/notifications";

/// So many at once, and then none for the rest of the test.
fn limited(burst: u32) -> Config {
    let per_second = 1;
    Config {
        rate_limit: Some(RateLimit { per_second, burst }),
        ..config()
    }
}

async fn forwarded_for(running: &Running, addresses: &str) -> Response {
    let request = request(running, Method::GET, PAGE).header("x-forwarded-for", addresses);
    request.send().await.unwrap()
}

/// Sends until one is refused, and says how many were not.
async fn n_admitted<F: Future<Output = Response>>(send: impl Fn() -> F) -> (usize, Response) {
    for n_admitted in 0..1000 {
        let response = send().await;
        if response.status() == 429 {
            return (n_admitted, response);
        }
        assert_eq!(response.status(), 200);
    }
    panic!("there is no limit");
}

#[tokio::test]
async fn a_client_that_sends_too_many_requests_is_told_when_to_come_back() {
    let tokens = [("one", ONE), ("other", OTHER)].into_iter().fold(
        Tokens::default(),
        |tokens, (name, text)| {
            tokens.with(name, "read:*".parse().unwrap(), Token::new(text).unwrap())
        },
    );
    let running = start(Config {
        tokens,
        ..limited(5)
    })
    .await;
    let (n, refused) = n_admitted(|| get_with(&running, PAGE, ONE)).await;
    // At a request a second a few more may have passed meanwhile.
    assert!(n >= 5, "{n}");
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "cache-control"), "no-store");
    let refused = problem(refused).await;
    assert_eq!(refused["type"], "/problems/too-many-requests");
    assert_eq!(
        get_with(&running, PAGE, OTHER).await.status(),
        200,
        "another client"
    );
    let strangers = || async {
        let stranger = "stranger-0123456789abcdef";
        let answer = get_with(&running, PAGE, stranger).await;
        answer.status() == 429
    };
    eventually("who guesses tokens is held up", strangers).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get_without(&running, path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn without_tokens_clients_are_told_apart_by_address_and_can_not_make_it_up() {
    // More than the seconds for which this takes, as each gives one request back.
    let burst = 200;
    let running = start(limited(burst)).await;
    let burst = usize::try_from(burst).unwrap();
    let (n, _) = n_admitted(|| forwarded_for(&running, "198.51.100.1")).await;
    assert!(n >= burst);
    let (n, _) = n_admitted(|| forwarded_for(&running, "198.51.100.2")).await;
    assert!(n < burst, "{n}");

    let trusting = start(Config {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..limited(200)
    })
    .await;
    n_admitted(|| forwarded_for(&trusting, "198.51.100.1")).await;
    assert_eq!(forwarded_for(&trusting, "198.51.100.2").await.status(), 200);
    let made_up = "203.0.113.7, 198.51.100.1";
    let (n, _) = n_admitted(|| forwarded_for(&trusting, made_up)).await;
    assert!(n < burst, "{n}");
}

async fn of_origin(running: &Running, method: Method, path: &str, origin: &str) -> Response {
    let request = request(running, method, path).header("origin", origin);
    request.send().await.unwrap()
}

async fn preflight(running: &Running, origin: &str) -> Response {
    request(running, Method::OPTIONS, "/notes/notes")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn no_other_origin_is_let_in_unless_that_is_configured() {
    let running = start(config()).await;
    let answers = [
        preflight(&running, "https://shop.example").await,
        of_origin(&running, Method::GET, PAGE, "https://shop.example").await,
    ];
    for answer in answers {
        let names = answer.headers().keys();
        let mut cors = names.filter(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors.next(), None);
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn scripts_of_a_configured_origin_may_ask_and_see_what_a_reader_needs() {
    let tokens = Tokens::new(vec![Token::new(ONE).unwrap()], Vec::new());
    let shop = "https://shop.example";
    let running = start(Config {
        tokens,
        cors_origins: vec![shop.parse().unwrap()],
        ..config()
    })
    .await;
    // A browser asks without a token.
    let asked = preflight(&running, shop).await;
    assert_eq!(asked.status(), 204);
    assert_eq!(header(&asked, "access-control-allow-origin"), shop);
    let may_send = header(&asked, "access-control-allow-headers");
    for name in [
        "authorization",
        "content-type",
        "if-none-match",
        "prefer",
        "last-event-id",
    ] {
        assert!(may_send.contains(name), "{may_send}");
    }
    assert!(header(&asked, "access-control-allow-methods").contains("POST"));

    let page = request(&running, Method::GET, PAGE).header("origin", shop);
    let page = page.bearer_auth(ONE).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(header(&page, "access-control-allow-origin"), shop);
    let may_see = header(&page, "access-control-expose-headers");
    for name in [
        "etag",
        "link",
        "retry-after",
        "location",
        "preference-applied",
    ] {
        assert!(may_see.contains(name), "{may_see}");
    }
    let vary: Vec<_> = page.headers().get_all("vary").iter().collect();
    assert!(
        vary.len() > 1 && vary.iter().any(|value| *value == "Origin"),
        "{vary:?}"
    );
    let error = of_origin(&running, Method::GET, PAGE, shop).await;
    assert_eq!(error.status(), 401);
    assert_eq!(
        header(&error, "access-control-allow-origin"),
        shop,
        "a script may see why"
    );

    for stranger in ["https://shop.example.org", "http://shop.example", "null"] {
        for answer in [
            preflight(&running, stranger).await,
            of_origin(&running, Method::GET, PAGE, stranger).await,
        ] {
            assert_eq!(
                header(&answer, "access-control-allow-origin"),
                "",
                "{stranger}"
            );
        }
    }
    // Who asks for no script's sake is told what the resource takes.
    let options = request(&running, Method::OPTIONS, PAGE).bearer_auth(ONE);
    assert_eq!(
        header(&options.send().await.unwrap(), "allow"),
        "GET, HEAD, OPTIONS"
    );
}

#[tokio::test]
async fn any_origin_is_let_in_where_that_is_configured_and_answers_are_the_same_for_all() {
    let running = start(Config {
        cors_origins: vec![CorsOrigin::Any],
        ..config()
    })
    .await;
    let answer = of_origin(&running, Method::GET, PAGE, "https://anybody.example").await;
    assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    let mut vary = answer.headers().get_all("vary").iter();
    assert!(!vary.any(|value| value == "Origin"));
}

#[tokio::test]
async fn without_tokens_pages_of_other_sites_command_nothing_and_read_as_before() {
    let shop = "https://shop.example";
    let running = start(config()).await;
    let post = async |running: &Running, name: &str, value: &str| {
        // As a form of any page sends it: no JSON, so no browser asks beforehand.
        let request = request(running, Method::POST, "/notes/ring").header(name, value);
        request.send().await.unwrap()
    };
    for (name, value) in [
        ("origin", shop),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let refused = post(&running, name, value).await;
        assert_eq!(refused.status(), 403, "{name}: {value}");
        let refused = problem(refused).await;
        assert_eq!(refused["type"], "/problems/cross-site");
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("--cors-origin")
        );
    }
    let own = running.base_url();
    for (name, value) in [
        ("origin", own),
        ("sec-fetch-site", "same-origin"),
        ("x-nothing", "at all"),
    ] {
        assert_eq!(post(&running, name, value).await.status(), 204, "{value}");
    }
    let read = of_origin(&running, Method::GET, PAGE, shop).await;
    assert_eq!(read.status(), 200);

    let sharing = start(Config {
        cors_origins: vec![shop.parse().unwrap()],
        ..config()
    })
    .await;
    assert_eq!(post(&sharing, "origin", shop).await.status(), 204);
    let other = post(&sharing, "origin", "https://other.example").await;
    assert_eq!(other.status(), 403);

    // A page of another site has no token, and one that has it may use it.
    let with_tokens = start(Config {
        tokens: Tokens::new(vec![Token::new(ONE).unwrap()], Vec::new()),
        ..config()
    })
    .await;
    let post = request(&with_tokens, Method::POST, "/notes/ring").header("origin", shop);
    let done = post.bearer_auth(ONE).send().await.unwrap();
    assert_eq!(done.status(), 204);
}

#[tokio::test]
async fn without_tokens_a_service_answers_to_no_name_that_somebody_else_can_give_it() {
    let get = async |running: &Running, host: &str| {
        let request = request(running, Method::GET, PAGE).header("host", host);
        request.send().await.unwrap()
    };
    let running = start(config()).await;
    for host in ["127.0.0.1:1", "localhost", "[::1]:8080", "192.0.2.1"] {
        assert_eq!(get(&running, host).await.status(), 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
    ] {
        let refused = get(&running, host).await;
        assert_eq!(refused.status(), 421, "{host}");
        let refused = problem(refused).await;
        assert_eq!(refused["type"], "/problems/misdirected");
        assert!(refused["detail"].as_str().unwrap().contains("--public-url"));
    }
    let public = start(Config {
        public_url: Some("https://shop.example/base".parse().unwrap()),
        ..config()
    })
    .await;
    assert_eq!(get(&public, "shop.example").await.status(), 200);
    assert_eq!(get(&public, "evil.example").await.status(), 421);
    let with_tokens = start(Config {
        tokens: Tokens::new(vec![Token::new(ONE).unwrap()], Vec::new()),
        ..config()
    })
    .await;
    let asked = request(&with_tokens, Method::GET, PAGE).header("host", "any.example");
    let answer = asked.bearer_auth(ONE).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn nothing_that_is_served_is_for_a_browser_to_guess_at() {
    let running = start(config()).await;
    for path in [
        "/",
        PAGE,
        "/notes/notifications/stream",
        "/nowhere",
        "/notes/count",
        "/healthz",
    ] {
        let answer = get_without(&running, path).await;
        assert_eq!(
            header(&answer, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
    }
}

/// A client that sends requests and reads nothing of the answers.
async fn send_and_read_nothing(running: &Running, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(running.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_makes_room_for_others() {
    for path in [
        "/notes/notifications/1,20",
        "/notes/notifications/stream?after=0",
    ] {
        let running = start(Config {
            max_connections: 1,
            slow_client_timeout: Duration::from_millis(200),
            ..config()
        })
        .await;
        // More than all buffers on the way can hold.
        write_notes(&running, 20, 1024 * 1024).await;
        let mut slow = send_and_read_nothing(&running, path).await;
        // There is room for one connection: who gets an answer has it.
        let has_room = || async { get_without(&running, "/notes/count").await.status() == 200 };
        eventually("the slow client is cut off", has_room).await;
        let mut read = Vec::new();
        let cut_off = slow.read_to_end(&mut read).await;
        assert!(cut_off.is_err() && read.len() < 20 * 1024 * 1024, "{path}");
        assert_eq!(running.shutdown().await, Stopped::Drained);
    }
}

#[tokio::test]
async fn silent_connections_do_not_keep_health_checks_waiting_nor_others_for_long() {
    let running = start(Config {
        max_connections: 4,
        max_connections_per_address: Some(4),
        ..config()
    })
    .await;
    let silent = async || TcpStream::connect(running.address()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(silent().await);
    }
    let is_full = || async { get_without(&running, PAGE).await.status() == 503 };
    eventually("all places are taken", is_full).await;
    let refused = get_without(&running, PAGE).await;
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(
        problem(refused).await["type"],
        "/problems/too-many-connections"
    );
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get_without(&running, path).await.status(), 200, "{path}");
    }
    // They lose their places by themselves, long before an idle connection does that has been of use.
    let has_room = || async { get_without(&running, PAGE).await.status() == 200 };
    eventually("there is room again", has_room).await;
    for mut silent in held {
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }
    let figures = get_without(&running, "/metrics")
        .await
        .text()
        .await
        .unwrap();
    for part in [
        "\nboxes_connections_max 4\n",
        "\nboxes_connections_turned_away_total ",
    ] {
        assert!(figures.contains(part), "{part}: {figures}");
    }
}

#[tokio::test]
async fn one_client_does_not_take_all_places_to_wait() {
    let tokens = [("one", ONE), ("other", OTHER)].into_iter().fold(
        Tokens::default(),
        |tokens, (name, text)| {
            tokens.with(name, "read:*".parse().unwrap(), Token::new(text).unwrap())
        },
    );
    let running = start(Config {
        tokens,
        max_waiters: 4,
        ..config()
    })
    .await;
    let stream = async |token| get_with(&running, "/notes/notifications/stream", token).await;
    let mut held = Vec::new();
    for (token, status) in [
        (ONE, 200),
        (ONE, 200),
        (ONE, 503),
        (OTHER, 200),
        (OTHER, 503),
    ] {
        let answer = stream(token).await;
        assert_eq!(answer.status(), status);
        held.push(answer);
    }
    let figures = get_with(&running, "/metrics", ONE)
        .await
        .text()
        .await
        .unwrap();
    for part in [
        "boxes_waiting{log=\"notes\"} 3\n",
        "boxes_waiting_max{log=\"notes\"} 4\n",
    ] {
        assert!(figures.contains(part), "{part}: {figures}");
    }
    held.remove(0);
    let has_room = || async { stream(ONE).await.status() == 200 };
    eventually("what is given back is there again", has_room).await;
}

#[tokio::test]
async fn one_address_does_not_take_all_connections_unless_it_is_a_proxy() {
    for (trusted_proxies, status) in [(vec![], 503), (vec!["127.0.0.0/8".parse().unwrap()], 200)] {
        let running = start(Config {
            max_connections: 5,
            trusted_proxies,
            ..config()
        })
        .await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(TcpStream::connect(running.address()).await.unwrap());
        }
        // Connections are accepted in their order.
        assert_eq!(get_without(&running, PAGE).await.status(), status);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let running = start(Config {
        slow_client_timeout: Duration::from_secs(5),
        ..config()
    })
    .await;
    write_notes(&running, 20, 256 * 1024).await;
    let mut slow = send_and_read_nothing(&running, "/notes/notifications/1,20").await;
    let (mut n_read, mut piece) = (0, vec![0; 64 * 1024]);
    while n_read < 20 * 256 * 1024 {
        let n = slow.read(&mut piece).await.unwrap();
        assert!(n > 0, "cut off after {n_read}");
        n_read += n;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_by_the_configured_heartbeat() {
    let running = start(Config {
        heartbeat: Duration::from_millis(100),
        ..config()
    })
    .await;
    let mut stream = get_without(&running, "/notes/notifications/stream").await;
    // By the default they would come later than the client waits.
    for _ in 0..10 {
        let comment = stream.chunk().await.unwrap().unwrap();
        assert_eq!(&comment[..], b":\n\n");
    }
}

/// What is answered to these bytes: the head, and the body.
async fn answer_to(running: &Running, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    // A server that closes before all was read of a request may reset the connection once the answer is out.
    drop(read.unwrap());
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn a_request_names_one_host() {
    let running = start(config()).await;
    let get = |hosts: &str| format!("GET {PAGE} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
    let (head, _) = answer_to(&running, get("host: localhost\r\n").as_bytes()).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for hosts in [
        "",
        "host: localhost\r\nhost: localhost\r\n",
        "host: a b\r\n",
        "host: \r\n",
        "host: me@localhost\r\n",
    ] {
        let (head, body) = answer_to(&running, get(hosts).as_bytes()).await;
        assert!(head.starts_with("http/1.1 400 "), "{hosts}: {head}");
        assert!(body.contains("/problems/malformed-request"), "{body}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_as_a_request_is_answered_with_a_problem_document_too() {
    let running = start(config()).await;
    let long = "x".repeat(60_000);
    let longer = "x".repeat(70_000);
    for (request, status, slug) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed-request"),
        (
            format!("GET /{longer} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            414,
            "uri-too-long",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-a: {long}\r\nx-b: {long}\r\n\r\n"),
            431,
            "head-too-large",
        ),
    ] {
        let (head, body) = answer_to(&running, request.as_bytes()).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        assert!(head.contains("cache-control: no-store"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], format!("/problems/{slug}"));
    }
}

#[tokio::test]
async fn a_body_in_a_content_coding_is_refused_and_not_read_as_what_it_is_not() {
    let running = start(config()).await;
    let write = |coding: &'static str| {
        let request = request(&running, Method::POST, "/notes/notes");
        let request = request.header("content-type", "application/json");
        request
            .header("content-encoding", coding)
            .body("\"text\"")
            .send()
    };
    for coding in ["gzip", "br", "gzip, identity", "x"] {
        let refused = write(coding).await.unwrap();
        assert_eq!(refused.status(), 415, "{coding}");
        assert_eq!(header(&refused, "accept-encoding"), "identity");
        let refused = problem(refused).await;
        assert_eq!(refused["type"], "/problems/unsupported-media-type");
    }
    assert_eq!(write("identity").await.unwrap().status(), 201);
}
