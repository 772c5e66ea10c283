//! Values that are stored apart from the events that name them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use boxes_application::{
    App, AppOptions, Edge, Error, Garbage, MAX_LARGE_BYTES, SystemEdge, find_garbage,
};
use boxes_domain::{Aggregate, Event, Id, Large, Personal};
use boxes_mapper::{Encryption, Key, KeyId, Keys, Mapper, Topics};
use boxes_recorder::{GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "shop.product", crate = "boxes_domain")]
enum ProductEvent {
    Pictured { picture: Large },
    Reviewed { portrait: Personal<Large> },
}

#[derive(Debug, Default, Clone)]
struct Product {
    picture: Option<Large>,
}

impl Aggregate for Product {
    type Event = ProductEvent;

    fn apply(&mut self, event: &ProductEvent) {
        if let ProductEvent::Pictured { picture } = event {
            self.picture = Some(picture.clone());
        }
    }
}

/// A clock that a test sets, in seconds.
#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Edge for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn new_id(&self) -> Uuid {
        SystemEdge.new_id()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

struct Shop {
    app: App,
    recorder: Arc<dyn Recorder>,
    clock: Arc<Clock>,
}

impl Shop {
    async fn with(mapper: Mapper) -> Self {
        let recorder: Arc<dyn Recorder> = Arc::new(MemoryRecorder::new(LogIdentity {
            name: "shop".into(),
            epoch: Uuid::from_u128(1),
            page_size: NonZeroU32::new(20).unwrap(),
        }));
        let mut topics = Topics::default();
        topics.register::<ProductEvent>().unwrap();
        let writer = GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default());
        let clock = Arc::<Clock>::default();
        let options = AppOptions {
            topics,
            mapper,
            large_over: 10,
            edge: Arc::<Clock>::clone(&clock),
            ..AppOptions::default()
        };
        let app = App::new(writer.await.unwrap(), options);
        Self {
            app,
            recorder,
            clock,
        }
    }

    async fn new() -> Self {
        Self::with(Mapper::default()).await
    }

    async fn show(&self, product: &str, picture: &Large) {
        let picture = || ProductEvent::Pictured {
            picture: picture.clone(),
        };
        let id = Id::<Product>::named(product);
        self.app.upsert(id, |_| picture()).await.unwrap();
    }

    async fn garbage(&self, remove_older_than: Option<Duration>) -> Garbage {
        let (values, now) = (self.app.stored_values().unwrap(), self.clock.now());
        let found = find_garbage(&self.recorder, &values, now, remove_older_than, |_| {});
        found.await.unwrap()
    }

    fn pass(&self, hours: i64) {
        self.clock.0.fetch_add(hours * 3600, Ordering::Relaxed);
    }

    async fn is_there(&self, large: &Large) -> bool {
        match self.app.value(large).await {
            Ok(_) => true,
            Err(Error::NoValue { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn state(&self, id: u64) -> String {
        let found = self.recorder.select_notifications(id, 1).await.unwrap();
        String::from_utf8(found[0].event.state.to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_small_value_stands_in_its_event_and_a_large_one_apart_once() {
    let shop = Shop::new().await;
    let small = shop.app.keep("0123456789").await.unwrap();
    let large = shop.app.keep("0123456789a").await.unwrap();
    assert_eq!((small.id(), large.size()), (None, 11));
    assert_eq!(shop.app.keep("0123456789a").await.unwrap(), large);
    shop.show("a", &small).await;
    shop.show("a", &large).await;
    shop.show("b", &large).await;
    assert_eq!(
        shop.state(1).await,
        r#"{"picture":{"$inline":"MDEyMzQ1Njc4OQ=="}}"#
    );
    let id = large.id().unwrap();
    assert_eq!(
        shop.state(2).await,
        format!(r#"{{"picture":{{"$large":{{"sha256":"{id}","size":11}}}}}}"#)
    );
    let product = shop.app.get(Id::<Product>::named("a")).await.unwrap();
    let picture = product.picture.unwrap();
    assert_eq!(shop.app.value(&picture).await.unwrap(), "0123456789a");
    assert_eq!(shop.app.value(&small).await.unwrap(), "0123456789");
    let found = shop.garbage(None).await;
    assert_eq!((found.n_named, found.n_garbage), (1, 0));
}

#[tokio::test]
async fn a_value_is_encrypted_where_events_are_and_held_against_its_id_when_it_is_read() {
    let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
    let shop = Shop::with(Mapper::default().encrypted(Encryption::all(keys))).await;
    let large = shop.app.keep("nobody is to see this").await.unwrap();
    let store = shop.recorder.key_value_store().unwrap();
    let key = large.id().unwrap();
    let stored = store.get("value", key.as_bytes()).await.unwrap().unwrap();
    assert!(!stored.windows(6).any(|part| part == b"nobody"));
    assert_eq!(
        shop.app.value(&large).await.unwrap(),
        "nobody is to see this"
    );
    let mut changed = stored.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    store.put("value", key.as_bytes(), &changed).await.unwrap();
    assert!(matches!(
        shop.app.value(&large).await,
        Err(Error::Mapper(_))
    ));
}

#[tokio::test]
async fn a_value_that_is_too_large_for_a_store_is_refused() {
    let shop = Shop::new().await;
    let error = shop.app.keep(vec![0; MAX_LARGE_BYTES + 1]).await;
    assert!(matches!(error, Err(Error::TooLarge { .. })));
    let large = shop.app.keep(vec![0; MAX_LARGE_BYTES]).await.unwrap();
    assert_eq!(shop.app.value(&large).await.unwrap().len(), MAX_LARGE_BYTES);
}

#[tokio::test]
async fn what_no_event_names_is_found_put_aside_and_deleted_by_a_later_run() {
    let shop = Shop::new().await;
    let named = shop.app.keep("a picture of something").await.unwrap();
    let lost = shop.app.keep("the command failed").await.unwrap();
    shop.show("a", &named).await;
    let found = shop.garbage(None).await;
    assert_eq!(
        (found.n_named, found.n_garbage, found.n_put_aside),
        (1, 1, 0)
    );
    assert_eq!(found.bytes, 5 + 18);
    // Too new; then old enough to be put aside, where it is found still; then deleted.
    assert_eq!(shop.garbage(Some(HOUR)).await.n_put_aside, 0);
    shop.pass(1);
    let put_aside = shop.garbage(Some(HOUR)).await;
    assert_eq!((put_aside.n_put_aside, put_aside.n_deleted), (1, 0));
    assert!(shop.is_there(&lost).await);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_deleted, 0);
    shop.pass(1);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_deleted, 1);
    assert!(!shop.is_there(&lost).await && shop.is_there(&named).await);
    let found = shop.garbage(Some(HOUR)).await;
    assert_eq!((found.n_named, found.n_garbage), (1, 0));
}

#[tokio::test]
async fn a_value_that_is_named_while_it_is_put_aside_comes_back() {
    let shop = Shop::new().await;
    let picture = shop.app.keep("a picture of something").await.unwrap();
    shop.pass(1);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_put_aside, 1);
    shop.show("a", &picture).await;
    shop.pass(1);
    // Who only looks changes nothing, and counts it once, also where it was kept again.
    for _ in 0..2 {
        let found = shop.garbage(None).await;
        let counted = (found.n_named, found.n_garbage, found.n_put_back);
        assert_eq!(counted, (1, 0, 0));
        shop.app.keep("a picture of something").await.unwrap();
    }
    let found = shop.garbage(Some(HOUR)).await;
    assert_eq!(
        (found.n_put_back, found.n_deleted, found.n_named),
        (1, 0, 1)
    );
    shop.pass(9);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_put_aside, 0);
    assert!(shop.is_there(&picture).await);
    // And one that is kept again counts as new.
    let again = shop.app.keep("nobody has named this yet").await.unwrap();
    shop.pass(2);
    assert_eq!(
        shop.app.keep("nobody has named this yet").await.unwrap(),
        again
    );
    assert_eq!(shop.garbage(Some(HOUR)).await.n_put_aside, 0);
}

#[tokio::test]
async fn a_value_inside_of_a_personal_part_is_no_garbage_either() {
    let shop = Shop::new().await;
    let portrait = shop.app.keep("a portrait of somebody").await.unwrap();
    let id = Id::<Product>::named("a");
    let reviewed = ProductEvent::Reviewed {
        portrait: Personal::of("somebody", portrait),
    };
    shop.app
        .upsert(id, |_: &Product| reviewed.clone())
        .await
        .unwrap();
    assert!(shop.state(1).await.contains("$personal"));
    let found = shop.garbage(None).await;
    assert_eq!((found.n_named, found.n_garbage), (1, 0));
}
