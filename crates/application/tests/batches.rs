//! How notifications are cut into batches is not visible: what a policy does is the same in one transaction with others as
//! it is alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxes_application::{
    App, AppOptions, Error, Follower, FollowerError, FollowerOptions, Notification, Policies,
};
use boxes_domain::{Aggregate, Event, Id, Personal, Rejection};
use boxes_mapper::Topics;
use boxes_recorder::{
    GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, StreamRange,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "source.tick", crate = "boxes_domain")]
enum Tick {
    Ticked { n: u32 },
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "echo.person", crate = "boxes_domain")]
enum PersonEvent {
    Seen { n: u32 },
    Named { name: Personal<String> },
}

#[derive(Default, Clone)]
struct Source;

#[derive(Default, Clone, Debug, PartialEq)]
struct Person(Vec<u32>);

impl Aggregate for Source {
    type Event = Tick;
    fn apply(&mut self, _: &Tick) {}
}

impl Aggregate for Person {
    type Event = PersonEvent;
    fn apply(&mut self, event: &PersonEvent) {
        if let PersonEvent::Seen { n } = event {
            self.0.push(*n);
        }
    }
}

const ANN: &str = "ann";

fn person() -> Id<Person> {
    Id::named("person")
}

fn recorder(name: &str, page_size: u32) -> MemoryRecorder {
    MemoryRecorder::new(LogIdentity {
        name: name.into(),
        epoch: Uuid::from_u128(1),
        page_size: NonZeroU32::new(page_size).unwrap(),
    })
}

async fn app_on(recorder: &MemoryRecorder) -> App {
    let mut topics = Topics::default();
    topics.register::<Tick>().unwrap();
    topics.register::<PersonEvent>().unwrap();
    let recorder: Arc<dyn Recorder> = Arc::new(recorder.clone());
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default());
    let options = AppOptions {
        topics,
        redactable: true,
        ..AppOptions::default()
    };
    App::new(writer.await.unwrap(), options)
}

/// A batch has at least one section of the log, so one by one takes sections of one.
async fn source_with(n_ticks: u32, page_size: u32) -> App {
    let app = app_on(&recorder("source", page_size)).await;
    for n in 1..=n_ticks {
        app.upsert(Id::<Source>::named("s"), |_: &Source| Tick::Ticked { n })
            .await
            .unwrap();
    }
    app
}

fn see(n: u32) -> impl Fn(&Person) -> PersonEvent {
    move |_| PersonEvent::Seen { n }
}

