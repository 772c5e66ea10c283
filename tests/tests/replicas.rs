//! Two processes of one box on one database.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use boxes_testing::{mysql_url, postgres_url};
use boxes_tests::{BoxProcess, DEADLINE};
use reqwest::header::{ETAG, IF_NONE_MATCH};
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ORDER: &str = r#"{"customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{"product":1,"quantity":2,"unit_price_cents":1800}]}"#;

/// The box orders in a process of its own, on this store; followers of it are elsewhere.
fn orders(store: &str) -> BoxProcess {
    let arguments = ["serve", "orders", "--store"].map(str::to_owned);
    let mut arguments = arguments.to_vec();
    arguments.push(format!("orders={store}"));
    for upstream in ["inventory", "payments", "shipping"] {
        // Nobody is there, and that is waited out.
        arguments.push("--follow".to_owned());
        arguments.push(format!(
            "{upstream}=http://127.0.0.1:9/{upstream}/notifications"
        ));
    }
    BoxProcess::new(env!("CARGO_BIN_EXE_shop-under-test"), arguments)
}

async fn place_order(client: &Client, process: &BoxProcess) {
    let placed = client
        .post(format!("{}/orders/orders", process.base_url()))
        .header("content-type", "application/json")
        .body(ORDER)
        .send()
        .await
        .unwrap();
    assert_eq!(placed.status(), StatusCode::CREATED);
}

/// An order is placed at one, while somebody waits for news at the other.
async fn is_seen_by_who_waits_at_the_other(store: &str, store_of_other: &str) {
    let mut here = orders(store);
    here.start_and_wait().await;
    let mut there = orders(store_of_other);
    there.start_and_wait().await;
    let client = Client::builder().build().unwrap();
    place_order(&client, &here).await;
    let current = format!("{}/orders/notifications", there.base_url());
    for _ in 0..3 {
        let page = client.get(&current).send().await.unwrap();
        let tag = page.headers()[ETAG].clone();
        let news = client
            .get(&current)
            .header(IF_NONE_MATCH, tag.clone())
            .header("prefer", "wait=60")
            .timeout(DEADLINE)
            .send();
        let (news, ()) = tokio::join!(news, place_order(&client, &here));
        let news = news.unwrap();
        assert_eq!(news.status(), StatusCode::OK);
        assert_ne!(news.headers()[ETAG], tag);
    }
    let both = [&here, &there].map(|process| {
        let url = format!("{}/orders/notifications", process.base_url());
        let page = client.get(url).send();
        async move { page.await.unwrap().text().await.unwrap() }
    });
    let [here, there] = both;
    assert_eq!(here.await, there.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_placed_at_one_process_is_seen_by_who_waits_at_another_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("orders.db").display());
    is_seen_by_who_waits_at_the_other(&store, &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_placed_at_one_process_is_seen_by_who_waits_at_another_on_postgresql() {
    let store = postgres_url();
    is_seen_by_who_waits_at_the_other(&store, &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_placed_at_one_process_is_seen_by_who_waits_at_another_on_mysql() {
    let store = mysql_url();
    is_seen_by_who_waits_at_the_other(&store, &store).await;
}

/// LISTEN and NOTIFY only make it faster.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_seen_at_the_other_process_also_when_every_word_of_postgresql_is_lost() {
    let store = postgres_url();
    let (before, rest) = store.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let (port, mut lost) = deaf_line_to(server.to_owned()).await;
    let deaf = format!("{before}@127.0.0.1:{port}/{path}&sslmode=disable");
    is_seen_by_who_waits_at_the_other(&store, &deaf).await;
    assert!(lost.try_recv().is_ok(), "there was nothing to lose");
}

/// A line to PostgreSQL on which notifications are lost, and nothing else.
async fn deaf_line_to(server: String) -> (u16, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, lost) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let tell = tell.clone();
            tokio::spawn(async move {
                // A message: its letter, its length with the length itself, and the rest.
                while let Ok(letter) = from_server.read_u8().await {
                    let length = from_server.read_u32().await?;
                    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
                    from_server.read_exact(&mut rest).await?;
                    if letter == b'A' {
                        tell.send(()).ok();
                        continue;
                    }
                    to_client.write_u8(letter).await?;
                    to_client.write_u32(length).await?;
                    to_client.write_all(&rest).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (port, lost)
}
