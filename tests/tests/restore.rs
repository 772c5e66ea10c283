//! A box that was restored from an older backup, and one that had followed it beyond.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use boxes::prelude::*;
use boxes::service::{BoxCommand, Config, Running, Service};
use boxes_tests::{
    Copied, Counted, Fault, FaultProxy, copied, count, follower, mirror_box, source_box, start,
    until,
};
use clap::Parser;

/// The program of these boxes, with its command line.
#[derive(Parser)]
enum Cli {
    #[command(flatten)]
    Box(BoxCommand),
}

async fn does(arguments: &[&str]) {
    let Cli::Box(command) = Cli::parse_from(arguments);
    let code = command.run([source_box(), mirror_box()]).await;
    // An exit code has no equality of its own.
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS),
        "{arguments:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_followed_a_restored_log_stops_and_goes_on_from_where_its_two_histories_part() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (file, backup) = (
        folder.path().join("source.db"),
        folder.path().join("backup"),
    );
    let source = start(source_box(), folder.path(), None).await;
    count(&source, 1..=20).await;
    // While it runs.
    let to = backup.to_str().unwrap();
    does(&["shop", "backup", "source", to, "--data", data]).await;
    source.shutdown().await;
    assert!(!beside(&file, "-wal").exists(), "the file is closed");

    let source = start(source_box(), folder.path(), None).await;
    count(&source, 21..=30).await;
    let proxy = FaultProxy::start(source.address().to_string()).await;
    let mirror = start(mirror_box(), folder.path(), Some(&proxy)).await;
    until("all is copied", async || copied(&mirror).await.len() == 30).await;

    // What happened after the backup is lost, and something else happens.
    proxy.set(Fault::Down);
    source.shutdown().await;
    std::fs::copy(&backup, &file).unwrap();
    // What stands beside a file belongs to the one that was there: a reader that was cut off may have left it.
    for ending in ["-wal", "-shm"] {
        drop(std::fs::remove_file(beside(&file, ending)));
    }
    does(&["shop", "new-epoch", "source", "--data", data]).await;
    let source = start(source_box(), folder.path(), None).await;
    count(&source, 101..=140).await;
    proxy.lead_to(source.address());
    proxy.set(Fault::None);
    until("the follower stops", async || {
        follower(&mirror).await["state"] == "stopped"
    })
    .await;
    let said = follower(&mirror).await.to_string();
    assert!(said.contains("epoch"), "{said}");
    assert_eq!(copied(&mirror).await.len(), 30);

    // The backup ended with 20: so far the histories are one.
    let url = format!("{}/source/notifications/log", source.base_url());
    let log = reqwest::get(url).await.unwrap().text().await.unwrap();
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    let epoch = log["epoch"].as_str().unwrap();
    mirror.shutdown().await;
    let set = [
        "shop",
        "set-position",
        "mirror",
        "--data",
        data,
        "--follower",
        "source",
        "--epoch",
        epoch,
        "--after",
        "20",
    ];
    does(&set).await;
    let mirror = start(mirror_box(), folder.path(), Some(&proxy)).await;
    until("it goes on", async || copied(&mirror).await.len() == 70).await;
    let expected: Vec<u32> = (1..=30).chain(101..=140).collect();
    assert_eq!(copied(&mirror).await, expected);
    assert_eq!(follower(&mirror).await["state"], "following");
}

/// What SQLite keeps beside a database file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn shop(arguments: &[&str]) -> Output {
    let mut shop = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
        shop.env_remove(name);
    }
    shop.args(arguments).output().unwrap()
}

