//! What a box publishes of its events, beside its own log or in its place, near and far.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use boxes_application::{App, Error, Notification, PublicLog};
use boxes_domain::{Aggregate, Event, Id};
use boxes_mapper::{Encryption, Key, KeyId, Keys, Mapper};
use boxes_service::{BoundedContext, Config, Delivery, Running, Service, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed { customer: String, margin: u32 },
    Repriced { margin: u32 },
    Shipped,
}

#[derive(Default, Clone)]
struct Order;

impl Aggregate for Order {
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

/// What others may know, in words of its own.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "sales.sale", crate = "boxes_domain")]
enum Sale {
    Agreed { customer: String },
}

/// A part of the events, as they are.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order", crate = "boxes_domain")]
enum Shipment {
    Shipped,
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "clerks.clerk", crate = "boxes_domain")]
enum ClerkEvent {
    Noted { sale: u64, customer: String },
}

#[derive(Default, Clone)]
struct Clerk {
    notes: Vec<(u64, String)>,
}

impl Aggregate for Clerk {
    type Event = ClerkEvent;
    fn apply(&mut self, ClerkEvent::Noted { sale, customer }: &ClerkEvent) {
        self.notes.push((*sale, customer.clone()));
    }
}

fn clerk() -> Id<Clerk> {
    Id::named("clerk")
}

fn sale(notification: Notification<OrderEvent>) -> Option<Sale> {
    match notification.event {
        OrderEvent::Placed { customer, .. } => Some(Sale::Agreed { customer }),
        OrderEvent::Repriced { .. } | OrderEvent::Shipped => None,
    }
}

async fn on_sale(notification: Notification<Sale>, app: App) -> Result<(), Error> {
    let Sale::Agreed { customer } = notification.event;
    let noted = ClerkEvent::Noted {
        sale: notification.id,
        customer,
    };
    app.upsert(clerk(), move |_: &Clerk| noted.clone()).await?;
    Ok(())
}

fn orders() -> BoundedContext {
    BoundedContext::new("orders").aggregate::<Order>()
}

fn clerks(upstream: &str) -> BoundedContext {
    BoundedContext::new("clerks")
        .aggregate::<Clerk>()
        .follow(upstream, on_sale)
}

fn sales() -> PublicLog {
    PublicLog::revision(1).translate(sale)
}

fn config() -> Config {
    let memory = |name: &str| (name.to_owned(), Store::Memory);
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [memory("orders"), memory("clerks")].into(),
        poll_interval: Duration::from_millis(100),
        ..Config::default()
    }
}

async fn order(running: &Running, customer: &str) {
    let app = running.app("orders").unwrap();
    let id = Id::<Order>::named(customer);
    let placed = OrderEvent::Placed {
        customer: customer.to_owned(),
        margin: 42,
    };
    app.create(id, placed).await.unwrap();
    app.update(id, |_: &Order| OrderEvent::Repriced { margin: 41 })
        .await
        .unwrap();
    app.update(id, |_: &Order| OrderEvent::Shipped)
        .await
        .unwrap();
}

