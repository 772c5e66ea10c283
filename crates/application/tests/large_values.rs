//! Values that are stored apart from the events that name them: beside the log, and in a folder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a panic is the message"
)]

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use boxes_application::{
    App, AppOptions, Edge, Error, Garbage, MAX_LARGE_BYTES, SystemEdge, ValueFolder, find_garbage,
};
use boxes_domain::{Aggregate, Event, Id, Large, Personal};
use boxes_mapper::{Encryption, Key, KeyId, Keys, Mapper, Topics};
use boxes_recorder::{GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
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

/// Where values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BesideLog,
    Folder,
}

/// Makes two tests of each: one for each place.
macro_rules! in_each_place {
    ($($behaviour:ident,)+) => {
        in_each_place! { @of beside_the_log Place::BesideLog; $($behaviour,)+ }
        in_each_place! { @of in_a_folder Place::Folder; $($behaviour,)+ }
    };
    (@of $module:ident $place:expr; $($behaviour:ident,)+) => {
        mod $module {
            use super::Place;
            $(
                #[tokio::test]
                async fn $behaviour() {
                    super::$behaviour($place).await;
                }
            )+
        }
    };
}

const HOUR: Duration = Duration::from_secs(3600);

struct Shop {
    app: App,
    recorder: Arc<dyn Recorder>,
    clock: Arc<Clock>,
    folder: Option<TempDir>,
}

impl Shop {
    async fn with(mapper: Mapper, place: Place) -> Self {
        let recorder: Arc<dyn Recorder> = Arc::new(MemoryRecorder::new(LogIdentity {
            name: "shop".into(),
            epoch: Uuid::from_u128(1),
            page_size: NonZeroU32::new(20).unwrap(),
        }));
        let folder = (place == Place::Folder).then(|| TempDir::new().unwrap());
        Self::on(recorder, mapper, folder).await
    }