#[test]
fn what_can_not_be_repaired_is_refused_in_a_sentence_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let refusal = |arguments: &[&str]| {
        let output = shop(arguments);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let nothing = refusal(&["new-epoch", "orders", "--data", data]);
    assert!(nothing.contains("restore it first"), "{nothing}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let file = folder.path().join("backup.db");
    let to = file.to_str().unwrap();
    let no_log = refusal(&["backup", "orders", to, "--data", data]);
    assert!(
        no_log.contains("there is no log of box `orders`"),
        "{no_log}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for (url, tool) in [
        (
            "postgres://shop:secret@db/shop?schema=s",
            "pg_dump --schema='\"s\"'",
        ),
        (
            "mysql://shop:secret@db/shop",
            "mysqldump --single-transaction",
        ),
    ] {
        let store = format!("orders={url}");
        let refused = refusal(&["backup", "orders", to, "--store", &store]);
        assert!(
            refused.contains(tool) && refused.contains("key_value"),
            "{refused}"
        );
        assert!(!refused.contains("secret"), "{refused}");
    }
    let no_box = refusal(&["new-epoch", "order", "--data", data]);
    assert!(no_box.contains("there is no box `order`"), "{no_box}");
    let memory = refusal(&["new-epoch", "orders", "--store", "orders=memory:"]);
    assert!(memory.contains("in memory"), "{memory}");
    let not_there = refusal(&[
        "skip",
        "orders",
        "--data",
        data,
        "--follower",
        "payments",
        "--notification",
        "1",
    ]);
    assert!(not_there.contains("no store yet"), "{not_there}");
    let set = |follower: &str| {
        refusal(&[
            "set-position",
            "orders",
            "--data",
            data,
            "--follower",
            follower,
            "--after",
            "7",
        ])
    };
    let no_log = set("payments");
    assert!(no_log.contains("--follow payments="), "{no_log}");
    let nobody = set("payment");
    assert!(
        nobody.contains("no follower `payment`; its followers are: inventory, payments, shipping"),
        "{nobody}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A follower that is held up at a notification, and is led over it and over nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_notification_that_holds_a_follower_up_can_be_skipped() {
    async fn fail_at_2(n: Notification<Copied>, _: App) -> Result<(), Error> {
        match n.id {
            2 => Err(Error::not_yet("what never comes")),
            _ => Ok(()),
        }
    }
    let boxes = || {
        [
            source_box(),
            mirror_box(),
            BoundedContext::new("reader").follow("mirror", fail_at_2),
        ]
    };
    boxes_http::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let config = || Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: folder.path().to_owned(),
        ..Config::default()
    };
    let held_up = async |running: &Running, at: u64, state: &str| {
        until("the follower comes to it", async || {
            let url = format!("{}/readyz", running.base_url());
            let ready = reqwest::get(url).await.unwrap().text().await.unwrap();
            let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
            let followers = ready["followers"].as_array().unwrap();
            let reader = followers.iter().find(|f| f["box"] == "reader").unwrap();
            reader["position"] == at && reader["state"] == state
        })
        .await;
    };
    let running = Service::start(boxes(), config()).await.unwrap();
    count(&running, 1..=3).await;
    held_up(&running, 1, "retrying").await;
    running.shutdown().await;

    let skip = async |id: &str| {
        let arguments = [
            "shop",
            "skip",
            "reader",
            "--data",
            &data,
            "--follower",
            "mirror",
        ];
        let Cli::Box(command) =
            Cli::parse_from(arguments.into_iter().chain(["--notification", id]));
        format!("{:?}", command.run(boxes()).await)
    };
    let [done, refused] =
        [0, 2].map(|code: u8| format!("{:?}", std::process::ExitCode::from(code)));
    for not_this in ["1", "3", "4"] {
        assert_eq!(skip(not_this).await, refused, "{not_this}");
    }
    assert_eq!(skip("2").await, done);
    assert_eq!(skip("2").await, refused);
    let running = Service::start(boxes(), config()).await.unwrap();
    held_up(&running, 3, "following").await;
    running.shutdown().await;
    // At the end of the log there is nothing to skip.
    assert_eq!(skip("4").await, refused);
}

/// Made by one box for each number, and kept by another for each that was made.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "maker.part")]
enum Part {
    Made { n: u32 },
}

#[derive(Default, Clone)]
struct MadePart;

impl Aggregate for MadePart {
    type Event = Part;
    fn apply(&mut self, _: &Part) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "keeper.part")]
enum Kept {
    Kept { n: u32 },
}

#[derive(Default, Clone)]
struct KeptPart;

impl Aggregate for KeptPart {
    type Event = Kept;
    fn apply(&mut self, _: &Kept) {}
}

async fn make(n: Notification<Counted>, app: App) -> Result<(), Error> {
    let Counted::Counted { n } = n.event;
    app.create(Id::<MadePart>::named(&n.to_string()), Part::Made { n })
        .await
        .map(drop)
}

async fn keep(n: Notification<Part>, app: App) -> Result<(), Error> {
    let Part::Made { n } = n.event;
    app.create(Id::<KeptPart>::named(&n.to_string()), Kept::Kept { n })
        .await
        .map(drop)
}

