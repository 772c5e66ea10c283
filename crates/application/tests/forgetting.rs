//! Persons whom events are about, and who are forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxes_application::{
    App, AppOptions, Error, Follower, FollowerOptions, Notification, Policies, StoredSubjectKeys,
    SubjectKeyProvider, SubjectKeys,
};
use boxes_domain::{Aggregate, Event, Id, Personal, Rejection, Subject};
use boxes_mapper::{
    Encryption, Key, KeyId, Keys, Mapper, MapperError, SubjectKey, SubjectKeyId, Topics,
};
use boxes_recorder::{
    DEFAULT_PAGE_SIZE, GroupCommit, GroupCommitBounds, KeyValueStore, LogIdentity,
    MemoryKeyValueStore, MemoryRecorder, Recorder, RecorderError,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "crm.customer", crate = "boxes_domain")]
enum CustomerEvent {
    Named { name: Personal<String> },
    Moved { country: String },
}

#[derive(Default, Clone, Debug, PartialEq)]
struct Customer {
    name: Personal<String>,
    country: String,
}

impl Aggregate for Customer {
    type Event = CustomerEvent;

    fn apply(&mut self, event: &CustomerEvent) {
        match event {
            CustomerEvent::Named { name } => self.name = name.clone(),
            CustomerEvent::Moved { country } => self.country.clone_from(country),
        }
    }
}

/// The box that follows keeps what it read.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "mail.letter", crate = "boxes_domain")]
enum LetterEvent {
    Written { to: Personal<String> },
}

#[derive(Default, Clone, Debug, PartialEq)]
struct Letters(Vec<Option<String>>);

impl Aggregate for Letters {
    type Event = LetterEvent;

    fn apply(&mut self, LetterEvent::Written { to }: &LetterEvent) {
        self.0.push(to.known().cloned());
    }
}

const ANN: &str = "customer-ann";

fn ann() -> Id<Customer> {
    Id::named("ann")
}

fn memory(name: &str) -> MemoryRecorder {
    MemoryRecorder::new(LogIdentity {
        name: name.to_owned(),
        epoch: Uuid::from_u128(7),
        page_size: DEFAULT_PAGE_SIZE,
    })
}

async fn app_with(recorder: &MemoryRecorder, options: AppOptions) -> App {
    let mut topics = Topics::default();
    topics.register::<CustomerEvent>().unwrap();
    topics.register::<LetterEvent>().unwrap();
    let writer = GroupCommit::start(Arc::new(recorder.clone()), GroupCommitBounds::default());
    App::new(writer.await.unwrap(), AppOptions { topics, ..options })
}

/// A replica that hears at once of whom others forgot.
async fn app(recorder: &MemoryRecorder) -> App {
    let keys = StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    app_with(recorder, hearing(keys, Duration::ZERO)).await
}

fn hearing(provider: impl SubjectKeyProvider, within: Duration) -> AppOptions {
    let keys = SubjectKeys::new(Arc::new(provider)).forgotten_within(within);
    AppOptions {
        subject_keys: Some(keys),
        ..AppOptions::default()
    }
}

async fn name(app: &App, subject: &str, name: &str) -> Result<(), Error> {
    let event = CustomerEvent::Named {
        name: Personal::of(subject, name.to_owned()),
    };
    app.upsert(
        Id::named(subject.trim_start_matches("customer-")),
        |_: &Customer| event.clone(),
    )
    .await?;
    Ok(())
}

async fn known(app: &App) -> Option<String> {
    let customer: Customer = app.get(ann()).await.unwrap();
    customer.name.known().cloned()
}

fn letters() -> Id<Letters> {
    Id::named("letters")
}

async fn write_letter(n: Notification<CustomerEvent>, app: App) -> Result<(), Error> {
    let CustomerEvent::Named { name } = n.event else {
        return Ok(());
    };
    let to = name.map(|name| format!("Dear {name}"));
    app.upsert(letters(), |_: &Letters| LetterEvent::Written {
        to: to.clone(),
    })
    .await?;
    Ok(())
}