    async fn on(recorder: Arc<dyn Recorder>, mapper: Mapper, folder: Option<TempDir>) -> Self {
        let mut topics = Topics::default();
        topics.register::<ProductEvent>().unwrap();
        let writer = GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default());
        let clock = Arc::<Clock>::default();
        let values = |folder: &TempDir| ValueFolder::open(folder.path().join("values")).unwrap();
        let options = AppOptions {
            topics,
            mapper,
            large_over: 10,
            value_folder: folder.as_ref().map(values),
            edge: Arc::<Clock>::clone(&clock),
            ..AppOptions::default()
        };
        let app = App::new(writer.await.unwrap(), options);
        Self {
            app,
            recorder,
            clock,
            folder,
        }
    }

    async fn new(place: Place) -> Self {
        Self::with(Mapper::default(), place).await
    }

    /// The file of a value.
    fn file(&self, large: &Large) -> PathBuf {
        let id = large.id().unwrap().to_string();
        let values = self.folder.as_ref().unwrap().path().join("values");
        values.join(&id[..2]).join(id)
    }

    /// A value as it is stored, without what the place writes in front of it.
    async fn stored(&self, large: &Large) -> Vec<u8> {
        if self.folder.is_some() {
            return fs::read(self.file(large)).unwrap();
        }
        let (store, id) = (
            self.recorder.key_value_store().unwrap(),
            large.id().unwrap(),
        );
        let entry = store.get("value", id.as_bytes()).await.unwrap().unwrap();
        entry[8..].to_vec()
    }

    /// Puts other bytes in the place of a value.
    async fn damage(&self, large: &Large, stored: &[u8]) {
        if self.folder.is_some() {
            return fs::write(self.file(large), stored).unwrap();
        }
        let (store, id) = (
            self.recorder.key_value_store().unwrap(),
            large.id().unwrap(),
        );
        let entry = [&[0; 8], stored].concat();
        store.put("value", id.as_bytes(), &entry).await.unwrap();
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

in_each_place! {
    a_small_value_stands_in_its_event_and_a_large_one_apart_once,
    a_value_is_encrypted_where_events_are_and_held_against_its_id_when_it_is_read,
    a_value_that_is_too_large_for_a_store_is_refused,
    what_no_event_names_is_found_put_aside_and_deleted_by_a_later_run,
    a_value_that_is_named_while_it_is_put_aside_comes_back,
    a_value_inside_of_a_personal_part_is_no_garbage_either,
    all_are_found_however_many_there_are,
}

async fn a_small_value_stands_in_its_event_and_a_large_one_apart_once(place: Place) {
    let shop = Shop::new(place).await;
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

async fn a_value_is_encrypted_where_events_are_and_held_against_its_id_when_it_is_read(
    place: Place,
) {
    let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
    let shop = Shop::with(Mapper::default().encrypted(Encryption::all(keys)), place).await;
    let large = shop.app.keep("nobody is to see this").await.unwrap();
    let stored = shop.stored(&large).await;
    assert!(!stored.windows(6).any(|part| part == b"nobody"));
    assert_eq!(
        shop.app.value(&large).await.unwrap(),
        "nobody is to see this"
    );
    let mut changed = stored.clone();
    *changed.last_mut().unwrap() ^= 1;
    for damaged in [&*changed, &stored[..stored.len() - 1], &[]] {
        shop.damage(&large, damaged).await;
        let read = shop.app.value(&large).await;
        assert!(matches!(read, Err(Error::Mapper(_))), "{read:?}");
    }
    // Kept again, it is whole.
    shop.app.keep("nobody is to see this").await.unwrap();
    assert_eq!(shop.stored(&large).await, stored);
}

async fn a_value_that_is_too_large_for_a_store_is_refused(place: Place) {
    let shop = Shop::new(place).await;
    let error = shop.app.keep(vec![0; MAX_LARGE_BYTES + 1]).await;
    assert!(matches!(error, Err(Error::TooLarge { .. })));
    let large = shop.app.keep(vec![0; MAX_LARGE_BYTES]).await.unwrap();
    assert_eq!(shop.app.value(&large).await.unwrap().len(), MAX_LARGE_BYTES);
}

async fn what_no_event_names_is_found_put_aside_and_deleted_by_a_later_run(place: Place) {
    let shop = Shop::new(place).await;
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

async fn a_value_that_is_named_while_it_is_put_aside_comes_back(place: Place) {
    let shop = Shop::new(place).await;
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

async fn a_value_inside_of_a_personal_part_is_no_garbage_either(place: Place) {
    let shop = Shop::new(place).await;
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

async fn all_are_found_however_many_there_are(place: Place) {
    let shop = Shop::new(place).await;
    for n in 0..250 {
        shop.app
            .keep(format!("a value for nothing {n}"))
            .await
            .unwrap();
    }
    let counts = |found: Garbage| (found.n_garbage, found.n_put_aside, found.n_deleted);
    assert_eq!(counts(shop.garbage(None).await), (250, 0, 0));
    shop.pass(1);
    assert_eq!(counts(shop.garbage(Some(HOUR)).await), (250, 250, 0));
    shop.pass(1);
    assert_eq!(counts(shop.garbage(Some(HOUR)).await), (0, 0, 250));
    assert_eq!(counts(shop.garbage(None).await), (0, 0, 0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let shop = Shop::new(Place::Folder).await;
    let large = shop.app.keep("a picture of something").await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = shop.file(&large);
    assert_eq!(mode(&file), 0o600);
    for folder in file.ancestors().skip(1).take(2) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn what_was_not_written_to_its_end_is_no_value_and_goes_with_the_garbage() {
    let shop = Shop::new(Place::Folder).await;
    let named = shop.app.keep("a picture of something").await.unwrap();
    shop.show("a", &named).await;
    let name = format!("{}.7-7.tmp", named.id().unwrap());
    let unfinished = shop.file(&named).with_file_name(name);
    fs::write(&unfinished, "a pict").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let file = fs::File::options().write(true).open(&unfinished).unwrap();
    file.set_modified(long_ago).unwrap();
    let found = shop.garbage(Some(HOUR)).await;
    assert_eq!((found.n_named, found.n_garbage), (1, 0));
    assert!(unfinished.exists(), "somebody may still be writing it");
    shop.pass(2);
    shop.garbage(None).await;
    assert!(unfinished.exists(), "nothing is to be removed");
    shop.garbage(Some(HOUR)).await;
    assert!(!unfinished.exists() && shop.is_there(&named).await);
}

#[tokio::test]
async fn what_was_kept_beside_the_log_before_there_was_a_folder_is_found_and_cleaned_there() {
    let before = Shop::new(Place::BesideLog).await;
    let named = before.app.keep("a picture of something").await.unwrap();
    let lost = before.app.keep("the command failed").await.unwrap();
    before.show("a", &named).await;
    let folder = Some(TempDir::new().unwrap());
    let shop = Shop::on(Arc::clone(&before.recorder), Mapper::default(), folder).await;
    assert!(shop.is_there(&named).await && shop.is_there(&lost).await);
    let in_folder = shop.app.keep("another that failed").await.unwrap();
    assert!(shop.file(&in_folder).exists() && !shop.file(&lost).exists());
    let found = shop.garbage(None).await;
    assert_eq!((found.n_named, found.n_garbage), (1, 2));
    shop.pass(1);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_put_aside, 2);
    shop.pass(1);
    assert_eq!(shop.garbage(Some(HOUR)).await.n_deleted, 2);
    assert!(shop.is_there(&named).await && !shop.is_there(&lost).await);
}

#[test]
fn a_folder_that_can_not_be_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(ValueFolder::open(&file).is_err());
    assert!(ValueFolder::open(file.join("values")).is_err());
    // Several levels are made, and what is there is taken as it is.
    for _ in 0..2 {
        ValueFolder::open(folder.path().join("a/b/c")).unwrap();
    }
}