/// The documented way through, where the restored box repeats what its followers have reacted to already.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_follows_is_restored_and_every_follower_comes_through() {
    boxes_http::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap().to_owned();
    let boxes = || {
        [
            source_box(),
            BoundedContext::new("maker")
                .aggregate::<MadePart>()
                .follow("source", make),
            BoundedContext::new("keeper")
                .aggregate::<KeptPart>()
                .follow("maker", keep),
        ]
    };
    let run = async || {
        let config = Config {
            bind: ([127, 0, 0, 1], 0).into(),
            data: folder.path().to_owned(),
            ..Config::default()
        };
        Service::start(boxes(), config).await.unwrap()
    };
    let ready = async |running: &Running| {
        let url = format!("{}/readyz", running.base_url());
        let body = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let all_read = async |running: &Running, n: u64| {
        until("everything is read", async || {
            let ready = ready(running).await;
            let followers = ready["followers"].as_array().unwrap();
            ready["status"] == "ready"
                && followers
                    .iter()
                    .all(|f| f["position"] == n && f["state"] == "following")
        })
        .await;
    };
    let shop = async |arguments: &[&str]| {
        let in_data = [arguments, &["--data", data.as_str()]].concat();
        let Cli::Box(command) = Cli::parse_from(["shop"].into_iter().chain(in_data));
        let code = format!("{:?}", command.run(boxes()).await);
        assert_eq!(code, format!("{:?}", std::process::ExitCode::SUCCESS));
    };
    let running = run().await;
    count(&running, 1..=5).await;
    all_read(&running, 5).await;
    running.shutdown().await;
    let (file, backup) = (folder.path().join("maker.db"), folder.path().join("backup"));
    std::fs::copy(&file, &backup).unwrap();
    let running = run().await;
    count(&running, 6..=9).await;
    all_read(&running, 9).await;
    running.shutdown().await;

    std::fs::copy(&backup, &file).unwrap();
    for ending in ["-wal", "-shm"] {
        drop(std::fs::remove_file(beside(&file, ending)));
    }
    shop(&["new-epoch", "maker"]).await;
    shop(&[
        "set-position",
        "keeper",
        "--follower",
        "maker",
        "--after",
        "5",
    ])
    .await;
    let running = run().await;
    until("the keeper meets what it has", async || {
        let ready = ready(&running).await;
        let followers = ready["followers"].as_array().unwrap();
        let held_up = |f: &serde_json::Value| {
            let error = f["error"].as_str().unwrap_or_default();
            f["box"] == "keeper" && f["state"] == "retrying" && error.contains("exists already")
        };
        followers.iter().any(held_up) && followers.iter().any(|f| f["position"] == 9)
    })
    .await;
    running.shutdown().await;
    for id in ["6", "7", "8", "9"] {
        shop(&[
            "skip",
            "keeper",
            "--follower",
            "maker",
            "--notification",
            id,
        ])
        .await;
    }
    let running = run().await;
    count(&running, 10..=12).await;
    all_read(&running, 12).await;
    running.shutdown().await;
}

/// Whoever starts programs again, such as systemd, is told that it is of no use.
#[test]
fn a_store_that_can_not_be_opened_as_configured_ends_a_program_with_2_and_one_that_is_away_with_1()
{
    let folder = tempfile::tempdir().unwrap();
    let no_database = folder.path().join("orders.db");
    std::fs::write(&no_database, "no database".repeat(500)).unwrap();
    let missing = |url: String| {
        let (server, _) = url.split_once('?').unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        format!("{server}/no_such_database")
    };
    for (store, code) in [
        (format!("sqlite:{}", no_database.display()), 2),
        (missing(boxes_testing::postgres_url()), 2),
        (missing(boxes_testing::mysql_url()), 2),
        ("postgres://shop@127.0.0.1:1/shop".to_owned(), 1),
        ("mysql://shop@127.0.0.1:1/shop".to_owned(), 1),
    ] {
        let store = format!("orders={store}");
        let serve = [
            "serve",
            "--data",
            folder.path().to_str().unwrap(),
            "--store",
            &store,
            "--bind",
            "127.0.0.1:0",
        ];
        let ended = shop(&serve);
        assert_eq!(ended.status.code(), Some(code), "{store}: {ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("the box `orders` can't use"), "{said}");
    }
}
