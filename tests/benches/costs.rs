//! What each way to store costs: commands a second, and events read a second, beside the same box that writes plain JSON.
//!
//! `cargo xtask bench costs`. Both sides of a pair run in turn in one process, on SQLite, durably (WAL, `synchronous =
//! FULL`); a figure counts as the median of the ratios.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measurement fails by panicking, and its figures are not exact"
)]

mod pairs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boxes::integrity::SigningKey;
use boxes::mapper::{Encryption, Keys, Mapper};
use boxes::prelude::*;
use boxes::service::{Config, Running, Sealing, Service};

use pairs::pairs;

/// Callers that command at a time.
const CALLERS: usize = 64;
/// How long one side of a pair works.
const DURATION: Duration = Duration::from_secs(2);
/// Events of the aggregate that is read.
const HISTORY: u64 = 1_000;
/// Bytes of a value that is stored apart.
const VALUE_BYTES: usize = 100 * 1_024;

const KEY: &str = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SEAL_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "bench.customer")]
enum CustomerEvent {
    Named {
        name: String,
        note: String,
    },
    Known {
        name: Personal<String>,
        note: String,
    },
    Shown {
        picture: Large,
    },
}

#[derive(Default, Clone)]
struct Customer;

impl Aggregate for Customer {
    type Event = CustomerEvent;
    fn apply(&mut self, _: &CustomerEvent) {}
}

/// The event of one command, by its number.
type Make = fn(u64) -> CustomerEvent;

/// What an event is made of. The note is text that compresses about as well as a typical event does.
fn note(n: u64) -> String {
    format!(
        "order {n} of 3 lines: product {}, quantity {}, price {} cents; product {}, quantity {}, price {} cents",
        n % 77,
        n % 13,
        n % 7_919,
        n % 71,
        n % 11,
        n % 6_007
    )
}

fn named(n: u64) -> CustomerEvent {
    let name = format!("Customer {n}");
    CustomerEvent::Named {
        name,
        note: note(n),
    }
}

fn known(n: u64) -> CustomerEvent {
    let name = Personal::of(format!("customer-{}", n % 1_000), format!("Customer {n}"));
    CustomerEvent::Known {
        name,
        note: note(n),
    }
}

/// One side of a pair.
struct Side {
    service: Running,
    event: Make,
    /// Taken by every command, so that no two are alike.
    n: AtomicU64,
}

impl Side {
    async fn start(folder: &Path, name: &str, event: Make, config: Config) -> Arc<Self> {
        let config = Config {
            bind: ([127, 0, 0, 1], 0).into(),
            data: folder.join(name),
            ..config
        };
        let contexts = [BoundedContext::new("bench").aggregate::<Customer>()];
        let service = Service::start(contexts, config).await.unwrap();
        Arc::new(Self {
            service,
            event,
            n: AtomicU64::new(0),
        })
    }

    fn app(&self) -> App {
        self.service.app("bench").unwrap().clone()
    }

    /// Commands a second, each of one event on an aggregate of its own.
    async fn commands(self: &Arc<Self>) -> f64 {
        self.a_second(async |side: &Self, app: &App| {
            let event = (side.event)(side.n.fetch_add(1, Ordering::Relaxed));
            app.create(app.new_id::<Customer>(), event).await.unwrap();
        })
        .await
    }

    /// Commands a second, each with a value of its own.
    async fn pictures(self: &Arc<Self>) -> f64 {
        self.a_second(async |side: &Self, app: &App| {
            let n = side.n.fetch_add(1, Ordering::Relaxed);
            let mut value = vec![b'x'; VALUE_BYTES];
            value[..8].copy_from_slice(&n.to_be_bytes());
            let picture = app.keep(value).await.unwrap();
            app.create(app.new_id::<Customer>(), CustomerEvent::Shown { picture })
                .await
                .unwrap();
        })
        .await
    }

    async fn a_second(
        self: &Arc<Self>,
        command: impl AsyncFn(&Self, &App) + Copy + Send + 'static,
    ) -> f64 {
        let app = self.app();
        let started = Instant::now();
        let mut done = 0_u64;
        let callers = (0..CALLERS).map(async |_| {
            let mut n = 0_u64;
            while started.elapsed() < DURATION {
                command(self, &app).await;
                n += 1;
            }
            n
        });
        for n in futures::future::join_all(callers).await {
            done += n;
        }
        done as f64 / started.elapsed().as_secs_f64()
    }