/// Follows `n_ticks` notifications with a policy, in one batch and one by one, and says what came of both: what is recorded of
/// the person, `None` if it was deleted, and the position.
async fn both<F, Fut>(n_ticks: u32, policy: F) -> [(Option<Vec<PersonEvent>>, u64); 2]
where
    F: Fn(u32, App) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut outcomes = Vec::new();
    for max_batch in [256, 1] {
        let source = source_with(n_ticks, u32::try_from(max_batch).unwrap()).await;
        let store = recorder("echo", 20);
        let app = app_on(&store).await;
        let mut follower = follower(&app, &source, max_batch, policy.clone());
        let caught_up = follower.catch_up().await;
        let position = follower.status().borrow().position;
        let history = match app.history(person()).take(u64::MAX).await {
            Ok(history) => Some(history.into_iter().map(|r| r.event).collect()),
            Err(Error::Deleted { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        drop(caught_up);
        outcomes.push((history, position));
    }
    [outcomes.remove(0), outcomes.remove(0)]
}

fn follower<F, Fut>(app: &App, source: &App, max_batch: usize, policy: F) -> Follower
where
    F: Fn(u32, App) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut policies = Policies::default();
    policies.follow("source", move |n: Notification<Tick>, app| {
        let Tick::Ticked { n } = n.event;
        policy(n, app)
    });
    let options = FollowerOptions {
        max_batch,
        max_attempts: 2,
        first_retry: Duration::from_millis(1),
        max_retry: Duration::from_millis(1),
        ..FollowerOptions::default()
    };
    let log = Arc::new(source.notification_log());
    Follower::new(app.clone(), "source", &policies, log, options)
}

#[tokio::test]
async fn what_one_notification_began_another_deletes() {
    let [batch, alone] = both(2, |n, app: App| async move {
        match n {
            1 => app.upsert(person(), see(1)).await.map(|_| ()),
            _ => app.delete(person()).await.map(|_| ()),
        }
    })
    .await;
    assert_eq!(batch, (None, 2));
    assert_eq!(alone, batch);
}

#[tokio::test]
async fn what_is_recorded_once_if_there_is_no_history_is_recorded_once() {
    let [batch, alone] = both(2, |_, app: App| async move {
        if app.history(person()).take(1).await?.is_empty() {
            app.upsert(person(), see(1)).await?;
        }
        Ok(())
    })
    .await;
    assert_eq!(batch, (Some(vec![PersonEvent::Seen { n: 1 }]), 2));
    assert_eq!(alone, batch);
}

#[tokio::test]
async fn a_policy_updates_and_deletes_and_finds_it_deleted() {
    let [batch, alone] = both(3, |n, app: App| async move {
        if n == 1 {
            return app.upsert(person(), see(1)).await.map(|_| ());
        }
        if n == 2 {
            app.update(person(), see(2)).await?;
            assert_eq!(app.delete(person()).await?, 2);
        }
        assert_eq!(app.delete(person()).await?, 2);
        let found = [
            app.get(person()).await.map(|_| ()),
            app.update(person(), see(3)).await.map(|_| ()),
            app.upsert(person(), see(3)).await.map(|_| ()),
            app.create(person(), PersonEvent::Seen { n: 3 })
                .await
                .map(|_| ()),
            app.history(person()).take(1).await.map(|_| ()),
        ];
        for found in found {
            assert!(matches!(found, Err(Error::Deleted { .. })), "{found:?}");
        }
        Ok(())
    })
    .await;
    assert_eq!(batch, (None, 3));
    assert_eq!(alone, batch);
}

#[tokio::test]
async fn a_history_shows_what_is_not_recorded_yet() {
    let [batch, alone] = both(3, |n, app: App| async move {
        let newest = app.history(person()).within(StreamRange::newest(9)).take(9);
        let newest: Vec<u64> = newest.await?.iter().map(|r| r.version).collect();
        let oldest = app.history(person()).take(1).await?;
        match n {
            1 => {
                assert_eq!((newest, oldest.len()), (vec![], 0));
                app.upsert(person(), see(1)).await?;
                app.upsert(person(), see(2)).await.map(|_| ())
            }
            2 => {
                assert_eq!((newest, oldest[0].version), (vec![2, 1], 1));
                let after = app.history(person()).within(StreamRange::after(1));
                let after = after.take(9).await?;
                assert_eq!(after[0].event, PersonEvent::Seen { n: 2 });
                Ok(())
            }
            // It exists, so there is nothing to do.
            _ if !oldest.is_empty() => Ok(()),
            _ => app.upsert(person(), see(n)).await.map(|_| ()),
        }
    })
    .await;
    let seen = vec![PersonEvent::Seen { n: 1 }, PersonEvent::Seen { n: 2 }];
    assert_eq!(batch, (Some(seen), 3));
    assert_eq!(alone, batch);
}

#[tokio::test]
async fn a_policy_that_fails_or_panics_leaves_nothing_of_its_notification_and_all_of_those_before_it()
 {
    for panics in [false, true] {
        let [batch, alone] = both(3, move |n, app: App| async move {
            if n == 1 {
                return app.upsert(person(), see(1)).await.map(|_| ());
            }
            app.update(person(), see(2)).await?;
            app.delete(person()).await?;
            app.forget(ANN).await?;
            assert!(!panics, "a mistake in a policy");
            Err(Error::from(Rejection::from(std::fmt::Error)))
        })
        .await;
        assert_eq!(batch, (Some(vec![PersonEvent::Seen { n: 1 }]), 1));
        assert_eq!(alone, batch);
    }
}

#[tokio::test]
async fn what_is_said_of_a_subject_after_it_was_forgotten_is_known_and_what_was_said_before_is_not()
{
    let [batch, alone] = both(3, |n, app: App| async move {
        if n == 2 {
            assert!(app.forget(ANN).await?);
            return Ok(());
        }
        let name = Personal::of(ANN, format!("Ann {n}"));
        app.upsert(person(), |_: &Person| PersonEvent::Named {
            name: name.clone(),
        })
        .await
        .map(|_| ())
    })
    .await;
    let names = batch.0.as_ref().unwrap().iter().map(|event| match event {
        PersonEvent::Named { name } => name.known().cloned(),
        PersonEvent::Seen { .. } => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), [None, Some("Ann 3".to_owned())]);
    assert_eq!(alone, batch);
}

/// A policy that keeps its app beyond its end commands nothing, also while the batch goes on.
#[tokio::test]
async fn an_app_that_was_kept_beyond_its_policy_takes_no_command_while_others_follow() {
    let kept = Arc::new(Mutex::new(None::<App>));
    let n_refused = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&n_refused);
    let [batch, alone] = both(2, move |n, app: App| {
        let (kept, n_refused) = (Arc::clone(&kept), Arc::clone(&counted));
        async move {
            if n == 1 {
                *kept.lock().unwrap() = Some(app);
                return Ok(());
            }
            let kept = kept.lock().unwrap().take().unwrap();
            if let Err(Error::TransactionEnded) = kept.upsert(person(), see(1)).await {
                n_refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    })
    .await;
    assert_eq!(n_refused.load(Ordering::SeqCst), 2);
    assert_eq!(batch, (Some(vec![]), 2));
    assert_eq!(alone, batch);
}

#[tokio::test]
async fn a_failure_in_the_middle_of_a_batch_is_of_its_own_notification() {
    let source = source_with(9, 20).await;
    let app = app_on(&recorder("echo", 20)).await;
    let mut follower = follower(&app, &source, 256, |n, app: App| async move {
        if n == 5 {
            return Err(Error::from(Rejection::from(std::fmt::Error)));
        }
        app.upsert(person(), see(n)).await.map(|_| ())
    });
    let error = follower.catch_up().await.unwrap_err();
    assert!(
        matches!(error, FollowerError::Policy { id: 5, .. }),
        "{error:?}"
    );
    assert_eq!(app.get(person()).await.unwrap(), Person(vec![1, 2, 3, 4]));
}
