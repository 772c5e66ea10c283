//! Ids of events that follow from what they say, held against that by the command `verify`.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail a test, too")]

use std::process::ExitCode;

use boxes_domain::{Aggregate, Event};
use boxes_mapper::{Encryption, Envelope, Key, KeyId, Keys, Mapper};
use boxes_recorder::{Append, Recorder};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_service::{BoundedContext, BoxCommand};
use clap::Parser;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "orders.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed { customer: String },
}

#[derive(Default, Clone)]
struct Order;

impl Aggregate for Order {
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

fn placed(customer: &str) -> OrderEvent {
    let customer = customer.to_owned();
    OrderEvent::Placed { customer }
}

/// Records an order of `said` under the id of one of `meant`.
async fn record(recorder: &dyn Recorder, mapper: &Mapper, n: u64, meant: &str, said: &str) {
    let order = Uuid::from_u128(7);
    let of_content = Mapper::default().with_content_ids();
    let envelope = Envelope {
        event_id: of_content
            .content_id(&placed(meant), order, n)
            .unwrap()
            .unwrap(),
        originator_id: order,
        originator_version: n,
        ..Envelope::default()
    };
    let stored = mapper.to_stored(&placed(said), &envelope).unwrap();
    let outcomes = recorder.record(&[Append::new(vec![stored])]).await.unwrap();
    for outcome in outcomes {
        outcome.unwrap();
    }
}

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: BoxCommand,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_says_something_else_than_its_id_follows_from_is_found_where_nothing_is_sealed()
 {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let verify = async |arguments: &[&str]| {
        let arguments = [&["shop", "verify", "orders", "--data", data], arguments].concat();
        let orders = BoundedContext::new("orders").aggregate::<Order>();
        Cli::parse_from(arguments).command.run([orders]).await
    };
    let file = folder.path().join("orders.db");
    let recorder = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("orders"))
        .await
        .unwrap();
    let of_content = ["--event-ids", "content"];
    record(&recorder, &Mapper::default(), 1, "ALFKI", "ALFKI").await;
    record(
        &recorder,
        &Mapper::default().compressed(),
        2,
        "ANATR",
        "ANATR",
    )
    .await;
    // Of one that is encrypted it can't be told without the key.
    let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
    let encrypting = Mapper::default().encrypted(Encryption::all(keys));
    record(&recorder, &encrypting, 3, "ANTON", "AROUT").await;
    assert_eq!(verify(&of_content).await, ExitCode::SUCCESS);

    record(&recorder, &Mapper::default(), 4, "BERGS", "BLAUS").await;
    assert_eq!(verify(&of_content).await, ExitCode::from(3));
    // A box that does not say that it has such ids is not asked for them.
    assert_eq!(verify(&[]).await, ExitCode::SUCCESS);
}
