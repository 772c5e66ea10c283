//! What a box publishes in other words is sealed as well, and verified near and far.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boxes_application::{Notification, PublicLog};
use boxes_domain::{Aggregate, Event, Id};
use boxes_integrity::SigningKey;
use boxes_service::{BoundedContext, BoxCommand, Config, Running, Sealing, Service, Store};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----
";
const PUBLIC_HEX: &str = "8cbc24c3f6b223a82ad040682455f2f5397306df3c016de57aa9d470c949c4dc";

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed { customer: String },
    Repriced { margin: u32 },
}

#[derive(Default, Clone)]
struct Order;

impl Aggregate for Order {
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "sales.sale", crate = "boxes_domain")]
enum Sale {
    Agreed { customer: String },
}

fn sale(notification: Notification<OrderEvent>) -> Option<Sale> {
    match notification.event {
        OrderEvent::Placed { customer } => Some(Sale::Agreed { customer }),
        OrderEvent::Repriced { .. } => None,
    }
}

/// Somebody changed what is published, and did not count the revision up.
fn shouted_sale(notification: Notification<OrderEvent>) -> Option<Sale> {
    let Sale::Agreed { customer } = sale(notification)?;
    let customer = customer.to_uppercase();
    Some(Sale::Agreed { customer })
}

fn orders() -> BoundedContext {
    BoundedContext::new("orders")
        .aggregate::<Order>()
        .redactable()
}

fn honest() -> BoundedContext {
    orders().publish("sales", PublicLog::revision(1).translate(sale))
}

fn changed() -> BoundedContext {
    orders().publish("sales", PublicLog::revision(1).translate(shouted_sale))
}

fn config(folder: &Path) -> Config {
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [("orders".to_owned(), Store::Sqlite(folder.join("orders.db")))].into(),
        page_size: Some(2.try_into().unwrap()),
        sealing: Sealing {
            on: true,
            key: Some(Arc::new(SigningKey::from_pem(KEY).unwrap())),
            ..Sealing::default()
        },
        ..Config::default()
    }
}

async fn serve(context: BoundedContext, folder: &Path) -> Running {
    drop(rustls::crypto::ring::default_provider().install_default());
    Service::start([context], config(folder)).await.unwrap()
}

fn order(n: u32) -> Id<Order> {
    Id::named(&n.to_string())
}

async fn place(running: &Running, numbers: std::ops::Range<u32>) {
    let app = running.app("orders").unwrap();
    for n in numbers {
        let customer = format!("customer {n}");
        let placed = OrderEvent::Placed { customer };
        app.create(order(n), placed).await.unwrap();
        app.update(order(n), |_: &Order| OrderEvent::Repriced { margin: 41 })
            .await
            .unwrap();
    }
}

async fn json(running: &Running, path: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{}{path}", running.base_url()))
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// The sealer of the public log, once it is as it should be.
async fn sealer(running: &Running, is: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let (_, ready) = json(running, "/readyz").await;
        let sealer = ready["sealers"][1].clone();
        if is(&sealer) {
            return sealer;
        }
        assert!(start.elapsed() < DEADLINE, "not in time: {ready}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: BoxCommand,
}

async fn verify(context: BoundedContext, arguments: &[&str]) -> ExitCode {
    let arguments = [
        &["shop", "verify", "orders", "--signed-by", PUBLIC_HEX],
        arguments,
    ];
    let cli = Cli::parse_from(arguments.concat());
    cli.command.run([context]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_log_is_verified_near_and_far_and_whoever_changes_what_was_published_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let running = serve(honest(), folder.path()).await;
    place(&running, 0..4).await;
    let sealed = sealer(&running, |sealer| sealer["sealed_through"] == 6).await;
    assert_eq!(
        (&sealed["box"], &sealed["public_log"], &sealed["state"]),
        (&"orders".into(), &"orders/sales".into(), &"sealing".into())
    );
    let (status, seal) = json(&running, "/orders/sales/notifications/1,2/seal").await;
    assert_eq!((status, &seal["log"]), (200, &"orders/sales".into()));
    let (status, own) = json(&running, "/orders/notifications/1,2/seal").await;
    assert_eq!((status, &own["log"]), (200, &"orders".into()));
    let (_, keys) = json(&running, "/orders/sales/notifications/keys").await;
    assert_eq!(keys["keys"][0]["public_key"], PUBLIC_HEX);

    let url = format!("{}/orders/sales/notifications", running.base_url());
    let far = ["--public-log", "orders/sales", "--from-url", &url];
    let near = ["--data", data, "--public-log", "orders/sales"];
    assert_eq!(verify(honest(), &far).await, ExitCode::SUCCESS);
    assert_eq!(verify(honest(), &near).await, ExitCode::SUCCESS);
    assert_eq!(verify(changed(), &near).await, ExitCode::from(3));
    assert_eq!(verify(honest(), &near[..2]).await, ExitCode::SUCCESS);
    let unknown = ["--data", data, "--public-log", "orders/leads"];
    assert_eq!(verify(honest(), &unknown).await, ExitCode::from(2));

    // Of a deleted aggregate nobody can tell what it was published as: only that it is deleted.
    running
        .app("orders")
        .unwrap()
        .delete(order(1))
        .await
        .unwrap();
    assert_eq!(verify(honest(), &far).await, ExitCode::SUCCESS);
    assert_eq!(verify(honest(), &near).await, ExitCode::SUCCESS);
    running.shutdown().await;

    let running = serve(changed(), folder.path()).await;
    place(&running, 4..6).await;
    let stopped = sealer(&running, |sealer| sealer["state"] == "stopped").await;
    assert_eq!(stopped["public_log"], "orders/sales");
    running.shutdown().await;

    // Another revision is another log, which begins anew.
    let counted = orders().publish("sales", PublicLog::revision(2).translate(shouted_sale));
    let again = orders().publish("sales", PublicLog::revision(2).translate(shouted_sale));
    let running = serve(counted, folder.path()).await;
    sealer(&running, |sealer| sealer["sealed_through"] == 10).await;
    assert_eq!(verify(again, &near).await, ExitCode::SUCCESS);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_place_of_a_boxs_own_log_its_own_seals_are_served_and_none_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let instead = || orders().publish_instead(PublicLog::revision(1).translate(sale));
    let running = serve(instead(), folder.path()).await;
    place(&running, 0..3).await;
    sealer(&running, |sealer| sealer["sealed_through"] == 4).await;
    let (_, seal) = json(&running, "/orders/notifications/1,2/seal").await;
    let (_, page) = json(&running, "/orders/notifications/1,2").await;
    assert_eq!(seal["epoch"], page["epoch"], "{seal}");
    let url = format!("{}/orders/notifications", running.base_url());
    let far = verify(instead(), &["--from-url", &url]).await;
    assert_eq!(far, ExitCode::SUCCESS);
    let data = folder.path().to_str().unwrap();
    for log in [
        &["--data", data][..],
        &["--data", data, "--public-log", "orders"],
    ] {
        assert_eq!(verify(instead(), log).await, ExitCode::SUCCESS);
    }
    running.shutdown().await;
}
