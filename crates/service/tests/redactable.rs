//! A box of which aggregates may be deleted, as its clients and caches see it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use boxes_application::App;
use boxes_domain::{Aggregate, Event, Id};
use boxes_service::{BoundedContext, Config, Json, Path, Problem, Running, Service, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "customers.customer", crate = "boxes_domain")]
enum CustomerEvent {
    Registered { name: String },
}

#[derive(Default, Clone)]
struct Customer {
    name: String,
}

impl Aggregate for Customer {
    type Event = CustomerEvent;
    fn apply(&mut self, CustomerEvent::Registered { name }: &CustomerEvent) {
        self.name.clone_from(name);
    }
}

async fn name(
    State(app): State<App>,
    Path(id): Path<Id<Customer>>,
) -> Result<Json<String>, Problem> {
    Ok(Json(app.get(id).await?.name))
}

async fn forget(
    State(app): State<App>,
    Path(id): Path<Id<Customer>>,
) -> Result<StatusCode, Problem> {
    app.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn customers() -> BoundedContext {
    BoundedContext::new("customers")
        .aggregate::<Customer>()
        .route("/customers/{id}", get(name).delete(forget))
}

fn config() -> Config {
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [("customers".to_owned(), Store::Memory)].into(),
        page_size: Some(2.try_into().unwrap()),
        ..Config::default()
    }
}

fn customer(n: u32) -> Id<Customer> {
    Id::named(&n.to_string())
}

async fn started(context: BoundedContext, config: Config) -> Running {
    // The second one to install it finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let running = Service::start([context], config).await.unwrap();
    let app = running.app("customers").unwrap();
    for n in 1..=5 {
        let name = format!("customer number {n}");
        app.create(customer(n), CustomerEvent::Registered { name })
            .await
            .unwrap();
    }
    running
}

async fn fetch(running: &Running, path: &str) -> reqwest::Response {
    let url = format!("{}{path}", running.base_url());
    reqwest::get(url).await.unwrap()
}

async fn delete(running: &Running, n: u32) -> reqwest::Response {
    let url = format!("{}/customers/customers/{}", running.base_url(), customer(n));
    let client = reqwest::Client::builder().build().unwrap();
    client.delete(url).send().await.unwrap()
}

async fn cache_control(running: &Running) -> String {
    let page = fetch(running, "/customers/notifications/1,2").await;
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let page: Value = serde_json::from_str(&page.text().await.unwrap()).unwrap();
    let page = fetch(running, page["links"]["self"].as_str().unwrap()).await;
    page.headers()["cache-control"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_is_forgotten_and_what_is_published_says_so() {
    let running = started(customers().redactable(), config()).await;
    assert_eq!(
        cache_control(&running).await,
        "public, max-age=3600, must-revalidate"
    );
    let path = format!("/customers/customers/{}", customer(2));
    assert_eq!(fetch(&running, &path).await.status(), 200);
    for _ in 0..2 {
        assert_eq!(delete(&running, 2).await.status(), 204);
    }
    let gone = fetch(&running, &path).await;
    assert_eq!(gone.status(), 410);
    let problem: Value = serde_json::from_str(&gone.text().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "/problems/deleted");
    assert_eq!(fetch(&running, "/problems/deleted").await.status(), 200);
    let page = fetch(&running, "/customers/notifications/1,2").await;
    let page = page.text().await.unwrap();
    assert!(
        page.contains("number 1") && !page.contains("number 2"),
        "{page}"
    );
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["items"][1]["redacted"], true);
    running.shutdown().await;
}

#[tokio::test]
async fn who_waits_for_the_current_page_is_told_at_once_whatever_the_store() {
    let folder = tempfile::tempdir().unwrap();
    for store in [
        Store::Memory,
        Store::Sqlite(folder.path().join("customers.db")),
    ] {
        let config = Config {
            stores: [("customers".to_owned(), store)].into(),
            ..config()
        };
        let running = started(customers().redactable(), config).await;
        let before = fetch(&running, "/customers/notifications").await;
        let client = reqwest::Client::builder().build().unwrap();
        let asked = client
            .get(before.url().clone())
            .header("if-none-match", &before.headers()["etag"])
            .header("prefer", "wait=30")
            .send();
        // Whether it has begun to wait by then, or looks afterwards, it is told.
        let (answered, deleted) = tokio::join!(asked, delete(&running, 5));
        assert_eq!(deleted.status(), 204);
        let answered = answered.unwrap();
        assert_eq!(answered.status(), 200);
        let page: Value = serde_json::from_str(&answered.text().await.unwrap()).unwrap();
        assert_eq!(page["items"][0]["redacted"], true);
        assert_eq!(page["last"], 5);
        running.shutdown().await;
    }
}

#[tokio::test]
async fn an_encoded_comma_leads_to_the_page() {
    let running = started(customers(), config()).await;
    let page = fetch(&running, "/customers/notifications/3%2C4").await;
    assert_eq!(page.url().path(), "/customers/notifications/3,4");
    assert!(page.text().await.unwrap().contains("customer number 3"));
    running.shutdown().await;
}

#[tokio::test]
async fn the_operator_may_say_so_too_and_for_how_long_caches_keep_pages() {
    let config = Config {
        redactable: vec!["customers".to_owned()],
        redactable_freshness: Duration::from_secs(90),
        ..config()
    };
    let running = started(customers(), config).await;
    assert!(cache_control(&running).await.contains("max-age=90,"));
    assert_eq!(delete(&running, 3).await.status(), 204);
    running.shutdown().await;
}

#[tokio::test]
async fn a_box_that_nobody_said_it_of_keeps_its_pages_for_ever_and_deletes_nothing() {
    let running = started(customers(), config()).await;
    assert!(cache_control(&running).await.contains("immutable"));
    assert_eq!(delete(&running, 2).await.status(), 500);
    let path = format!("/customers/customers/{}", customer(2));
    assert_eq!(fetch(&running, &path).await.status(), 200);
    running.shutdown().await;
}
