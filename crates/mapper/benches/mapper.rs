//! What an event costs in each way to store it: bytes, and time to write and to read it, beside another way.
//!
//! `cargo xtask bench mapper`. Both sides of a pair run in turn in one process; what counts is the median of the ratios.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement fails by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use boxes_domain::{Dynamic, Event};
use boxes_mapper::{Cipher, Encryption, Envelope, Key, KeyId, Keys, Mapper};
use boxes_recorder::{Encoding, StoredEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Pairs of measurements, of which the median counts, after one that warms up.
const ROUNDS: usize = 15;
/// Events of each side in a round.
const EVENTS: u32 = 20_000;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "bench.order", crate = "boxes_domain")]
enum OrderEvent {
    Placed(Order),
    /// The same without a type, as names of types may stand in it.
    Untyped(Dynamic),
}

/// A state: what `serde_json` writes and reads where there is no mapper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    lines: Vec<Line>,
    freight_cents: u64,
    shipper: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    product: u32,
    quantity: u32,
    unit_price_cents: u64,
    discount_percent: u8,
}

fn order() -> Order {
    let line = |product| Line {
        product,
        quantity: 12,
        unit_price_cents: 1_400,
        discount_percent: 15,
    };
    Order {
        customer: "VINET".to_owned(),
        lines: [11, 42, 72].map(line).to_vec(),
        freight_cents: 3_238,
        shipper: 3,
    }
}

/// A way to write an event, and to read it.
struct Way<'a> {
    name: &'static str,
    /// Bytes that are stored, and bytes in a page.
    bytes: (usize, usize),
    write: Box<dyn Fn() + 'a>,
    read: Box<dyn Fn() + 'a>,
}

impl Way<'_> {
    fn mapped(name: &'static str, mapper: Mapper, event: OrderEvent) -> Self {
        let stored: StoredEvent = mapper.to_stored(&event, &Envelope::default()).unwrap();
        let bytes = stored.state.len();
        let in_page = if stored.encoding.is_plain_json() {
            bytes
        } else {
            // Base64 in quotes.
            bytes.div_ceil(3) * 4 + 2
        };
        let reader = mapper.clone();
        Self {
            name,
            bytes: (bytes, in_page),
            write: Box::new(move || {
                let envelope = Envelope::default();
                black_box(mapper.to_stored(black_box(&event), &envelope).unwrap());
            }),
            read: Box::new(move || {
                let event: OrderEvent = reader.to_own_event(black_box(&stored)).unwrap();
                black_box(event);
            }),
        }
    }

    fn bare(name: &'static str) -> Self {
        let order = order();
        let json = serde_json::to_vec(&order).unwrap();
        Self {
            name,
            bytes: (json.len(), json.len()),
            write: Box::new(move || {
                let state = serde_json::to_vec(black_box(&order)).unwrap();
                black_box(by_hand(state));
            }),
            read: Box::new(move || {
                black_box(serde_json::from_slice::<Order>(black_box(&json)).unwrap());
            }),
        }
    }

    fn bare_value(name: &'static str) -> Self {
        let order = serde_json::to_value(order()).unwrap();
        let json = serde_json::to_vec(&order).unwrap();
        Self {
            name,
            bytes: (json.len(), json.len()),
            write: Box::new(move || {
                let state = serde_json::to_vec(black_box(&order)).unwrap();
                black_box(by_hand(state));
            }),
            read: Box::new(move || {
                black_box(serde_json::from_slice::<Value>(black_box(&json)).unwrap());
            }),
        }
    }
}

/// What stands around a state that was written without a mapper.
fn by_hand(state: Vec<u8>) -> StoredEvent {
    let envelope = Envelope::default();
    StoredEvent {
        event_id: envelope.event_id,
        originator_id: envelope.originator_id,
        originator_version: envelope.originator_version,
        topic: "bench.order.placed".into(),
        schema_version: 1,
        encoding: Encoding::JSON,
        state: state.into(),
        metadata: envelope.metadata.to_bytes(),
        occurred_on: envelope.occurred_on,
    }
}

/// Nanoseconds for each event.
fn nanoseconds(once: &dyn Fn()) -> f64 {
    let start = Instant::now();
    (0..EVENTS).for_each(|_| once());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(EVENTS)
}

/// The medians of one side, of the other, and of their ratio.
fn pairs(one: &dyn Fn(), other: &dyn Fn()) -> [f64; 3] {
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let (one, other) = (nanoseconds(one), nanoseconds(other));
        if round > 0 {
            rounds.push([one, other, one / other]);
        }
    }
    [0, 1, 2].map(|column| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    })
}

fn compare(way: &Way<'_>, beside: &Way<'_>) {
    let write = pairs(&way.write, &beside.write);
    let read = pairs(&way.read, &beside.read);
    let (bytes, in_page) = way.bytes;
    println!(
        "{:26} {:18} {bytes:6} {in_page:8} {:8.0} {:8.0} {:6.2} {:8.0} {:8.0} {:6.2}",
        way.name, beside.name, write[0], write[1], write[2], read[0], read[1], read[2]
    );
}

fn main() {
    let keys = || Keys::new(KeyId(1), Key::new(&[7; 32]));
    let encrypted = |cipher| Encryption::all(keys()).with_cipher(cipher);
    let placed = |name, mapper| Way::mapped(name, mapper, OrderEvent::Placed(order()));
    let json = || placed("json", Mapper::default());
    let siv = || Mapper::default().encrypted(encrypted(Cipher::Aes256GcmSiv));
    let cbc = || Mapper::default().encrypted(encrypted(Cipher::Aes256CbcHmacSha256));
    println!(
        "{:26} {:18} {:>6} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6}",
        "way",
        "beside",
        "bytes",
        "in page",
        "write ns",
        "beside",
        "ratio",
        "read ns",
        "beside",
        "ratio"
    );
    compare(&json(), &Way::bare("serde_json by hand"));
    // What the measurement itself finds between equals.
    compare(&json(), &json());
    compare(
        &placed("messagepack", Mapper::default().message_pack()),
        &json(),
    );
    compare(
        &placed("json+zlib", Mapper::default().compressed()),
        &json(),
    );
    compare(&placed("json+aes-256-gcm-siv", siv()), &json());
    compare(&placed("json+aes-256-cbc-hmac", cbc()), &json());
    compare(
        &placed("json+zlib+aes-256-gcm-siv", siv().compressed()),
        &json(),
    );
    let value = serde_json::to_value(order()).unwrap();
    let untyped = OrderEvent::Untyped(Dynamic::from(value));
    compare(
        &Way::mapped("json, Dynamic", Mapper::default(), untyped),
        &Way::bare_value("serde_json::Value"),
    );
}