async fn get(running: &Running, path: &str) -> (u16, String) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = format!("{}{path}", running.base_url());
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn page(running: &Running, path: &str) -> Value {
    let (status, text) = get(running, path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn topics(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["topic"].as_str().unwrap())
        .collect()
}

async fn noted(running: &Running) -> Vec<(u64, String)> {
    match running.app("clerks").unwrap().get(clerk()).await {
        Err(Error::NotFound { .. }) => Vec::new(),
        clerk => clerk.unwrap().notes.clone(),
    }
}

async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_log_beside_the_own_one_keeps_every_place_and_tells_only_what_is_public() {
    let context = orders()
        .publish("sales", sales())
        .publish("shipments", PublicLog::revision(1).pass::<Shipment>());
    let declared = [context, clerks("orders/sales")];
    let running = Service::start(declared, config()).await.unwrap();
    order(&running, "ALFKI").await;

    let own = page(&running, "/orders/notifications").await;
    let sales = page(&running, "/orders/sales/notifications").await;
    let withheld = "boxes.withheld";
    assert_eq!(topics(&sales), ["sales.sale.agreed", withheld, withheld]);
    assert_eq!(sales["items"][0]["state"], json!({ "customer": "ALFKI" }));
    assert_eq!(sales["items"][1]["state"], json!({}));
    assert_eq!(sales["log"], "orders/sales");
    assert_ne!(sales["epoch"], own["epoch"]);
    let of_own = |member: &str| &own["items"][0][member];
    for member in ["id", "event_id", "originator_id", "occurred_on", "metadata"] {
        assert_eq!(&sales["items"][0][member], of_own(member), "{member}");
    }
    let text = sales.to_string();
    for secret in [
        "margin",
        "orders.order",
        own["items"][1]["event_id"].as_str().unwrap(),
    ] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let address = format!(
        "/orders/sales/notifications/{}/1,20",
        sales["epoch"].as_str().unwrap()
    );
    assert!(text.contains(&address), "{text}");

    let shipments = page(&running, "/orders/shipments/notifications").await;
    assert_eq!(
        topics(&shipments),
        [withheld, withheld, "orders.order.shipped"]
    );
    assert_eq!(shipments["items"][2], own["items"][2]);

    let described = page(&running, "/orders/sales/notifications/log").await;
    assert_eq!(
        (&described["name"], &described["last"]),
        (&json!("orders/sales"), &json!(3))
    );
    let (_, index) = get(&running, "/").await;
    assert!(index.contains("/orders/sales/notifications"), "{index}");
    running.shutdown().await;
}

#[tokio::test]
async fn a_follower_of_a_public_log_is_told_the_same_near_and_far() {
    let near = [orders().publish("sales", sales()), clerks("orders/sales")];
    let near = Service::start(near, config()).await.unwrap();
    let far = Config {
        serve: vec!["clerks".to_owned()],
        follow: [(
            "orders/sales".to_owned(),
            format!("{}/orders/sales/notifications", near.base_url())
                .parse()
                .unwrap(),
        )]
        .into(),
        ..config()
    };
    let declared = [orders().publish("sales", sales()), clerks("orders/sales")];
    let far = Service::start(declared, far).await.unwrap();
    let mut expected = Vec::new();
    for (i, customer) in (0_u64..).zip([
        "ALFKI", "BLAUS", "CHOPS", "DRACD", "ERNSH", "FRANK", "GREAL", "HANAR",
    ]) {
        order(&near, customer).await;
        expected.push((3 * i + 1, customer.to_owned()));
    }
    for service in [&near, &far] {
        eventually("every sale is noted", || async {
            noted(service).await == expected
        })
        .await;
    }
    far.shutdown().await;
    near.shutdown().await;
}

#[tokio::test]
async fn a_log_in_the_place_of_the_own_one_is_all_that_others_see() {
    let declared = [orders().publish_instead(sales()), clerks("orders")];
    let config = Config {
        delivery: Delivery::Synchronous,
        ..config()
    };
    let running = Service::start(declared, config).await.unwrap();
    order(&running, "ALFKI").await;
    let noted = noted(&running).await;
    assert_eq!(noted, [(1, "ALFKI".to_owned())]);
    let public = page(&running, "/orders/notifications").await;
    assert_eq!(public["log"], "orders");
    assert_eq!(topics(&public)[0], "sales.sale.agreed");
    for path in [
        "/orders/notifications/1,20",
        "/orders/compat/eventsourcing-9/1,10",
    ] {
        let (_, text) = get(&running, path).await;
        assert!(!text.contains("orders.order"), "{text}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn another_revision_is_another_history() {
    let mut epochs = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for revision in [1, 1, 2] {
        let file = folder.path().join("orders.db");
        let config = Config {
            stores: [("orders".to_owned(), Store::Sqlite(file))].into(),
            ..config()
        };
        let public = PublicLog::revision(revision).translate(sale);
        let context = orders().publish("sales", public);
        let running = Service::start([context], config).await.unwrap();
        let described = page(&running, "/orders/sales/notifications/log").await;
        epochs.push(described["epoch"].as_str().unwrap().to_owned());
        running.shutdown().await;
    }
    assert_eq!(epochs[0], epochs[1]);
    assert_ne!(epochs[1], epochs[2]);
}

#[tokio::test]
async fn what_can_not_be_published_or_followed_is_refused_at_the_start() {
    let route = axum::routing::get(|| async {});
    for (context, expected) in [
        (orders().publish("Sales", sales()), "`Sales` is no name"),
        (
            orders().publish("sales", sales()).publish("sales", sales()),
            "it publishes two logs named `sales`",
        ),
        (
            orders().publish_instead(sales()).publish_instead(sales()),
            "two logs in the place of its own one",
        ),
        (
            orders()
                .publish("sales", sales())
                .route("/sales/notifications", route),
            "its route `/sales/notifications` is taken",
        ),
        (
            orders()
                .publish("sales", sales())
                .follow("orders/sales", on_sale),
            "it follows itself",
        ),
    ] {
        let refused = Service::start([context], config()).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    let alone = Config {
        mapper: Mapper::default().encrypted(Encryption::only(keys, ["sales"])),
        stores: [("orders".to_owned(), Store::Memory)].into(),
        ..config()
    };
    let refused = Service::start([orders().publish("sales", sales())], alone).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("to --encrypt"), "{refused}");
    let declared = [orders(), clerks("orders/sales")];
    let refused = Service::start(declared, config()).await.unwrap_err();
    let expected = "`clerks` follows `orders/sales`, which its box does not publish (did you mean `orders`?); the logs here are orders, clerks";
    assert!(refused.to_string().contains(expected), "{refused}");
}
