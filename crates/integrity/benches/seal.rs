//! What sealing and verifying cost: events per second on one core, and bytes beside each event.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a benchmark a panic is the message"
)]

use std::sync::Arc;
use std::time::Instant;

use boxes_integrity::{Sealer, Seals, SigningKey, StoredSeals, Verification};
use boxes_notification_log::SectionId;
use boxes_recorder::StoredEvent;
use boxes_testing::log_fixture::{SmallLog, small_event};

const N_EVENTS: u32 = 100_001;
const PAGE_SIZE: u32 = 20;
const STATE_BYTES: usize = 500;
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let log = SmallLog::new(PAGE_SIZE).await;
    let event = |n: u32| StoredEvent {
        state: format!("\"{}\"", "x".repeat(STATE_BYTES)).into(),
        ..small_event(n.into())
    };
    log.append_events((1..=N_EVENTS).map(event).collect()).await;
    let seals = StoredSeals::of(&**log.writer().recorder()).unwrap();
    let key = Arc::new(SigningKey::from_pem(KEY).unwrap());
    let trusted = vec![key.verifying_key()];

    let start = Instant::now();
    let mut sealer = Sealer::new(log.near(), seals.clone(), Some(key));
    let n_pages = sealer.seal_archived().await.unwrap();
    report("sealed", start);

    let start = Instant::now();
    let verification = Verification {
        trusted,
        ..Verification::default()
    };
    let found = verification.run(&*log.near(), &seals, |_, _| {}).await;
    let found = found.unwrap();
    assert!(found.finding.is_none() && found.verified.id == u64::from(PAGE_SIZE) * n_pages);
    report("verified", start);

    let first = SectionId::first(PAGE_SIZE.try_into().unwrap());
    let seal = seals.seal(first).await.unwrap().unwrap();
    println!(
        "a seal of {PAGE_SIZE} events has {} bytes: {} for each event",
        seal.len(),
        seal.len() / usize::try_from(PAGE_SIZE).unwrap()
    );
}

fn report(what: &str, start: Instant) {
    let per_second = f64::from(N_EVENTS) / start.elapsed().as_secs_f64();
    println!("{what} {per_second:.0} events of {STATE_BYTES} bytes a second");
}