/// What the box `mail` made of the log of `crm`, read from its beginning.
async fn follow(crm: &App, mail: &App) -> Result<u64, boxes_application::FollowerError> {
    let mut policies = Policies::default();
    policies.follow("crm", write_letter);
    let options = FollowerOptions {
        max_attempts: 1,
        ..FollowerOptions::default()
    };
    let log = Arc::new(crm.notification_log());
    Follower::new(mail.clone(), "crm", &policies, log, options)
        .catch_up()
        .await
}

#[tokio::test]
async fn who_is_forgotten_is_so_in_memory_in_the_store_and_in_the_history_and_the_log_stays_as_it_is()
 {
    let recorder = memory("crm");
    let app_ = app_with(&recorder, AppOptions::default()).await;
    name(&app_, ANN, "Ann Anders").await.unwrap();
    app_.update(ann(), |_: &Customer| CustomerEvent::Moved {
        country: "DE".to_owned(),
    })
    .await
    .unwrap();
    name(&app_, "customer-bob", "Bob Berg").await.unwrap();
    assert_eq!(known(&app_).await.as_deref(), Some("Ann Anders"));
    let log = recorder.select_notifications(1, 10).await.unwrap();

    assert!(app_.forget(ANN).await.unwrap());
    // Kept in memory by the one, read anew by the other.
    for app in [&app_, &app(&recorder).await] {
        let customer: Customer = app.get(ann()).await.unwrap();
        assert!(customer.name.is_forgotten() && customer.country == "DE");
        let history = app.history(ann()).take(u64::MAX).await.unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!(
            history[0].event,
            CustomerEvent::Named {
                name: Personal::Forgotten
            }
        );
        let bob: Customer = app.get(Id::named("bob")).await.unwrap();
        assert_eq!(bob.name.known().map(String::as_str), Some("Bob Berg"));
    }
    assert_eq!(recorder.select_notifications(1, 10).await.unwrap(), log);
    assert!(!app_.forget(ANN).await.unwrap(), "forgotten already");
    assert!(!app_.forget("nobody").await.unwrap());
}

#[tokio::test]
async fn commands_go_on_with_what_is_forgotten_and_what_is_said_later_is_known() {
    let recorder = memory("crm");
    let app = app(&recorder).await;
    name(&app, ANN, "Ann Anders").await.unwrap();
    app.forget(ANN).await.unwrap();
    let copied = app.update(ann(), |customer: &Customer| CustomerEvent::Named {
        name: customer.name.clone(),
    });
    copied.await.unwrap();
    assert_eq!(known(&app).await, None);
    name(&app, ANN, "Ann Berg").await.unwrap();
    assert_eq!(known(&app).await.as_deref(), Some("Ann Berg"));
    let history = app.history(ann()).take(u64::MAX).await.unwrap();
    let names = history.iter().map(|recorded| match &recorded.event {
        CustomerEvent::Named { name } => name.known().map(String::as_str),
        CustomerEvent::Moved { .. } => panic!("nobody moved"),
    });
    assert!(names.eq([None, None, Some("Ann Berg")]));
    // And is forgotten as well.
    app.forget(ANN).await.unwrap();
    assert_eq!(known(&app).await, None);
}

#[tokio::test]
async fn a_policy_meets_what_is_forgotten_and_what_it_wrote_itself_is_forgotten_too() {
    let keys: Arc<dyn KeyValueStore> = Arc::new(MemoryKeyValueStore::default());
    let shared = || hearing(StoredSubjectKeys::new(Arc::clone(&keys)), Duration::ZERO);
    let crm = app_with(&memory("crm"), shared()).await;
    let mail = app_with(&memory("mail"), shared()).await;
    name(&crm, ANN, "Ann").await.unwrap();
    name(&crm, "customer-bob", "Bob").await.unwrap();
    assert_eq!(follow(&crm, &mail).await.unwrap(), 2);
    let written =
        |app: App| async move { app.get(letters()).await.map(|letters| letters.0).unwrap() };
    let dear = |name: &str| Some(format!("Dear {name}"));
    assert_eq!(written(mail.clone()).await, [dear("Ann"), dear("Bob")]);

    crm.forget(ANN).await.unwrap();
    // In the other box, which was not told.
    assert_eq!(written(mail.clone()).await, [None, dear("Bob")]);
    // And in one that reads the log for the first time.
    let late = app_with(&memory("mail"), shared()).await;
    assert_eq!(follow(&crm, &late).await.unwrap(), 2);
    assert_eq!(written(late).await, [None, dear("Bob")]);
}

