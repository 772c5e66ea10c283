//! The real orders through all four boxes: the same results however the boxes run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::path::Path;

use boxes::mapper::{Encryption, Keys, Mapper};
use boxes::service::{Config, Delivery, Running, Service, Store};
use boxes_testing::{mysql_url, postgres_url};
use boxes_tests::{FourServices, Story, stories};
use inventory::product::Product;
use monolith::demo::settled;
use monolith::northwind::Northwind;
use monolith::replay::replay;
use monolith::totals::Totals;
use monolith::{Endpoints, contexts};

/// A box, and what gives it a place of its own on a server.
type OnServer = (&'static str, fn() -> String);

const PROGRAM: &str = env!("CARGO_BIN_EXE_shop-under-test");

/// The boxes of the shop.
const NAMES: [&str; 4] = ["orders", "inventory", "payments", "shipping"];

async fn monolith(data: &Path, delivery: Delivery) -> Running {
    monolith_on(data, delivery, &[]).await
}

/// The same with each of these boxes in a place of its own on a server, and the others on SQLite.
async fn monolith_on(data: &Path, delivery: Delivery, on_servers: &[OnServer]) -> Running {
    let store = |(name, url): &OnServer| -> (String, Store) {
        ((*name).to_owned(), url().parse().unwrap())
    };
    let config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: data.to_owned(),
        delivery,
        stores: on_servers.iter().map(store).collect(),
        ..Config::default()
    };
    Service::start(contexts(), config).await.unwrap()
}

/// Replays all orders one at a time, and returns the logs, once the totals are as expected.
async fn replay_sequentially(endpoints: &Endpoints) -> Vec<(&'static str, Vec<Story>)> {
    replay(endpoints, &Northwind::load().unwrap(), 1, || ())
        .await
        .unwrap();
    let tally = settled(endpoints).await.unwrap();
    assert_eq!(
        (tally.totals(), tally.violations()),
        (&Totals::EXPECTED, [].as_slice())
    );
    stories(endpoints).await
}

/// `assert_eq` would print four whole logs.
fn assert_same(one: &[(&str, Vec<Story>)], other: &[(&str, Vec<Story>)]) {
    for ((name, one), (_, other)) in one.iter().zip(other) {
        for (one, other) in one.iter().zip(other) {
            assert_eq!(one, other, "the logs of {name} differ");
        }
        assert_eq!(one.len(), other.len(), "one log of {name} is longer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_or_four_give_the_same_logs_event_for_event() {
    let folder = tempfile::tempdir().unwrap();
    let synchronous = monolith(&folder.path().join("synchronous"), Delivery::Synchronous).await;
    let expected = replay_sequentially(&Endpoints::monolith(synchronous.base_url()).unwrap()).await;
    synchronous.shutdown().await;

    let concurrent = monolith(&folder.path().join("concurrent"), Delivery::Concurrent).await;
    assert_same(
        &expected,
        &replay_sequentially(&Endpoints::monolith(concurrent.base_url()).unwrap()).await,
    );
    concurrent.shutdown().await;

    let mut services = FourServices::new(PROGRAM, &folder.path().join("services"), &[]);
    services.start().await;
    assert_same(&expected, &replay_sequentially(&services.endpoints()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_databases_the_boxes_are_on_the_logs_are_the_same_event_for_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut logs = Vec::new();
    let postgres: fn() -> String = postgres_url;
    let mysql: fn() -> String = mysql_url;
    let places = [
        vec![],
        NAMES.map(|name| (name, postgres)).to_vec(),
        NAMES.map(|name| (name, mysql)).to_vec(),
        // And payments and shipping on SQLite.
        vec![("orders", postgres), ("inventory", mysql)],
    ];
    for (place, on_servers) in places.iter().enumerate() {
        let data = folder.path().join(place.to_string());
        let running = monolith_on(&data, Delivery::Concurrent, on_servers).await;
        logs.push(replay_sequentially(&Endpoints::monolith(running.base_url()).unwrap()).await);
        running.shutdown().await;
    }
    for other in &logs[1..] {
        assert_same(&logs[0], other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_shop_is_replayed_and_counted_by_who_has_its_keys() {
    let keys: Keys = format!("1:{}", "5a".repeat(32)).parse().unwrap();
    let mapper = Mapper::default().encrypted(Encryption::all(keys));
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: folder.path().to_owned(),
        mapper,
        ..Config::default()
    };
    let running = Service::start(contexts(), config).await.unwrap();
    let mut northwind = Northwind::load().unwrap();
    northwind.orders.truncate(20);
    let without_keys = Endpoints::monolith(running.base_url()).unwrap();
    let endpoints = Endpoints::of(&running).unwrap();
    replay(&endpoints, &northwind, 4, || ()).await.unwrap();
    let tally = settled(&endpoints).await.unwrap();
    assert_eq!(tally.violations(), [""; 0]);
    assert!(tally.totals().captured_cents > 0);
    let error = settled(&without_keys).await.unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.ends_with("no keys are configured here"), "{reason}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_done_is_found_after_a_restart_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut northwind = Northwind::load().unwrap();
    northwind.orders.truncate(40);
    let first = monolith(folder.path(), Delivery::Synchronous).await;
    let endpoints = Endpoints::monolith(first.base_url()).unwrap();
    let replayed = replay(&endpoints, &northwind, 1, || ()).await.unwrap();
    assert_eq!((replayed.n_products, replayed.n_orders), (77, 40));
    let before = stories(&endpoints).await;
    first.shutdown().await;

    let again = monolith(folder.path(), Delivery::Concurrent).await;
    let endpoints = Endpoints::monolith(again.base_url()).unwrap();
    let replayed = replay(&endpoints, &northwind, 1, || ()).await.unwrap();
    assert_eq!((replayed.n_products, replayed.n_orders), (0, 0));
    assert_same(&before, &stories(&endpoints).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_32_orders_in_flight_nothing_is_lost_or_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut services = FourServices::new(PROGRAM, folder.path(), &[]);
    services.start().await;
    let endpoints = services.endpoints();
    replay(&endpoints, &Northwind::load().unwrap(), 32, || ())
        .await
        .unwrap();
    let tally = settled(&endpoints).await.unwrap();
    assert_eq!(tally.violations(), [""; 0]);
    let totals = tally.totals();
    assert_eq!(
        (
            totals.shipped + totals.rejected + totals.cancelled,
            totals.open
        ),
        (830, 0)
    );
}

/// Customers choose the ids of their orders, and some choose badly.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_the_id_of_a_product_is_an_order_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let shop = monolith(folder.path(), Delivery::Synchronous).await;
    let endpoints = Endpoints::monolith(shop.base_url()).unwrap();
    let mut northwind = Northwind::load().unwrap();
    northwind.orders.truncate(2);
    let product = northwind.orders[0].request.lines[0].product;
    northwind.orders[0].id = Product::id(product).cast();
    replay(&endpoints, &northwind, 1, || ()).await.unwrap();
    let tally = settled(&endpoints).await.unwrap();
    let totals = tally.totals();
    assert_eq!((totals.shipped + totals.rejected, totals.open), (2, 0));
    assert_eq!(tally.violations(), [""; 0]);
}
