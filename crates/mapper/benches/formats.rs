//! What an event costs in JSON and in `MessagePack`: bytes, and nanoseconds to write and to read it.
//!
//! `cargo bench -p boxes-mapper --bench formats`

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark fails by panicking, as a test does"
)]

use std::hint::black_box;
use std::time::Instant;

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper};
use serde::{Deserialize, Serialize};

const ROUNDS: u32 = 5;
const EVENTS: u32 = 100_000;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "bench.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed {
        customer: String,
        lines: Vec<Line>,
        freight_cents: u64,
        shipper: u32,
    },
    Shipped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    product: u32,
    quantity: u32,
    unit_price_cents: u64,
    discount_percent: u8,
}

/// Nanoseconds for each event in the best of the rounds.
fn nanoseconds(mut once: impl FnMut()) -> u128 {
    let round = |_| {
        let start = Instant::now();
        (0..EVENTS).for_each(|_| once());
        start.elapsed().as_nanos() / u128::from(EVENTS)
    };
    (0..ROUNDS).map(round).min().unwrap()
}

fn main() {
    let line = Line {
        product: 42,
        quantity: 12,
        unit_price_cents: 1_400,
        discount_percent: 15,
    };
    let placed = OrderEvent::Placed {
        customer: "VINET".to_owned(),
        lines: vec![line; 3],
        freight_cents: 3_238,
        shipper: 3,
    };
    println!("event    format        bytes  in a page  write ns  read ns");
    for (name, event) in [("placed", placed), ("shipped", OrderEvent::Shipped)] {
        for (format, mapper) in [
            ("json", Mapper::default()),
            ("messagepack", Mapper::default().message_pack()),
        ] {
            let envelope = Envelope::default();
            let stored = mapper.to_stored(&event, &envelope).unwrap();
            let bytes = stored.state.len();
            let in_page = match format {
                "json" => bytes,
                // Base64 in quotes.
                _ => bytes.div_ceil(3) * 4 + 2,
            };
            let write = nanoseconds(|| {
                black_box(mapper.to_stored(black_box(&event), &envelope).unwrap());
            });
            let read = nanoseconds(|| {
                let read: OrderEvent = mapper.to_own_event(black_box(&stored)).unwrap();
                black_box(read);
            });
            println!("{name:8} {format:12} {bytes:6} {in_page:10} {write:9} {read:8}");
        }
    }
}