#[tokio::test]
async fn a_box_without_the_keys_says_so_and_takes_nobody_for_forgotten() {
    let crm = app(&memory("crm")).await;
    let mail = app(&memory("mail")).await;
    name(&crm, ANN, "Ann").await.unwrap();
    let error = follow(&crm, &mail).await.unwrap_err();
    assert!(
        error.to_string().contains("not where this program looks"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_hears_of_it_within_the_time_that_is_set() {
    let recorder = memory("crm");
    let keys = || StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    let one = app_with(&recorder, hearing(keys(), Duration::from_secs(5))).await;
    let other = app_with(&recorder, hearing(keys(), Duration::from_secs(5))).await;
    name(&one, ANN, "Ann").await.unwrap();
    assert_eq!(known(&other).await.as_deref(), Some("Ann"));
    one.forget(ANN).await.unwrap();
    assert_eq!(known(&one).await, None);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(known(&other).await, None);
}

#[tokio::test]
async fn keys_are_kept_under_the_key_of_the_box_if_it_has_one() {
    let plain = memory("crm");
    name(&app(&plain).await, ANN, "Ann").await.unwrap();
    let wrapped = memory("crm");
    let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
    let options = || AppOptions {
        mapper: Mapper::default().encrypted(Encryption::none(keys.clone())),
        ..AppOptions::default()
    };
    name(&app_with(&wrapped, options()).await, ANN, "Ann")
        .await
        .unwrap();
    assert_eq!(
        known(&app_with(&wrapped, options()).await).await.as_deref(),
        Some("Ann")
    );
    let without = app_with(&wrapped, AppOptions::default()).await;
    let error = without.get(ann()).await.unwrap_err();
    assert!(
        error.to_string().contains("encrypted with key 1"),
        "{error}"
    );
    assert!(matches!(error, Error::Mapper(MapperError::SubjectKey(_))));
    // Who has the store alone has the key of a box without keys, and of the other one not.
    let without = app_with(&plain, AppOptions::default()).await;
    assert_eq!(known(&without).await.as_deref(), Some("Ann"));
}

#[tokio::test]
async fn the_name_of_a_subject_is_bounded() {
    let app = app(&memory("crm")).await;
    for subject in ["", "a\0b", "a\nb", &"s".repeat(201)] {
        let refused = app.forget(subject).await;
        assert!(
            matches!(refused, Err(Error::Store(RecorderError::Invalid { .. }))),
            "{refused:?}"
        );
        let refused = name(&app, subject, "Ann").await;
        assert!(
            matches!(refused, Err(Error::Store(RecorderError::Invalid { .. }))),
            "{refused:?}"
        );
    }
    name(&app, &"s".repeat(200), "Ann").await.unwrap();
}

/// However often a subject is written about and forgotten at the same time: no key is left that forgetting does not find.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_gets_out_of_reach_while_many_write_and_forget_at_once() {
    let store: Arc<dyn KeyValueStore> = Arc::new(MemoryKeyValueStore::default());
    let keys = StoredSubjectKeys::new(Arc::clone(&store));
    let subject = Subject::from(ANN);
    let mut rivals = JoinSet::new();
    for rival in 0..6 {
        let (keys, subject) = (keys.clone(), subject.clone());
        rivals.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..100 {
                if rival % 2 == 0 {
                    // Refused where others forget again and again.
                    ids.extend(keys.key_of(&subject).await.ok().map(|(id, _)| id));
                } else {
                    keys.forget(&subject).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
            ids
        });
    }
    let ids: Vec<SubjectKeyId> = rivals.join_all().await.concat();
    assert!(!ids.is_empty());
    keys.forget(&subject).await.unwrap();
    for id in ids {
        assert!(
            matches!(keys.key(id).await.unwrap(), Some(SubjectKey::Forgotten)),
            "{id}"
        );
    }
    let kept = store.list("subject-key", b"", u64::MAX).await.unwrap();
    assert!(
        kept.iter().all(|entry| entry.value.len() == 1),
        "a key is left: {kept:?}"
    );
    assert!(store.list_keys("subject", b"", 1).await.unwrap().is_empty());
}

/// A place of keys that can be cut off.
#[derive(Debug)]
struct CutOff(StoredSubjectKeys, Arc<std::sync::atomic::AtomicBool>);

impl CutOff {
    fn check(&self) -> Result<(), Error> {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(RecorderError::Unavailable {
                reason: "cut off".to_owned(),
                source: None,
            }
            .into());
        }
        Ok(())
    }
}

#[async_trait]
impl SubjectKeyProvider for CutOff {
    async fn key_of(&self, subject: &Subject) -> Result<(SubjectKeyId, Key), Error> {
        self.check()?;
        self.0.key_of(subject).await
    }

    async fn key(&self, id: SubjectKeyId) -> Result<Option<SubjectKey>, Error> {
        self.check()?;
        self.0.key(id).await
    }

    async fn forget(&self, subject: &Subject) -> Result<bool, Error> {
        self.check()?;
        self.0.forget(subject).await
    }

    async fn forgetting(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        self.0.forgetting().await
    }
}

#[tokio::test]
async fn while_keys_can_not_be_reached_nothing_is_read_and_nobody_is_taken_for_forgotten() {
    let recorder = memory("crm");
    let cut_off = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let keys = StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    let provider = CutOff(keys, Arc::clone(&cut_off));
    let app = app_with(&recorder, hearing(provider, Duration::ZERO)).await;
    name(&app, ANN, "Ann").await.unwrap();
    cut_off.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = app.get(ann()).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    let refused = name(&app, ANN, "Ann Berg").await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    cut_off.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(known(&app).await.as_deref(), Some("Ann"));
}

#[tokio::test]
async fn whom_a_transaction_forgets_is_forgotten_once_it_is_recorded_also_after_a_crash() {
    let recorder = memory("crm");
    let cut_off = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let keys = || StoredSubjectKeys::new(recorder.key_value_store().unwrap());
    let provider = CutOff(keys(), Arc::clone(&cut_off));
    let first = app_with(&recorder, hearing(provider, Duration::ZERO)).await;
    name(&first, ANN, "Ann").await.unwrap();
    let beside = recorder.key_value_store().unwrap();
    let duties = async || beside.list("duty", b"", 9).await.unwrap();

    let failed = first.transaction(|app| async move {
        app.forget(ANN).await?;
        Err::<(), _>(Error::from(Rejection::from(std::fmt::Error)))
    });
    failed.await.unwrap_err();
    assert_eq!(known(&first).await.as_deref(), Some("Ann"));
    assert_eq!(duties().await, []);

    // Its end comes after it is recorded, and before it is done.
    let committed = first.transaction(|app| {
        let cut_off = Arc::clone(&cut_off);
        async move {
            let was_known = app.forget(ANN).await?;
            cut_off.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(was_known)
        }
    });
    assert!(committed.await.unwrap().value);
    assert_eq!(duties().await.len(), 1);
    drop(first);
    // A copy of the store has it to do as well.
    let copy = MemoryKeyValueStore::default();
    boxes_application::copy_unfinished(&*beside, &copy)
        .await
        .unwrap();
    assert_eq!(copy.list("duty", b"", 9).await.unwrap(), duties().await);

    let second = app_with(&recorder, hearing(keys(), Duration::ZERO)).await;
    assert_eq!(known(&second).await.as_deref(), Some("Ann"));
    second.finish_all().await.unwrap();
    assert_eq!(known(&second).await, None);
    assert_eq!(duties().await, []);
    // Who is named again afterwards is known.
    name(&second, ANN, "Ann").await.unwrap();
    second.finish_all().await.unwrap();
    assert_eq!(known(&second).await.as_deref(), Some("Ann"));
}
