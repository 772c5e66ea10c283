//! Boxes that speak HTTPS, and follow each other by it.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boxes::http::Authorities;
use boxes::notification_log::NotificationLog;
use boxes::prelude::*;
use boxes::service::{Config, Running, Service, Stopped, Store, TlsFiles};
use boxes_tests::{Authority, DEADLINE, Entries, StartedProgram, until, write_entries};
use reqwest::Version;
use reqwest::tls::TlsInfo;
use serde_json::Value;
use tempfile::TempDir;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "archive.entry")]
enum Written {
    Written { n: u32 },
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "index.card")]
enum Card {
    Filed { n: u32 },
}

#[derive(Default, Clone)]
struct Cards;

impl Aggregate for Cards {
    type Event = Card;
    fn apply(&mut self, _: &Card) {}
}

async fn on_written(written: Notification<Written>, app: App) -> Result<(), Error> {
    let Written::Written { n } = written.event;
    app.upsert(Id::named("cards"), |_: &Cards| Card::Filed { n })
        .await?;
    Ok(())
}

fn config(name: &str) -> Config {
    Config {
        bind: ([127, 0, 0, 1], 0).into(),
        stores: [(name.to_owned(), Store::Memory)].into(),
        ..Config::default()
    }
}

async fn archive(tls: Option<TlsFiles>) -> Running {
    let config = Config {
        tls,
        ..config("archive")
    };
    let archive = BoundedContext::new("archive").aggregate::<Entries>();
    Service::start([archive], config).await.unwrap()
}

/// Files what it reads at the address, which it trusts if these authorities vouch for it.
async fn index(base_url: &str, authorities: Option<Authorities>) -> Running {
    let url = format!("{base_url}/archive/notifications").parse().unwrap();
    let config = Config {
        follow: [("archive".to_owned(), url)].into(),
        upstream_authorities: authorities
            .map(|authorities| ("archive".to_owned(), authorities))
            .into_iter()
            .collect(),
        ..config("index")
    };
    let index = BoundedContext::new("index")
        .aggregate::<Cards>()
        .follow("archive", on_written);
    Service::start([index], config).await.unwrap()
}

async fn head(running: &Running, name: &str) -> u64 {
    let log = running.app(name).unwrap().notification_log();
    log.describe().await.unwrap().last
}

/// What is in the way of the follower.
async fn error(running: &Running) -> String {
    let mut found = String::new();
    until("the follower says what is in its way", async || {
        let url = format!("{}/readyz", running.base_url());
        let ready = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        let ready: Value = serde_json::from_slice(&ready).unwrap();
        found = ready["followers"][0]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        !found.is_empty()
    })
    .await;
    found
}

#[tokio::test]
async fn a_box_follows_another_by_https_with_an_authority_of_their_own() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let archive = archive(Some(authority.issue("127.0.0.1", folder.path()))).await;
    assert!(archive.base_url().starts_with("https://127.0.0.1:"));
    let index = index(archive.base_url(), Some(authority.trusted())).await;
    write_entries(&archive, 45).await;
    until("all entries are filed", async || {
        head(&index, "index").await == 45
    })
    .await;
    assert_eq!(index.shutdown().await, Stopped::Drained);
    assert_eq!(archive.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn clients_get_http_2_where_they_know_it_and_otherwise_1() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let archive = archive(Some(authority.issue("127.0.0.1", folder.path()))).await;
    write_entries(&archive, 25).await;
    let url = format!("{}/archive/notifications/1,20", archive.base_url());
    let new = authority
        .client(|builder| builder)
        .get(&url)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (new.status().as_u16(), new.version()),
        (200, Version::HTTP_2)
    );
    let old = authority.client(reqwest::ClientBuilder::http1_only);
    let old = old.get(&url).send().await.unwrap();
    assert_eq!(
        (old.status().as_u16(), old.version()),
        (200, Version::HTTP_11)
    );
    assert_eq!(old.bytes().await.unwrap(), new.bytes().await.unwrap());
    assert_eq!(archive.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn shutdown_ends_who_waits_by_http_2() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let archive = archive(Some(authority.issue("127.0.0.1", folder.path()))).await;
    let stream = format!("{}/archive/notifications/stream", archive.base_url());
    let mut stream = authority
        .client(|builder| builder)
        .get(&stream)
        .send()
        .await
        .unwrap();
    assert_eq!(stream.version(), Version::HTTP_2);
    assert!(stream.chunk().await.unwrap().is_some(), "it has begun");
    let (stopped, rest) = tokio::join!(archive.shutdown(), stream.bytes());
    assert_eq!((stopped, rest.unwrap().len()), (Stopped::Drained, 0));
}

async fn impatient_archive(authority: &Authority, folder: &TempDir) -> Running {
    let config = Config {
        tls: Some(authority.issue("127.0.0.1", folder.path())),
        slow_client_timeout: Duration::from_millis(300),
        ..config("archive")
    };
    let archive = BoundedContext::new("archive").aggregate::<Entries>();
    let archive = Service::start([archive], config).await.unwrap();
    write_entries(&archive, 25).await;
    archive
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_by_http_2_is_cut_off() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let archive = impatient_archive(&authority, &folder).await;
    // A window of no bytes: the answer can't be sent, and the connection looks alive.
    let idle = authority.client(|builder| builder.http2_initial_stream_window_size(0));
    for below in ["", "/1,20", "/7", "/stream?after=0", "/export"] {
        let url = format!("{}/archive/notifications{below}", archive.base_url());
        let answer = idle.get(&url).send().await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        let body = tokio::time::timeout(DEADLINE, answer.bytes()).await;
        assert!(body.expect("it is cut off in time").is_err(), "{below}");
    }
    // An answer without a body leaves nothing to take.
    let url = format!("{}/archive/notifications/99", archive.base_url());
    assert_eq!(idle.head(&url).send().await.unwrap().status(), 404);
    assert_eq!(archive.shutdown().await, Stopped::Drained);
}

