//! Applications of the Python library `eventsourcing` become boxes.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test, too"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use boxes::mapper::{Encryption, Keys, Mapper};
use boxes::prelude::*;
use boxes::recorder::{Notification, Recorder, StreamRange};
use boxes::recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_application::{DataKeys, SystemEdge};
use boxes_testing::{postgres_url, python};
use boxes_tests::{BoxProcess, until};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// What a box in Rust knows of the events of the application.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "kennel.dog")]
enum DogEvent {
    #[event(alias = "kennel:Dog.Registered")]
    Registered { name: String },
    #[event(alias = "kennel:Dog.TrickAdded")]
    TrickAdded { trick: String },
}

/// A folder with the file of the application, and with that of the box `orders`.
struct Folder(TempDir);

impl Folder {
    fn new(n_dogs: u32, n_tricks: u32, modes: &[&str]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.kennel(n_dogs, n_tricks, modes);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Lets the application record events of new dogs.
    fn kennel(&self, n_dogs: u32, n_tricks: u32, modes: &[&str]) {
        let file = self.path("legacy.db");
        kennel(file.to_str().unwrap(), n_dogs, n_tricks, modes);
    }

    /// Changes the tables of the application behind its back.
    fn sql(&self, sql: &str) {
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()";
        let mut command = Command::new(python());
        command
            .args(["-c", script])
            .arg(self.path("legacy.db"))
            .arg(sql);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn command(&self, data: &str, more: &[&str]) -> Command {
        let from = format!("sqlite:{}", self.path("legacy.db").display());
        self.command_from(&from, data, more)
    }

    /// The box `orders` has no dogs.
    fn command_from(&self, from: &str, data: &str, more: &[&str]) -> Command {
        let mut command = self.strict_command_from(from, data, more);
        command.arg("--any-topic");
        command
    }

    fn strict_command_from(&self, from: &str, data: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        command
            .args(["import", "orders", "--from", from, "--data"])
            .arg(self.path(data))
            .args(more)
            .stdin(Stdio::null());
        command
    }

    fn import(&self, more: &[&str]) -> Output {
        self.command("data", more).output().unwrap()
    }

    fn imported(&self, more: &[&str]) -> String {
        let output = self.import(more);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "no bar where nobody looks");
        text(&output.stdout)
    }

    fn refused(&self, more: &[&str]) -> String {
        self.refused_with(1, more)
    }

    /// What was named can't be used.
    fn refused_table(&self, table: &str) -> String {
        self.refused_with(2, &["--table", table])
    }

    fn refused_with(&self, code: i32, more: &[&str]) -> String {
        let output = self.import(more);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stdout));
        text(&output.stderr)
    }

    async fn recorder(&self, data: &str) -> SqliteRecorder {
        let file = self.path(data).join("orders.db");
        let log = OpenLog::named("orders");
        SqliteRecorder::open(file.to_str().unwrap(), log)
            .await
            .unwrap()
    }

    async fn notifications(&self, data: &str) -> Vec<Notification> {
        let recorder = self.recorder(data).await;
        recorder.select_notifications(1, 100_000).await.unwrap()
    }
}

