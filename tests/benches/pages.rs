//! How fast pages are served and read: an archived page beside nginx serving the same bytes from a file, and a
//! reader that catches up beside a bare download of the same pages.
//!
//! `cargo xtask bench pages`. Needs `nginx` and `wrk` (Debian: `nginx-light`, `wrk`). Both sides of a pair run in
//! turn, on the same machine; a figure counts as the median of the ratios.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement fails by panicking, and its figures are not exact"
)]

mod pairs;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use boxes::http::{RemoteNotificationLog, RemoteOptions};
use boxes::notification_log::{NotificationLogReader, ReaderBounds};
use boxes::prelude::*;
use boxes::service::{Config, Running, Service};
use futures::{StreamExt, stream};

use pairs::pairs;

/// Notifications in the log.
const N_NOTIFICATIONS: u64 = 100_000;
/// Events in one append, while the log is filled.
const BATCH: u64 = 1_000;
/// Notifications in a page.
const PAGE_SIZE: u64 = 20;
/// Connections that ask for pages at once.
const CONNECTIONS: u32 = 32;
/// How long one side of a pair is asked for pages.
const DURATION: Duration = Duration::from_secs(3);

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bench.thing")]
enum Thing {
    Happened { note: String },
}

#[derive(Default, Clone)]
struct Things;

impl Aggregate for Things {
    type Event = Thing;
    fn apply(&mut self, _: &Thing) {}
}

#[tokio::main]
async fn main() {
    boxes::http::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let service = filled(folder.path()).await;
    let page = format!("{}/bench/notifications/1,{PAGE_SIZE}", service.base_url());
    let bytes = reqwest::get(&page).await.unwrap().bytes().await.unwrap();
    println!(
        "{} processors; {N_NOTIFICATIONS} notifications in SQLite; pages of {PAGE_SIZE}, the first one of {} bytes",
        std::thread::available_parallelism().unwrap(),
        bytes.len()
    );

    let nginx = Nginx::serving(folder.path(), &bytes);
    let [ours, theirs, ratio] =
        pairs(async || wrk(&page).await, async || wrk(&nginx.url).await).await;
    println!(
        "archived page, warm, {CONNECTIONS} connections: {ours:.0} pages/s; nginx from a file {theirs:.0} pages/s; ratio {ratio:.2} (target 1.0)"
    );
    drop(nginx);

    let [ours, theirs, ratio] = pairs(
        async || catch_up(&service).await,
        async || download(&service).await,
    )
    .await;
    println!(
        "catching up over HTTP: {ours:.0} notifications/s; bare download of the same pages {theirs:.0} notifications/s; ratio {ratio:.2} (target 0.5)"
    );
    service.shutdown().await;
}

/// A service whose log is full.
async fn filled(folder: &Path) -> Running {
    let config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: folder.to_owned(),
        ..Config::default()
    };
    let service = Service::start([BoundedContext::new("bench").aggregate::<Things>()], config)
        .await
        .unwrap();
    let app = service.app("bench").unwrap();
    let note = "n".repeat(150);
    for n in 0..N_NOTIFICATIONS / BATCH {
        let events: Vec<_> = (0..BATCH)
            .map(|_| Thing::Happened { note: note.clone() })
            .collect();
        app.create(Id::<Things>::named(&n.to_string()), events)
            .await
            .unwrap();
    }
    service
}

/// Pages a second, as wrk counts them.
async fn wrk(url: &str) -> f64 {
    let output = tokio::process::Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{}s", DURATION.as_secs()),
            url,
        ])
        .output()
        .await
        .expect("wrk can be run: apt-get install wrk");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{text}"
    );
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .unwrap_or_else(|| panic!("{text}"));
    line.trim().parse().unwrap()
}

/// The whole log through the reader, in notifications a second.
async fn catch_up(service: &Running) -> f64 {
    let url = format!("{}/bench/notifications", service.base_url())
        .parse()
        .unwrap();
    // As a service does for what is on the same machine.
    let options = RemoteOptions {
        compressed: false,
        ..RemoteOptions::default()
    };
    let log = RemoteNotificationLog::new(url, options).unwrap();
    let started = Instant::now();
    let mut reader = NotificationLogReader::new(std::sync::Arc::new(log), None);
    let mut n_read = 0;
    loop {
        let batch = reader.next_batch().await.unwrap();
        if batch.is_empty() {
            break;
        }
        n_read += batch.len() as u64;
    }
    assert_eq!(n_read, N_NOTIFICATIONS);
    N_NOTIFICATIONS as f64 / started.elapsed().as_secs_f64()
}

/// The same pages with as many requests under way, and nothing done with them.
async fn download(service: &Running) -> f64 {
    let client = reqwest::Client::builder().build().unwrap();
    let base = format!("{}/bench/notifications", service.base_url());
    let started = Instant::now();
    let pages = stream::iter(0..N_NOTIFICATIONS / PAGE_SIZE).map(|k| {
        let (client, url) = (
            client.clone(),
            format!("{base}/{},{}", k * PAGE_SIZE + 1, (k + 1) * PAGE_SIZE),
        );
        async move {
            tokio::spawn(async move {
                client
                    .get(url)
                    .send()
                    .await
                    .unwrap()
                    .bytes()
                    .await
                    .unwrap()
                    .len()
            })
            .await
            .unwrap()
        }
    });
    let n_bytes: usize = pages
        .buffered(ReaderBounds::DEFAULT_MAX_PREFETCH)
        .fold(0, async |sum, n| sum + n)
        .await;
    assert!(n_bytes > 0);
    N_NOTIFICATIONS as f64 / started.elapsed().as_secs_f64()
}

/// nginx that serves one file. Ended when it is dropped.
struct Nginx {
    process: Child,
    url: String,
}

impl Nginx {
    fn serving(folder: &Path, bytes: &[u8]) -> Self {
        let root = folder.join("nginx");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("page.json"), bytes).unwrap();
        // Its worker processes run as another user, who must be let in.
        for folder in [folder, &root] {
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let root = root.display();
        let configuration = format!(
            "daemon off; worker_processes auto; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 512; }}
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=10;
                     types {{ application/json json; }}
                     client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
                     uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
                     server {{ listen 127.0.0.1:{port}; root {root};
                               add_header Cache-Control \"public, max-age=31536000, immutable\"; }} }}"
        );
        let file = format!("{root}/nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let program = if Path::new("/usr/sbin/nginx").exists() {
            "/usr/sbin/nginx"
        } else {
            "nginx"
        };
        let process = Command::new(program)
            .args(["-c", &file])
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx can be run: apt-get install nginx-light");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "nginx does not listen; see {root}/error.log"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            url: format!("http://127.0.0.1:{port}/page.json"),
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is asked to stop, and not when it is killed.
        let asked = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        assert!(asked.is_ok_and(|status| status.success()));
        self.process.wait().unwrap();
    }
}
