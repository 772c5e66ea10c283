//! A box that counts, and one that follows it and copies the numbers.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use boxes::prelude::*;
use boxes::service::{Config, Running, Service};

use crate::FaultProxy;

/// What happens in one box …
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "source.counter")]
pub enum Counted {
    /// The counter counted.
    Counted {
        /// How far.
        n: u32,
    },
}

#[derive(Default, Clone)]
pub(crate) struct Counter;

impl Aggregate for Counter {
    type Event = Counted;
    fn apply(&mut self, _: &Counted) {}
}

/// … and what another one makes of it.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "mirror.copy")]
pub enum Copied {
    /// A number was copied.
    Copied {
        /// Which one.
        n: u32,
    },
}

#[derive(Default, Clone)]
pub(crate) struct Copy(Vec<u32>);

impl Aggregate for Copy {
    type Event = Copied;
    fn apply(&mut self, Copied::Copied { n }: &Copied) {
        self.0.push(*n);
    }
}

async fn copy(n: Notification<Counted>, app: App) -> Result<(), Error> {
    let Counted::Counted { n } = n.event;
    app.upsert(Id::named("copy"), move |_: &Copy| Copied::Copied { n })
        .await?;
    Ok(())
}

/// The box that counts.
pub fn source_box() -> BoundedContext {
    BoundedContext::new("source").aggregate::<Counter>()
}

/// The box that copies the numbers.
pub fn mirror_box() -> BoundedContext {
    BoundedContext::new("mirror")
        .aggregate::<Copy>()
        .follow("source", copy)
}

/// One of them as a service, which reaches the other one through the proxy.
pub async fn start(context: BoundedContext, data: &Path, follow: Option<&FaultProxy>) -> Running {
    let mut config = Config {
        bind: ([127, 0, 0, 1], 0).into(),
        data: data.to_owned(),
        ..Config::default()
    };
    config.long_poll = Duration::from_secs(1);
    config.upstream_timeout = Duration::from_secs(1);
    if let Some(proxy) = follow {
        let url = format!("{}/source/notifications", proxy.base_url());
        config
            .follow
            .insert("source".to_owned(), url.parse().unwrap());
    }
    Service::start([context], config).await.unwrap()
}

/// Lets it count these numbers.
pub async fn count(source: &Running, range: RangeInclusive<u32>) {
    let app = source.app("source").unwrap();
    for n in range {
        app.upsert(Id::named("counter"), |_: &Counter| Counted::Counted { n })
            .await
            .unwrap();
    }
}

/// The numbers that were copied, in their order.
pub async fn copied(mirror: &Running) -> Vec<u32> {
    let app = mirror.app("mirror").unwrap();
    let copy = app.get(Id::<Copy>::named("copy")).await;
    copy.map(|copy| copy.0.clone()).unwrap_or_default()
}

/// What the service says of its follower.
pub async fn follower(mirror: &Running) -> serde_json::Value {
    let url = format!("{}/readyz", mirror.base_url());
    let body = reqwest::get(url).await.unwrap().text().await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&body).unwrap();
    report["followers"][0].clone()
}
