//! A thousand who wait for news of one log: they hold no connection to its database, all of them hear of one commit, and
//! all of them are let go when the program is told to stop.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::future::Future;

use boxes::http::install_crypto_provider;
use boxes_testing::postgres_url;
use boxes_tests::{DEADLINE, StartedProgram, until};
use futures::future::join_all;
use reqwest::{Client, Response, StatusCode};
use tempfile::TempDir;

/// How many wait by long polls, and as many by streams of events.
const N_EACH: usize = 500;

const LOG: &str = "/inventory/notifications";

fn client() -> Client {
    install_crypto_provider();
    Client::builder().timeout(DEADLINE).build().unwrap()
}

/// All at once, with what each of them comes to.
async fn all<F: Future<Output: Send + 'static> + Send + 'static>(
    begin: impl Fn() -> F,
) -> Vec<F::Output> {
    let tasks: Vec<_> = (0..N_EACH).map(|_| tokio::spawn(begin())).collect();
    let done = tokio::time::timeout(DEADLINE, join_all(tasks)).await;
    let done = done.unwrap_or_else(|_| panic!("not all of them came to an end"));
    done.into_iter().map(Result::unwrap).collect()
}

async fn add_product(base_url: &str, number: usize) {
    let product =
        format!(r#"{{"product":{number},"name":"Chai","units_in_stock":1,"reorder_level":0}}"#);
    let request = client()
        .post(format!("{base_url}/inventory/products"))
        .header("content-type", "application/json")
        .body(product);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

async fn etag(url: &str) -> String {
    let page = client().get(url).send().await.unwrap();
    page.headers()["etag"].to_str().unwrap().to_owned()
}

/// Reads a stream up to the first event, or to its end.
async fn next_event(stream: &mut Response) -> Option<String> {
    let mut text = String::new();
    while let Some(piece) = stream.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        if text.contains("\ndata: ") && text.ends_with("\n\n") {
            return Some(text);
        }
    }
    None
}

async fn n_under_way(base_url: &str) -> usize {
    let figures = client().get(format!("{base_url}/metrics")).send();
    let figures = figures.await.unwrap().text().await.unwrap();
    let line = figures
        .lines()
        .find_map(|line| line.strip_prefix("boxes_http_requests_under_way "));
    line.unwrap().parse().unwrap()
}

/// So many long polls that know the newest state, begun and waiting; each gives its answer.
async fn long_polls(base_url: &str) -> impl Future<Output = Vec<Response>> + use<> {
    let url = format!("{base_url}{LOG}");
    let etag = etag(&url).await;
    let client = client();
    let polls = tokio::spawn(all(move || {
        let poll = client
            .get(&url)
            .header("if-none-match", &etag)
            .header("prefer", "wait=30");
        async move { poll.send().await.unwrap() }
    }));
    let waiting = async || n_under_way(base_url).await > N_EACH;
    until("all long polls wait", waiting).await;
    async move { polls.await.unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_wait_hold_no_connection_of_the_database_and_are_all_woken_and_all_let_go() {
    let data = TempDir::new().unwrap();
    // One connection writes, two read, and one listens: none is to spare for anybody who waits.
    let store = format!("inventory={}&max_readers=2", postgres_url());
    let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
    command
        .arg("--data")
        .arg(data.path())
        .args(["--store", &store, "--shutdown-timeout", "60"])
        // All of them are one client, which may have half of the places.
        .args(["--max-waiters", "4096"]);
    let mut program = StartedProgram::start(&mut command);
    let base_url = program.base_url().to_owned();
    add_product(&base_url, 1).await;

    let client = client();
    let stream = format!("{base_url}{LOG}/stream");
    let mut streams = all(move || {
        let stream = client.get(&stream);
        async move {
            let mut stream = stream.send().await.unwrap();
            assert_eq!(stream.status(), StatusCode::OK);
            assert!(stream.chunk().await.unwrap().is_some(), "it has begun");
            stream
        }
    })
    .await;
    let polls = long_polls(&base_url).await;

    // With all of them waiting, the box is read and commanded as ever.
    let one = format!("{base_url}{LOG}/1");
    let one = reqwest::get(one).await.unwrap();
    assert_eq!(one.status(), StatusCode::OK);
    add_product(&base_url, 2).await;
    for answer in polls.await {
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.text().await.unwrap().contains(r#""id":2,"#));
    }
    let events = join_all(streams.iter_mut().map(next_event));
    for event in tokio::time::timeout(DEADLINE, events).await.unwrap() {
        let event = event.unwrap();
        assert!(event.contains("id: 2@"), "{event}");
    }

    let polls = long_polls(&base_url).await;
    program.signal("-TERM");
    for answer in polls.await {
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    }
    let ends = join_all(streams.iter_mut().map(next_event));
    let ends = tokio::time::timeout(DEADLINE, ends).await.unwrap();
    assert!(ends.iter().all(Option::is_none), "a stream ends, whole");
    assert_eq!(program.end().await, Some(0));
}