#[tokio::test]
async fn a_client_that_reads_by_http_2_is_served_however_little_it_takes_at_a_time_and_however_long_nothing_comes()
 {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let archive = impatient_archive(&authority, &folder).await;
    let client = authority.client(|builder| builder.http2_initial_stream_window_size(512));
    let url = |below: &str| format!("{}/archive/notifications{below}", archive.base_url());
    let mut stream = client.get(url("/stream")).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some(), "it has begun");
    // For several times as long as a client may read nothing.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let page = client.get(url("/1,20")).send().await.unwrap();
        assert!(page.bytes().await.unwrap().len() > 512);
    }
    write_entries(&archive, 1).await;
    let event = tokio::time::timeout(DEADLINE, stream.chunk()).await;
    let event = event.expect("the event in time").unwrap();
    assert!(event.is_some_and(|event| event.starts_with(b"id: 26@")));
    drop(stream);
    archive.shutdown().await;
}

#[tokio::test]
async fn a_follower_says_why_it_does_not_trust_who_answers() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let secure = archive(Some(authority.issue("127.0.0.1", folder.path()))).await;
    let mut found = String::new();
    // Another authority, and one that calls itself the same.
    for other in [Authority::named("other"), Authority::default()] {
        let stranger = index(secure.base_url(), Some(other.trusted())).await;
        found = error(&stranger).await;
        assert!(
            found.contains("shows a certificate that no authority trusted here vouches for"),
            "{found}"
        );
    }
    assert!(found.contains(secure.base_url()), "{found}");

    let elsewhere = TempDir::new().unwrap();
    let misnamed = archive(Some(authority.issue("shop.example", elsewhere.path()))).await;
    let follower = index(misnamed.base_url(), Some(authority.trusted())).await;
    let found = error(&follower).await;
    assert!(
        found.contains("certificate that is for another host"),
        "{found}"
    );

    let plain = archive(None).await;
    let base = plain.base_url().replace("http://", "https://");
    let follower = index(&base, Some(authority.trusted())).await;
    let found = error(&follower).await;
    assert!(found.contains("does not speak TLS"), "{found}");

    let base = secure.base_url().replace("https://", "http://");
    let answer = reqwest::get(format!("{base}/archive/notifications")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let text = answer.text().await.unwrap();
    assert!(text.contains("this port speaks TLS"), "{text}");
}

fn shop() -> Command {
    StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"))
}

/// The certificate that is shown to somebody who connects anew.
async fn shown(authority: &Authority, base_url: &str) -> Vec<u8> {
    let answer = authority
        .client(|builder| builder)
        .get(format!("{base_url}/healthz"))
        .send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    let info = answer.extensions().get::<TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_sighup_without_a_restart() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let files = authority.issue("127.0.0.1", folder.path());
    let mut command = shop();
    command.arg("--data").arg(folder.path());
    command.arg("--tls-certificate").arg(&files.certificate);
    command.arg("--tls-key").arg(&files.key);
    let mut program = StartedProgram::start(&mut command);
    let base_url = program.base_url().to_owned();
    let first = shown(&authority, &base_url).await;
    assert_eq!(shown(&authority, &base_url).await, first);

    assert_eq!(authority.issue("127.0.0.1", folder.path()), files);
    program.signal("-HUP");
    let mut second = first.clone();
    until("the renewed certificate is shown", async || {
        second = shown(&authority, &base_url).await;
        second != first
    })
    .await;

    std::fs::write(&files.key, "no key").unwrap();
    program.signal("-HUP");
    assert_eq!(shown(&authority, &base_url).await, second);
    program.signal("-TERM");
    assert_eq!(program.end().await, Some(0));
}

#[test]
fn a_certificate_that_can_not_be_used_is_a_sentence_and_exit_code_2() {
    let (authority, folder) = (Authority::default(), TempDir::new().unwrap());
    let files = authority.issue("127.0.0.1", folder.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let refusal = |arguments: &[&str]| {
        let output = shop().args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        stderr
    };
    let alone = refusal(&["--tls-certificate", &certificate]);
    assert!(alone.contains("set --tls-key or BOXES_TLS_KEY"), "{alone}");
    let alone = refusal(&["--tls-key", &key]);
    assert!(alone.contains("set --tls-certificate"), "{alone}");
    let swapped = refusal(&["--tls-certificate", &key, "--tls-key", &certificate]);
    assert!(
        swapped.contains("error: HTTPS can't be spoken: ")
            && swapped.contains(&format!("{key} holds no certificate")),
        "{swapped}"
    );
    let no_authority = refusal(&["--upstream-ca", &key]);
    assert!(
        no_authority.contains("--upstream-ca names")
            && no_authority.contains("holds no certificate of an authority"),
        "{no_authority}"
    );
    let nobody = refusal(&["--upstream-ca", &format!("cellar={certificate}")]);
    assert!(nobody.contains("--upstream-ca names `cellar`"), "{nobody}");
}
