//! A box that does nothing but keep entries: for tests of pages.

use std::path::Path;

use boxes::http::install_crypto_provider;
use boxes::prelude::*;
use boxes::service::{Config, Running, Service};

/// What is kept.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "archive.entry")]
pub enum Entry {
    /// One more.
    Written {
        /// Which one.
        n: u32,
    },
}

/// The aggregate of entries, which has no state.
#[derive(Debug, Default, Clone)]
pub struct Entries;

impl Aggregate for Entries {
    type Event = Entry;
    fn apply(&mut self, _: &Entry) {}
}

/// The box `archive`, with its store in `data`, on a free port.
pub async fn serve_archive(data: &Path) -> Running {
    install_crypto_provider();
    let config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: data.to_owned(),
        ..Config::default()
    };
    let archive = BoundedContext::new("archive").aggregate::<Entries>();
    Service::start([archive], config).await.unwrap()
}

/// Writes so many entries in one transaction.
pub async fn write_entries(service: &Running, n_entries: u32) {
    let app = service.app("archive").unwrap();
    let entries: Vec<_> = (0..n_entries).map(|n| Entry::Written { n }).collect();
    app.upsert(Id::named("entries"), |_: &Entries| entries.clone())
        .await
        .unwrap();
}
