//! What boxes are told in confidence is not in their logs, whatever goes wrong and however much they log.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::fs::File;
use std::path::Path;

use boxes_tests::{Authority, StartedProgram, until};
use reqwest::{Client, Method, RequestBuilder};
use tempfile::TempDir;

/// What stands in payloads, and nowhere else.
const PAYLOAD: &str = "xq7payloadxq7";
const TOKEN: &str = "xq7token-0123456789abcdef";
const READ_TOKEN: &str = "xq7reader-0123456789abcdef";
const WRONG_TOKEN: &str = "xq7wrong-0123456789abcdef";
const KEY: &str = "77aa0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

/// The program, logging all that it and everything in it can log into a file.
fn start(arguments: &[&str], secrets: &[(&str, &str)], log: &Path) -> StartedProgram {
    let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
    command
        .args(arguments)
        .env("BOXES_LOG", "trace")
        .envs(secrets.iter().copied())
        .stderr(File::create(log).unwrap());
    StartedProgram::start(&mut command)
}

fn order(customer: &str, lines: &str) -> String {
    format!(r#"{{"customer":"{customer}","freight_cents":500,"shipper":1,"lines":{lines}}}"#)
}

struct Sender<'a> {
    client: Client,
    base_url: &'a str,
}

impl Sender<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base_url))
    }

    /// The status of what is posted.
    async fn post(&self, path: &str, token: &str, body: String) -> u16 {
        let request = self.request(Method::POST, path).bearer_auth(token);
        let request = request
            .header("content-type", "application/json")
            .body(body);
        request.send().await.unwrap().status().as_u16()
    }

    /// What is got, of the given type.
    async fn get(&self, path: &str, accept: &str) -> String {
        let request = self.request(Method::GET, path).bearer_auth(READ_TOKEN);
        let answer = request.header("accept", accept).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{path} {accept}: {}",
            answer.status()
        );
        answer.text().await.unwrap()
    }
}

/// Everything that a client may send, right and wrong.
async fn exercise(sender: &Sender<'_>) {
    const LINE: &str = r#"[{"product":1,"quantity":1,"unit_price_cents":1800}]"#;
    let orders = "/orders/orders";
    assert_eq!(sender.post(orders, TOKEN, order(PAYLOAD, LINE)).await, 201);
    let refused = [
        // The domain refuses it; then it is no JSON, no order, and too large.
        (422, order(PAYLOAD, "[]")),
        (400, format!("{{\"customer\":\"{PAYLOAD}\",")),
        (422, format!(r#"{{"{PAYLOAD}":"{PAYLOAD}"}}"#)),
        (422, order(PAYLOAD, &format!("\"{PAYLOAD}\""))),
        (413, PAYLOAD.repeat(200_000)),
    ];
    for (status, body) in refused {
        assert_eq!(
            sender.post(orders, TOKEN, body.clone()).await,
            status,
            "{body:.200}"
        );
    }
    assert_eq!(
        sender.post(orders, WRONG_TOKEN, order(PAYLOAD, LINE)).await,
        401
    );
    assert_eq!(
        sender.post(orders, READ_TOKEN, order(PAYLOAD, LINE)).await,
        403
    );
    let plain = sender.request(Method::POST, orders).bearer_auth(TOKEN);
    let plain = plain.body(order(PAYLOAD, LINE)).send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let basic = sender.request(Method::GET, "/orders/notifications");
    let basic = basic.basic_auth(PAYLOAD, Some(TOKEN)).send().await.unwrap();
    assert_eq!(basic.status(), 401);
    let query = format!("/orders/notifications/stream?token={TOKEN}&after={PAYLOAD}");
    let query = sender.request(Method::GET, &query).bearer_auth(READ_TOKEN);
    assert_eq!(query.send().await.unwrap().status(), 400);

    for accept in [
        "application/json",
        "text/html",
        "application/atom+xml",
        "application/cloudevents-batch+json",
    ] {
        let page = sender.get("/orders/notifications", accept).await;
        assert!(page.contains(PAYLOAD), "{accept}: {page}");
    }
    sender.get("/orders/notifications/1", "*/*").await;
    sender
        .get("/orders/compat/eventsourcing-9/1,10", "*/*")
        .await;
    let stream = sender.request(Method::GET, "/orders/notifications/stream?after=0");
    let mut stream = stream.bearer_auth(READ_TOKEN).send().await.unwrap();
    let mut events = String::new();
    while !events.contains(PAYLOAD) {
        let piece = stream.chunk().await.unwrap().unwrap();
        events.push_str(std::str::from_utf8(&piece).unwrap());
    }
}

#[tokio::test]
async fn neither_payloads_nor_tokens_nor_keys_are_logged_at_any_level() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let files = authority.issue("127.0.0.1", folder.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (data, ca) = (text(folder.path()), text(&ca));

    // One process for plain HTTP and one for HTTPS with HTTP/2; a third one follows the second.
    let tokens = [
        ("BOXES_TOKENS", TOKEN),
        ("BOXES_READ_TOKENS", READ_TOKEN),
        ("BOXES_KEYS", &*format!("1:{KEY}")),
        ("BOXES_ENCRYPT", "none"),
    ];
    let logs = ["plain.log", "secure.log", "follower.log"].map(|name| folder.path().join(name));
    let [plain_log, secure_log, follower_log] = &logs;
    let plain_data = format!("{data}/plain");
    let mut plain = start(&["--data", &plain_data], &tokens, plain_log);
    let secure_data = format!("{data}/secure");
    let secure = [
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--data",
        &secure_data,
    ];
    let mut secure = start(&secure, &tokens, secure_log);
    let follow = format!("orders={}/orders/notifications", secure.base_url());
    let follower_data = format!("{data}/follower");
    let follower = [
        "inventory",
        "--follow",
        &follow,
        "--upstream-ca",
        &ca,
        "--data",
        &follower_data,
    ];
    let upstream = [("BOXES_UPSTREAM_TOKEN", READ_TOKEN)];
    let mut follower = start(&follower, &upstream, follower_log);

    for program in [&plain, &secure] {
        let sender = Sender {
            client: authority.client(|builder| builder),
            base_url: program.base_url(),
        };
        exercise(&sender).await;
    }
    let figures = format!("{}/readyz", follower.base_url());
    let client = authority.client(|builder| builder);
    until("the follower has read the order", async || {
        let ready = client.get(&figures).send().await.unwrap();
        !ready.text().await.unwrap().contains(r#""position":0"#)
    })
    .await;
    for program in [&mut plain, &mut secure, &mut follower] {
        program.signal("-TERM");
        assert_eq!(program.end().await, Some(0));
    }

    // What the libraries on the way say is there as well.
    for (log, library) in logs.iter().zip(["boxes_service", "h2::", "rustls"]) {
        let logged = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
        assert!(
            logged.contains("DEBUG") && logged.contains(library),
            "{} holds all that is logged",
            log.display()
        );
        // As text, and as a list of bytes or in base64, in which it would be no less told.
        let bytes = format!("{:?}", PAYLOAD.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        for secret in [PAYLOAD, TOKEN, READ_TOKEN, WRONG_TOKEN, KEY, bytes] {
            let line = logged.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{} says {secret}", log.display());
        }
    }
}