    /// Events read a second: those of one aggregate, from the first, again and again.
    async fn reads(&self, id: Id<Customer>) -> f64 {
        let app = self.app();
        let started = Instant::now();
        let mut n_read = 0;
        while started.elapsed() < DURATION {
            let read = app.history(id).take(HISTORY).await.unwrap();
            assert_eq!(read.len() as u64, HISTORY);
            n_read += HISTORY;
        }
        n_read as f64 / started.elapsed().as_secs_f64()
    }

    async fn with_history(&self) -> Id<Customer> {
        let app = self.app();
        let id = app.new_id();
        let events: Vec<_> = (0..HISTORY).map(self.event).collect();
        app.create::<Customer>(id, events).await.unwrap();
        id
    }
}

fn encrypted() -> Mapper {
    let keys: Keys = KEY.parse().unwrap();
    Mapper::default().encrypted(Encryption::all(keys))
}

fn with(mapper: Mapper) -> Config {
    Config {
        mapper,
        ..Config::default()
    }
}

#[tokio::main]
async fn main() {
    println!(
        "{} processors; SQLite, durable; {CALLERS} callers, an event of about 200 bytes in each command; {HISTORY} events read at a time",
        std::thread::available_parallelism().unwrap()
    );
    println!(
        "{:<28} {:>10} {:>10} {:>6}   {:>10} {:>10} {:>6}",
        "", "commands/s", "plain", "ratio", "reads/s", "plain", "ratio"
    );
    let sealing = Sealing {
        on: true,
        key: Some(Arc::new(SigningKey::from_pem(SEAL_KEY).unwrap())),
        ..Sealing::default()
    };
    let sealed = Config {
        sealing,
        ..Config::default()
    };
    let ways: [(&str, Make, Config); 7] = [
        ("MessagePack", named, with(Mapper::default().message_pack())),
        ("compressed", named, with(Mapper::default().compressed())),
        ("encrypted", named, with(encrypted())),
        (
            "compressed and encrypted",
            named,
            with(encrypted().compressed()),
        ),
        ("a personal part", known, Config::default()),
        (
            "ids that follow from content",
            named,
            with(Mapper::default().with_content_ids()),
        ),
        ("sealed and signed", named, sealed),
    ];
    for (name, event, config) in ways {
        let folder = tempfile::tempdir().unwrap();
        let one = Side::start(folder.path(), "one", event, config).await;
        let other = Side::start(folder.path(), "plain", named, Config::default()).await;
        let (read, plain) = (one.with_history().await, other.with_history().await);
        let [commands, plainly, ratio] = pairs(
            async || one.commands().await,
            async || other.commands().await,
        )
        .await;
        let [reads, plain_reads, read_ratio] = pairs(
            async || one.reads(read).await,
            async || other.reads(plain).await,
        )
        .await;
        println!(
            "{name:<28} {commands:>10.0} {plainly:>10.0} {ratio:>6.2}   {reads:>10.0} {plain_reads:>10.0} {read_ratio:>6.2}"
        );
        stop([one, other]).await;
    }

    let folder = tempfile::tempdir().unwrap();
    let apart = Side::start(folder.path(), "apart", named, Config::default()).await;
    let inside = Config {
        large_over: usize::MAX,
        ..Config::default()
    };
    let inside = Side::start(folder.path(), "inside", named, inside).await;
    let [stored_apart, in_event, ratio] = pairs(
        async || apart.pictures().await,
        async || inside.pictures().await,
    )
    .await;
    println!(
        "a value of {} KiB a command: apart {stored_apart:.0} commands/s, in the event {in_event:.0}, ratio {ratio:.2}",
        VALUE_BYTES / 1_024
    );
    stop([inside]).await;
    let in_folder = Config {
        values_folder: Some(folder.path().join("values")),
        ..Config::default()
    };
    let in_folder = Side::start(folder.path(), "folder", named, in_folder).await;
    let [files, stored_apart, ratio] = pairs(
        async || in_folder.pictures().await,
        async || apart.pictures().await,
    )
    .await;
    println!(
        "the same in a folder: {files:.0} commands/s, in the database {stored_apart:.0}, ratio {ratio:.2}"
    );
    stop([apart, in_folder]).await;
}

async fn stop<const N: usize>(sides: [Arc<Side>; N]) {
    for side in sides {
        Arc::into_inner(side).unwrap().service.shutdown().await;
    }
}
