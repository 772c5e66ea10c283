//! Boxes that are killed at random moments while orders flow.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::time::Duration;

use boxes_tests::{DEADLINE, FourServices};
use monolith::demo::settled;
use monolith::northwind::Northwind;
use monolith::replay::replay;

const PROGRAM: &str = env!("CARGO_BIN_EXE_shop-under-test");

/// How many kills there are, unless the variable `BOXES_TEST_KILLS` says otherwise.
const DEFAULT_KILLS: u32 = 50;

/// The longest time between two kills.
const MAX_PAUSE_MS: u64 = 250;

/// A random box is killed as a power failure would, and started again, over and over while orders flow. Whatever
/// was under way, each order ends once, and units and money fit together.
#[tokio::test(flavor = "multi_thread")]
async fn boxes_that_are_killed_at_random_moments_lose_nothing_and_double_nothing() {
    let n_kills: u32 = match std::env::var("BOXES_TEST_KILLS") {
        Ok(text) => text.parse().expect("BOXES_TEST_KILLS is a number of kills"),
        Err(_) => DEFAULT_KILLS,
    };
    let seed = fastrand::u64(..);
    println!("the moments are drawn from seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut n_done = 0;
    while n_done < n_kills {
        let folder = tempfile::tempdir().unwrap();
        let mut services = FourServices::new(PROGRAM, folder.path(), &[]);
        services.start().await;
        let endpoints = services.endpoints();
        let orders = {
            let endpoints = endpoints.clone();
            tokio::spawn(
                async move { replay(&endpoints, &Northwind::load().unwrap(), 32, || ()).await },
            )
        };
        while n_done < n_kills && !orders.is_finished() {
            tokio::time::sleep(Duration::from_millis(random.u64(..MAX_PAUSE_MS))).await;
            let process = random.choice(services.processes()).unwrap();
            process.kill();
            process.start_and_wait().await;
            n_done += 1;
        }
        tokio::time::timeout(DEADLINE, orders)
            .await
            .unwrap_or_else(|_| panic!("orders did not end after {n_done} kills, seed {seed}"))
            .unwrap()
            .unwrap();
        let tally = settled(&endpoints).await.unwrap();
        assert_eq!(
            tally.violations(),
            [""; 0],
            "after {n_done} kills, seed {seed}"
        );
        assert_eq!(tally.totals().open, 0);
    }
    println!("{n_done} kills");
}
