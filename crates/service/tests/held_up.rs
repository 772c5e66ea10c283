//! What a service says of a follower that is held up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boxes_application::{App, Error, Notification};
use boxes_service::{BoundedContext, Config, Delivery, Running, Service};
use reqwest::Method;
use serde_json::Value;

mod support;

use support::{Note, NoteEvent, config, eventually, request, write_notes};

/// A box of notes, and one whose policy fails until it is told otherwise.
async fn start(delivery: Delivery, fails: &Arc<AtomicBool>) -> Running {
    boxes_http::install_crypto_provider();
    let fails = Arc::clone(fails);
    let on_note = move |_: Notification<NoteEvent>, _: App| {
        let fails = fails.load(Ordering::SeqCst);
        async move {
            if fails {
                return Err(Error::not_yet("the price list has not been read"));
            }
            Ok(())
        }
    };
    let boxes = [
        BoundedContext::new("notes").aggregate::<Note>(),
        BoundedContext::new("copies").follow("notes", on_note),
    ];
    let config = Config {
        delivery,
        ..config()
    };
    Service::start(boxes, config).await.unwrap()
}

async fn text(running: &Running, path: &str) -> (u16, String) {
    let answer = request(running, Method::GET, path).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn follower(running: &Running) -> Value {
    let (status, ready) = text(running, "/readyz").await;
    assert_eq!(status, 200, "{ready}");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    ready["followers"][0].clone()
}

/// What `/metrics` says of the follower; `more` are further labels.
async fn figure(running: &Running, name: &str, more: &str) -> f64 {
    let (_, figures) = text(running, "/metrics").await;
    let series = format!("boxes_follower_{name}{{box=\"copies\",upstream=\"notes\"{more}}} ");
    let value = figures.lines().find_map(|line| line.strip_prefix(&series));
    let value = value.unwrap_or_else(|| panic!("no {series} in {figures}"));
    value.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_up_shows_in_readiness_and_figures_and_its_lag_goes_on_growing() {
    for delivery in [Delivery::Concurrent, Delivery::Synchronous] {
        let fails = Arc::new(AtomicBool::new(true));
        let running = start(delivery, &fails).await;
        write_notes(&running, 2, 1).await;
        eventually("the follower is held up", || async {
            follower(&running).await["state"] == "retrying"
        })
        .await;
        write_notes(&running, 40, 1).await;
        eventually("its lag grows", || async {
            follower(&running).await["lag"] == 42
        })
        .await;
        let report = follower(&running).await;
        let error = report["error"].as_str().unwrap();
        assert!(
            error.contains("the price list has not been read"),
            "{error}"
        );
        assert!(report["failures"].as_u64() > Some(0), "{report}");
        assert!((figure(&running, "lag", "").await - 42.0).abs() < 0.5);
        let held_up = figure(&running, "state", ",state=\"retrying\"").await;
        let following = figure(&running, "state", ",state=\"following\"").await;
        assert!((held_up - following - 1.0).abs() < f64::EPSILON);
        // Each failure counts, and the time since the last success grows.
        let before = (
            figure(&running, "errors_total", "").await,
            figure(&running, "seconds_since_success", "").await,
        );
        eventually("failures are counted", || async {
            figure(&running, "errors_total", "").await > before.0
                && figure(&running, "seconds_since_success", "").await > before.1
        })
        .await;
        fails.store(false, Ordering::SeqCst);
        eventually("it continues by itself", || async {
            let report = follower(&running).await;
            report["state"] == "following" && report["lag"] == 0
        })
        .await;
        running.shutdown().await;
    }
}
