//! A URL that names several hosts: one of them takes the writes, and another one when that is gone.

use std::time::Duration;

use boxes_recorder::RecorderError;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::database::{Database, Kind};
use crate::events::append;

/// A way to a server, which can be cut.
struct Way {
    port: u16,
    accepting: tokio::task::JoinHandle<()>,
}

impl Way {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            // They go with the task.
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&address).await.unwrap();
                connections.spawn(async move {
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self { port, accepting }
    }

    /// As when a host goes down: connections break, and new ones are refused.
    async fn cut(self) {
        self.accepting.abort();
        drop(self.accepting.await);
    }
}

/// The same tables by these hosts.
fn by(database: &Database, ports: &[u16]) -> Database {
    let (before, rest) = database.url.split_once('@').unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    let hosts: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    Database {
        kind: database.kind,
        url: format!("{before}@{}/{path}", hosts.join(",")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_goes_on_by_another_host_when_one_is_gone() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = Database::new(kind);
        let ways = [
            Way::to(database.address().to_owned()).await,
            Way::to(database.address().to_owned()).await,
        ];
        let [first, second] = ways;
        let by_both = by(&database, &[first.port, second.port]);
        let commit = by_both.commit().await;
        commit.append(append(1, 1)).await.unwrap();
        let values = commit.recorder().key_value_store().unwrap();
        values.put("kind", b"key", b"value").await.unwrap();
        assert_eq!(commit.recorder().head().await.unwrap(), 1);

        first.cut().await;
        // No caller hears of it.
        commit.append(append(1, 2)).await.unwrap();
        assert_eq!(commit.recorder().head().await.unwrap(), 2);
        values.put("kind", b"key", b"other").await.unwrap();
        assert_eq!(values.get("kind", b"key").await.unwrap().unwrap(), "other");
        // A start finds it as well.
        assert_eq!(by_both.recorder().await.head().await.unwrap(), 2);

        second.cut().await;
        let lost = tokio::time::timeout(Duration::from_secs(60), commit.append(append(1, 3)));
        let lost = lost.await.unwrap();
        assert!(
            matches!(lost, Err(RecorderError::Unavailable { .. })),
            "{lost:?}"
        );
        assert_eq!(database.whole_log().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_takes_writes_is_found_wherever_it_stands() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let setting = match kind {
            Kind::Postgres => ("default_transaction_read_only", "on"),
            Kind::Mysql => ("read-only", "1"),
        };
        let standby = kind
            .new_server()
            .with(setting.0, setting.1)
            .start()
            .unwrap();
        let primary = kind.new_server().start().unwrap();
        let database = Database::on(kind, &primary);
        let both = by(&database, &[standby.port(), primary.port()]);
        let recorder = both.recorder().await;
        recorder.record(&[append(1, 1)]).await.unwrap();
        assert_eq!(recorder.head().await.unwrap(), 1);
        assert_eq!(database.whole_log().await.len(), 1);

        let none = by(&database, &[standby.port(), standby.port()])
            .open()
            .await;
        assert!(
            matches!(none, Err(RecorderError::Unavailable { .. })),
            "{none:?}"
        );
    }
}