/// Lets the application record events of new dogs in an SQLite file or a PostgreSQL database.
fn kennel(place: &str, n_dogs: u32, n_tricks: u32, modes: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/kennel.py");
    let mut command = Command::new(python());
    command.arg(script).arg(place);
    command.args([n_dogs.to_string(), n_tricks.to_string()]);
    let output = command.args(modes).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn events_keep_their_order_ids_topics_and_states_and_gaps_are_closed() {
    let folder = Folder::new(3, 700, &[]);
    folder.kennel(1, 1, &[]);
    folder.sql("delete from stored_events where rowid = 2103 or rowid between 702 and 1402");
    let report = folder.path("ids.csv");
    let said = folder.imported(&["--report", report.to_str().unwrap()]);
    for part in [
        "1403 events of 3 aggregates are in the box; this run recorded 1403 of them.",
        "Gaps closed: 2, of 702 ids; the last id was 2105, and is 1403 now.",
        "         3 kennel:Dog.Registered",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    let report = std::fs::read_to_string(report).unwrap();
    let rows: Vec<&str> = report.lines().collect();
    assert_eq!(rows.len(), 1404);
    assert_eq!(
        (rows.first(), rows.last()),
        (Some(&"old_id,new_id"), Some(&"2105,1403"))
    );
    assert!(
        rows.contains(&"701,701") && rows.contains(&"1403,702") && rows.contains(&"2104,1402"),
        "{report}"
    );
}

#[tokio::test]
async fn a_box_reads_what_the_application_wrote_from_its_store_and_over_http() {
    let folder = Folder::new(2, 2, &[]);
    folder.imported(&["--topic", "kennel:Dog.TrickAdded=kennel.dog.trick_added"]);
    let all = folder.notifications("data").await;
    let topics: Vec<&str> = all.iter().map(|n| &*n.event.topic).collect();
    let of_one = [
        "kennel:Dog.Registered",
        "kennel.dog.trick_added",
        "kennel.dog.trick_added",
    ];
    assert_eq!(topics, [of_one, of_one].concat());

    let dog = all.last().unwrap().event.originator_id;
    let recorder = folder.recorder("data").await;
    let stored = recorder.select_events(dog, StreamRange::ALL).await.unwrap();
    let events: Vec<DogEvent> = stored
        .iter()
        .map(|event| Mapper::default().to_own_event(event).unwrap())
        .collect();
    let trick = |trick: &str| DogEvent::TrickAdded {
        trick: trick.into(),
    };
    let registered = DogEvent::Registered {
        name: "dog 1".into(),
    };
    assert_eq!(events, [registered, trick("trick 0"), trick("trick 1")]);
    let state: serde_json::Value = serde_json::from_slice(&stored.last().unwrap().state).unwrap();
    assert_eq!(state.pointer("/price/_type_").unwrap(), "decimal_str");
    let written = state
        .pointer("/timestamp/_data_")
        .unwrap()
        .as_str()
        .unwrap();
    assert_eq!(stored.last().unwrap().occurred_on, written.parse().unwrap());
    recorder.close().await.unwrap();

    let data = folder.path("data").display().to_string();
    let mut shop = BoxProcess::new(
        env!("CARGO_BIN_EXE_shop-under-test"),
        ["serve".to_owned(), "--data".to_owned(), data],
    );
    shop.start_and_wait().await;
    let url = format!("{}/orders/notifications/1,20", shop.base_url());
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    for state in all.iter().map(|n| text(&n.event.state)) {
        assert!(page.contains(&state), "{state} is missing in:\n{page}");
    }
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was_and_ends_as_if_it_had_not_been() {
    let folder = Folder::new(10, 1_999, &[]);
    let whole = folder.command("whole", &[]).output().unwrap();
    assert!(whole.status.success(), "{}", text(&whole.stderr));

    let mut child = folder
        .command("data", &[])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("something is imported", async || {
        if !folder.path("data").join("orders.db").exists() {
            return false;
        }
        folder.recorder("data").await.head().await.unwrap() > 0
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let before = folder.recorder("data").await.head().await.unwrap();
    assert!(before < 20_000, "it was too late to kill it");

    let report = folder.path("ids.csv");
    let said = folder.imported(&["--report", report.to_str().unwrap()]);
    let n_new = 20_000 - before;
    assert!(
        said.contains(&format!("this run recorded {n_new} of them")),
        "{said}"
    );
    assert!(folder.notifications("data").await == folder.notifications("whole").await);
    let report = std::fs::read_to_string(report).unwrap();
    assert_eq!(
        report.lines().count(),
        20_001,
        "the report is the whole one"
    );
}

#[test]
fn an_import_that_is_run_again_brings_what_is_new_and_nothing_twice() {
    let folder = Folder::new(2, 2, &[]);
    assert!(folder.imported(&[]).contains("this run recorded 6 of them"));
    assert!(folder.imported(&[]).contains("this run recorded 0 of them"));
    folder.kennel(1, 2, &[]);
    assert!(
        folder
            .imported(&[])
            .contains("9 events of 3 aggregates are in the box; this run recorded 3")
    );
}

#[tokio::test]
async fn an_import_is_run_again_after_an_aggregate_was_deleted() {
    let folder = Folder::new(2, 2, &[]);
    folder.imported(&[]);
    let dog = folder.notifications("data").await[0].event.originator_id;
    let recorder = folder.recorder("data").await;
    recorder.delete_stream(dog).await.unwrap();
    recorder.close().await.unwrap();
    assert!(folder.imported(&[]).contains("this run recorded 0 of them"));
    folder.kennel(1, 2, &[]);
    assert!(folder.imported(&[]).contains("this run recorded 3"));

    // What is left of it is compared all the same.
    folder.sql("update stored_events set originator_version = 9 where rowid = 1");
    let error = folder.refused(&[]);
    assert!(error.contains("the event with id 1 is not what"), "{error}");
}

#[test]
fn topics_that_the_box_can_not_read_are_refused_before_anything_is_imported() {
    let folder = Folder::new(1, 1, &[]);
    let known = [
        "--topic",
        "kennel:Dog.Registered=orders.order.placed",
        "--topic",
        "kennel:Dog.TrickAdded=orders.order.shipped",
    ];
    let from = format!("sqlite:{}", folder.path("legacy.db").display());
    let import = |topics: &[&str]| {
        let mut command = folder.strict_command_from(&from, "data", topics);
        command.output().unwrap()
    };
    for (topics, unknown) in [
        (&[][..], "id 1 has the topic `kennel:Dog.Registered`"),
        (&known[..2], "id 2 has the topic `kennel:Dog.TrickAdded`"),
    ] {
        let output = import(topics);
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(
            error.contains(unknown) && error.contains("--any-topic"),
            "{error}"
        );
    }
    let output = import(&known);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_table_that_has_changed_since_the_earlier_run_is_refused() {
    let folder = Folder::new(2, 2, &[]);
    folder.imported(&[]);
    let error = folder.refused(&["--topic", "kennel:Dog.TrickAdded=x"]);
    assert!(
        error.contains("the event with id 2 is not what an earlier run imported as 2"),
        "{error}"
    );
    folder.sql("update stored_events set state = '{}' where rowid = 5");
    let error = folder.refused(&[]);
    assert!(error.contains("the event with id 5 is not what"), "{error}");
    folder.sql("delete from stored_events where rowid > 4");
    let error = folder.refused(&[]);
    assert!(
        error.contains("came to id 6, which the table does not have"),
        "{error}"
    );
}

#[test]
fn a_box_that_has_events_of_its_own_is_refused() {
    let folder = Folder::new(1, 1, &[]);
    folder.imported(&[]);
    let mut other = folder.command("data", &["--table", "copy"]);
    folder.sql("create table copy as select * from stored_events");
    let error = text(&other.output().unwrap().stderr);
    assert!(
        error.contains("the box has 2 events that no import wrote"),
        "{error}"
    );
}

#[test]
fn what_can_not_be_imported_is_refused_in_a_sentence_that_says_why_and_leaves_the_box_empty() {
    let compressed = Folder::new(1, 1, &["compressed"]);
    let error = compressed.refused(&[]);
    assert!(
        error.contains("id 1 (kennel:Dog.Registered) is not JSON"),
        "{error}"
    );

    let folder = Folder::new(2, 2, &[]);
    let error = folder.refused_table("dogs");
    assert!(
        error.contains("no table `dogs`; it has: stored_events, stored_snapshots"),
        "{error}"
    );
    let error = folder.refused_table("stored_snapshots");
    assert!(error.contains("has no notification ids"), "{error}");
    folder.sql("create table newer as select *, 1 as causation from stored_events");
    let error = folder.refused_table("newer");
    assert!(
        error.contains("its columns are") && error.contains("causation"),
        "{error}"
    );
    folder.sql("update stored_events set originator_id = 'dog-1' where rowid = 4");
    let error = folder.refused(&[]);
    assert!(error.contains("id 4 is `dog-1`"), "{error}");
    folder.sql("delete from stored_events where rowid in (2, 4)");
    let error = folder.refused(&[]);
    assert!(
        error.contains("ids from 1 to 6 can't be imported: ") && error.contains("version 3"),
        "{error}"
    );
    folder.sql("delete from stored_events where rowid <> 1");
    assert!(folder.imported(&[]).contains("this run recorded 1 of them"));
}

#[tokio::test]
async fn a_table_in_postgresql_is_imported_as_one_in_sqlite_is() {
    let database = postgres_url();
    kennel(&database, 2, 3, &[]);
    let script =
        "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])";
    let (server, schema) = database.split_once("?schema=").unwrap();
    let sql = |sql: String| {
        let mut python = Command::new(python());
        let output = python.args(["-c", script, server, &sql]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    sql(format!(
        "delete from {schema}.kennel_events where notification_id = 4"
    ));
    kennel(&database, 1, 0, &[]);

    let folder = Folder(TempDir::new().unwrap());
    let import = |more: &[&str]| {
        let more = [&["--table", "kennel_events"], more].concat();
        let output = folder.command_from(&database, "data", &more).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let report = folder.path("ids.csv");
    let said = import(&["--report", report.to_str().unwrap()]);
    for part in [
        "8 events of 3 aggregates are in the box; this run recorded 8 of them.",
        "Gaps closed: 1, of 1 ids; the last id was 9, and is 8 now.",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    let report = std::fs::read_to_string(report).unwrap();
    let expected = "old_id,new_id\n1,1\n2,2\n3,3\n5,4\n6,5\n7,6\n8,7\n9,8\n";
    assert_eq!(report, expected);
    let all = folder.notifications("data").await;
    let events: Vec<DogEvent> = all
        .iter()
        .map(|n| Mapper::default().to_own_event(&n.event).unwrap())
        .collect();
    let registered = DogEvent::Registered {
        name: "dog 1".into(),
    };
    assert_eq!(events.get(3), Some(&registered));
    assert!(import(&[]).contains("this run recorded 0 of them"));

    let refused = |table: &str| {
        let mut command = folder.command_from(&database, "data", &["--table", table]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let error = refused("dogs");
    assert!(
        error.contains(&format!(
            "the schema `{schema}` has no table `dogs`; it has: kennel_events, kennel_snapshots"
        )),
        "{error}"
    );
    let error = refused("kennel_snapshots");
    assert!(error.contains("has no notification ids"), "{error}");
    sql(format!("drop schema {schema} cascade"));
}

#[tokio::test]
async fn states_that_are_compressed_and_encrypted_are_read_and_stored_as_the_box_stores_them() {
    let folder = Folder::new(1, 2, &["compressed", "encrypted"]);
    let run = |more: &[&str], keys: &[(&str, &str)]| {
        let how = ["--compressed", "--cipher-key-variable", "LEGACY_KEY"];
        let mut command = folder.command("data", &[&how, more].concat());
        command.envs(keys.iter().copied()).output().unwrap()
    };
    let legacy = ("LEGACY_KEY", "AAECAwQFBgcICQoLDA0ODw==");
    let own = "1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let own = [legacy, ("BOXES_KEYS", own)];

    for (key, expected) in [
        (None, "names LEGACY_KEY, which is not set"),
        (Some("secret"), "LEGACY_KEY can't be used: a cipher key"),
        (
            Some("AQECAwQFBgcICQoLDA0ODw=="),
            "id 1 (kennel:Dog.Registered) is not read: can't be decrypted",
        ),
    ] {
        let keys: Vec<_> = key.iter().map(|key| ("LEGACY_KEY", *key)).collect();
        let error = text(&run(&[], &keys).stderr);
        assert!(
            error.contains(expected) && !error.contains("secret"),
            "{error}"
        );
    }
    for n_new in [3, 0] {
        let output = run(&[], &own);
        let said = text(&output.stdout);
        let expected = format!("this run recorded {n_new} of them");
        assert!(said.contains(&expected), "{said}{}", text(&output.stderr));
    }
    let keys: Keys = own[1].1.parse().unwrap();
    let recorder = folder.recorder("data").await;
    let data_keys = DataKeys::open(&recorder, Arc::new(keys.clone()), &SystemEdge).await;
    let mapper = Mapper::default()
        .encrypted(Encryption::all(keys).required())
        .with_data_keys(data_keys.unwrap().unwrap().ring());
    let trick = |trick: &str| DogEvent::TrickAdded {
        trick: trick.into(),
    };
    let events: Vec<DogEvent> = folder
        .notifications("data")
        .await
        .iter()
        .skip(1)
        .map(|n| mapper.to_own_event(&n.event).unwrap())
        .collect();
    assert_eq!(events, [trick("trick 0"), trick("trick 1")]);
}

#[tokio::test]
async fn states_are_stored_in_the_format_of_the_box_and_known_again_by_the_next_run() {
    let folder = Folder::new(1, 2, &[]);
    folder.sql(
        "update stored_events set state = '{\"trick\":\"count to 2^70\",\"n\":1180591620717411303424}' where rowid = 3",
    );
    let format = ["--format", "messagepack"];
    for n_new in [3, 0] {
        let said = folder.imported(&format);
        let expected = format!("this run recorded {n_new} of them");
        assert!(said.contains(&expected), "{said}");
    }
    let all = folder.notifications("data").await;
    let encodings: Vec<&str> = all.iter().map(|n| n.event.encoding.as_str()).collect();
    // The last one has a number that only JSON holds.
    assert_eq!(encodings, ["messagepack", "messagepack", "json"]);
    let tricks: Vec<DogEvent> = all
        .iter()
        .skip(1)
        .map(|n| Mapper::default().to_own_event(&n.event).unwrap())
        .collect();
    let trick = |trick: &str| DogEvent::TrickAdded {
        trick: trick.into(),
    };
    assert_eq!(tricks, [trick("trick 0"), trick("count to 2^70")]);

    // Another format than that of the earlier run changes nothing of what is compared.
    assert!(folder.imported(&[]).contains("this run recorded 0 of them"));
    folder.sql("update stored_events set state = '{}' where rowid = 2");
    let error = folder.refused(&format);
    assert!(error.contains("the event with id 2 is not what"), "{error}");
}

#[test]
fn help_says_what_an_import_takes_and_nothing_that_is_for_serving() {
    let help = Command::new(env!("CARGO_BIN_EXE_shop-under-test"))
        .args(["import", "--help"])
        .output()
        .unwrap();
    let help = text(&help.stdout);
    for flag in [
        "--from <sqlite:FILE|postgres://USER@HOST/DATABASE>",
        "--table",
        "--topic <OLD=NEW>",
        "--report",
        "--store",
        "--format",
        "<BOX>",
    ] {
        assert!(help.contains(flag), "{flag} is missing in:\n{help}");
    }
    assert!(!help.contains("--bind"), "{help}");
}
