//! A box follows real applications of the Python library, which the library's own classes serve.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail a test, too")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use boxes::http::{
    ForeignDialect, ForeignNotificationLog, MISSING_TOPIC, RemoteOptions, install_crypto_provider,
};
use boxes::notification_log::{LogError, Navigation, NotificationLog, NotificationLogReader};
use boxes::prelude::*;
use boxes::recorder::Position;
use boxes::service::{Config, Running, Service, Store};
use boxes_testing::{python, python_8};
use boxes_tests::{DEADLINE, until};
use serde::{Deserialize, Serialize};

/// What a box knows of the events of both applications.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "kennel.dog")]
enum Dog {
    #[event(alias = "kennel:Dog.Registered")]
    Registered { name: String },
    #[event(alias = "__main__#Dog.Created")]
    Created { name: String },
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "vet.list")]
enum ListEvent {
    Added { id: u64, dog: String, second: i64 },
}

#[derive(Default, Clone)]
struct List {
    dogs: Vec<(u64, String)>,
    seconds: Vec<i64>,
}

impl Aggregate for List {
    type Event = ListEvent;
    fn apply(&mut self, ListEvent::Added { id, dog, second }: &ListEvent) {
        self.dogs.push((*id, dog.clone()));
        self.seconds.push(*second);
    }
}

async fn on_dog(notification: Notification<Dog>, app: App) -> Result<(), Error> {
    let (Dog::Registered { name } | Dog::Created { name }) = notification.event;
    let added = ListEvent::Added {
        id: notification.id,
        dog: name,
        second: notification.occurred_on.as_second(),
    };
    app.upsert(list(), move |_: &List| added.clone()).await?;
    Ok(())
}

fn list() -> Id<List> {
    Id::named("list")
}

/// A Python process that serves an application.
struct Kennel {
    process: Child,
    url: String,
}

impl Kennel {
    fn start(python: PathBuf, script: &str, file: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(script);
        let mut process = Command::new(python)
            .arg(script)
            .args(file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let url = url.trim().to_owned();
        assert!(url.starts_with("http://"), "it does not start");
        Self { process, url }
    }

    async fn post(&self, path: &str) {
        install_crypto_provider();
        let client = reqwest::Client::builder()
            .timeout(DEADLINE)
            .build()
            .unwrap();
        let posted = client.post(format!("{}{path}", self.url));
        let answer = posted.send().await.unwrap();
        assert!(answer.status().is_success());
    }

    fn log(&self, dialect: ForeignDialect) -> Arc<dyn NotificationLog> {
        let url = format!("{}/notifications", self.url).parse().unwrap();
        // Its gaps are old: they need not be waited for.
        let options = RemoteOptions {
            max_gap_wait: Duration::ZERO,
            ..RemoteOptions::default()
        };
        Arc::new(ForeignNotificationLog::new("kennel", url, dialect, options).unwrap())
    }
}

impl Drop for Kennel {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The box that follows, which keeps its events in the folder.
async fn vet(folder: &Path, dialect: &str, kennel: &Kennel) -> Running {
    let context = BoundedContext::new("vet")
        .aggregate::<List>()
        .follow("kennel", on_dog);
    let address = format!("{dialect}+{}/notifications", kennel.url);
    let config = Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [("vet".to_owned(), Store::Sqlite(folder.join("vet.db")))].into(),
        follow: [("kennel".to_owned(), address.parse().unwrap())].into(),
        poll_interval: Duration::from_millis(50),
        ..Config::default()
    };
    Service::start([context], config).await.unwrap()
}

async fn dogs(vet: &Running) -> Vec<(u64, String)> {
    match vet.app("vet").unwrap().get(list()).await {
        Err(Error::NotFound { .. }) => Vec::new(),
        list => list.unwrap().dogs,
    }
}

/// The dogs were registered by the clock of the application, and not in 1970: after the beginning of 2026.
async fn assert_times(vet: &Running) {
    let seconds = vet.app("vet").unwrap().get(list()).await.unwrap().seconds;
    assert!(
        seconds.iter().all(|second| *second > 1_767_225_600),
        "{seconds:?}"
    );
}

fn numbered(ids: impl Iterator<Item = u64>) -> Vec<(u64, String)> {
    let names = (0..).map(|n| format!("dog {n}"));
    ids.zip(names).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_version_9_is_followed_over_gaps_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let kennel = Kennel::start(
        python(),
        "serve_9.py",
        Some(&folder.path().join("kennel.db")),
    );
    let vet_1 = vet(folder.path(), "eventsourcing-9", &kennel).await;
    for (n_more, n_all) in [(1, 1), (9, 10), (13, 23)] {
        kennel.post(&format!("/dogs/{n_more}")).await;
        until("all dogs are known", async || {
            dogs(&vet_1).await == numbered(1..=n_all)
        })
        .await;
    }
    assert_times(&vet_1).await;
    vet_1.shutdown().await;

    // Ids 24, 30 to 40 and 45 are missing when the box looks again.
    kennel.post("/dogs/30").await;
    for id in [24, 45].into_iter().chain(30..=40) {
        kennel.post(&format!("/forget/{id}")).await;
    }
    let is_there = |id: &u64| *id != 24 && *id != 45 && !(30..=40).contains(id);
    let all: Vec<(u64, String)> = numbered(1..=53)
        .into_iter()
        .filter(|(id, _)| is_there(id))
        .collect();
    let vet_2 = vet(folder.path(), "eventsourcing-9", &kennel).await;
    until("the others are known", async || dogs(&vet_2).await == all).await;
    vet_2.shutdown().await;

    // The same by each way to go, from anywhere.
    for navigation in [Navigation::Jump, Navigation::Links] {
        for after in [0, 9, 10, 23, 29, 35, 52, 53] {
            let log = kennel.log(ForeignDialect::Eventsourcing9);
            let epoch = log.describe().await.unwrap().log.epoch;
            let position = (after > 0).then_some(Position::new(epoch, after));
            let mut reader = NotificationLogReader::new(log, position).with_navigation(navigation);
            let mut read = Vec::new();
            loop {
                read.extend(reader.next_batch().await.unwrap());
                if !reader.has_more() {
                    break;
                }
            }
            let ids: Vec<u64> = read.iter().map(|n| n.id).collect();
            assert_eq!(ids, (after + 1..=53).collect::<Vec<_>>(), "{navigation:?}");
            for notification in read {
                let is_missing = notification.event.topic == MISSING_TOPIC;
                assert_eq!(is_missing, !is_there(&notification.id));
            }
        }
    }
    let log = kennel.log(ForeignDialect::Eventsourcing9);
    let epoch = log.describe().await.unwrap().log.epoch;
    let beyond = Some(Position::new(epoch, 54));
    let refused = NotificationLogReader::new(log, beyond).next_batch().await;
    assert!(matches!(
        refused,
        Err(LogError::AheadOfLog {
            position: 54,
            last: 53
        })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_version_8_is_followed_to_the_end_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let kennel = Kennel::start(python_8(), "serve_8.py", None);
    let vet = vet(folder.path(), "eventsourcing-8", &kennel).await;
    for (n_more, n_all) in [(20, 20), (1, 21), (39, 60), (7, 67)] {
        kennel.post(&format!("/dogs/{n_more}")).await;
        until("all dogs are known", async || {
            dogs(&vet).await == numbered(1..=n_all)
        })
        .await;
    }
    assert_times(&vet).await;
    vet.shutdown().await;
    assert_eq!(
        kennel
            .log(ForeignDialect::Eventsourcing8)
            .describe()
            .await
            .unwrap()
            .last,
        67
    );
}
