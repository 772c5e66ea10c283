//! A log served on a port of this machine, and what is seen of it on the wire.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use boxes_http::{
    NotificationLogOptions, NotificationLogResource, RemoteNotificationLog, RemoteOptions,
    problem_descriptions, unknown_path,
};
use boxes_notification_log::NotificationLog;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// How long something that has to happen may take.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Where the log is served.
pub const PATH: &str = "/orders/notifications";

/// Serves `log` until the test's runtime ends; the address of its current page.
pub async fn serve(log: Arc<dyn NotificationLog>, options: NotificationLogOptions) -> Url {
    let path = options.path.clone();
    let resource = NotificationLogResource::new(log, options).expect("the path can be served");
    let router = resource
        .into_router()
        .merge(problem_descriptions(&[]).into_parts().0)
        .fallback(unknown_path);
    serve_router(router).await.join(&path).expect("a URL")
}

/// Serves these routes until the test's runtime ends.
pub async fn serve_router(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    Url::parse(&format!("http://{address}")).expect("a URL")
}

/// The log at `url`, over HTTP.
pub fn remote(url: &Url) -> Arc<dyn NotificationLog> {
    remote_with(url, RemoteOptions::default())
}

/// The same with these options.
pub fn remote_with(url: &Url, options: RemoteOptions) -> Arc<dyn NotificationLog> {
    Arc::new(RemoteNotificationLog::new(url.clone(), options).expect("HTTP can be set up"))
}

/// What came, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub status: u16,
    /// Names in lower case; without `date`, which is the server's and not the page's.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// One request on a connection of its own: `send(&url, "GET", "/1,20", &[("accept", "*/*")])`, the path below
/// that of `url`.
pub async fn send(url: &Url, method: &str, below: &str, headers: &[(&str, &str)]) -> Raw {
    send_to(url, method, &format!("{}{below}", url.path()), headers).await
}

/// The same with the whole path.
pub async fn send_to(url: &Url, method: &str, path: &str, headers: &[(&str, &str)]) -> Raw {
    let exchange = async {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, exchange)
        .await
        .expect("an answer in time");
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("a head of text");
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let is_kept = |(name, _): &(String, String)| !["date", "connection"].contains(&name.as_str());
    Raw {
        status,
        headers: lines.map(header).filter(is_kept).collect(),
        body: answer[end + 4..].to_vec(),
    }
}
