//! Boxes that follow each other, in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use boxes_application::{
    AfterCommit, App, AppOptions, Error, Follower, FollowerError, FollowerOptions, FollowerState,
    Notification, Policies, SynchronousDelivery,
};
use boxes_domain::{Aggregate, Event, Id, Rejection};
use boxes_mapper::{Metadata, Topics};
use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionLink};
use boxes_recorder::{
    GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, RecorderError,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Counted in one box …
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "source.tick", crate = "boxes_domain")]
enum Tick {
    Ticked { n: u32 },
    Unheard,
}

/// … and echoed in another.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "echo.echo", crate = "boxes_domain")]
enum Echo {
    Echoed { n: u32 },
}

#[derive(Default, Clone)]
struct Source;

#[derive(Default, Clone, Debug, PartialEq)]
struct Echoes(Vec<u32>);

impl Aggregate for Source {
    type Event = Tick;
    fn apply(&mut self, _: &Tick) {}
}

impl Aggregate for Echoes {
    type Event = Echo;
    fn apply(&mut self, Echo::Echoed { n }: &Echo) {
        self.0.push(*n);
    }
}

fn recorder(name: &str, epoch: u128) -> Arc<dyn Recorder> {
    let page_size = NonZeroU32::new(5).unwrap();
    Arc::new(MemoryRecorder::new(LogIdentity {
        name: name.into(),
        epoch: Uuid::from_u128(epoch),
        page_size,
    }))
}

async fn app_on(recorder: &Arc<dyn Recorder>) -> App {
    let mut topics = Topics::default();
    topics.register::<Tick>().unwrap();
    topics.register::<Echo>().unwrap();
    let writer = GroupCommit::start(Arc::clone(recorder), GroupCommitBounds::default())
        .await
        .unwrap();
    App::new(
        writer,
        AppOptions {
            topics,
            redactable: true,
            ..AppOptions::default()
        },
    )
}

async fn source_with(n_ticks: u32) -> App {
    let app = app_on(&recorder("source", 1)).await;
    for n in 1..=n_ticks {
        tick(&app, n).await;
    }
    app
}

async fn tick(app: &App, n: u32) {
    app.upsert(Id::<Source>::named("s"), |_: &Source| Tick::Ticked { n })
        .await
        .unwrap();
}

/// The deadline of what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const ECHOES: &str = "echoes";

async fn echo(n: Notification<Tick>, app: App) -> Result<(), Error> {
    let Tick::Ticked { n } = n.event else {
        return Ok(());
    };
    app.upsert(Id::<Echoes>::named(ECHOES), |_: &Echoes| Echo::Echoed { n })
        .await?;
    Ok(())
}

async fn echoes(app: &App) -> Vec<u32> {
    app.get(Id::<Echoes>::named(ECHOES))
        .await
        .map(|e| e.0)
        .unwrap_or_default()
}

fn following<F, Fut>(policy: F) -> Policies
where
    F: Fn(Notification<Tick>, App) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut policies = Policies::default();
    policies.follow("source", policy);
    policies
}

fn options() -> FollowerOptions {
    let (first_retry, max_retry) = (Duration::from_millis(1), Duration::from_millis(5));
    FollowerOptions {
        first_retry,
        max_retry,
        max_failure_retry: max_retry,
        max_attempts: 3,
        ..FollowerOptions::default()
    }
}

fn follower(app: &App, source: &App, policies: &Policies) -> Follower {
    Follower::new(
        app.clone(),
        "source",
        policies,
        Arc::new(source.notification_log()),
        options(),
    )
}

fn upto(n: u32) -> Vec<u32> {
    (1..=n).collect()
}

#[tokio::test]
async fn a_follower_catches_up_without_a_prompt_and_its_results_are_there_once_after_a_restart() {
    let source = source_with(42).await;
    let store = recorder("echo", 2);
    let app = app_on(&store).await;
    let policies = following(echo);
    assert_eq!(
        follower(&app, &source, &policies).catch_up().await.unwrap(),
        42
    );
    assert_eq!(echoes(&app).await, upto(42));
    tick(&source, 43).await;
    // Another process on the same store: it goes on where the first one was.
    let restarted = app_on(&store).await;
    assert_eq!(
        follower(&restarted, &source, &policies)
            .catch_up()
            .await
            .unwrap(),
        1
    );
    assert_eq!(echoes(&restarted).await, upto(43));
}

#[tokio::test]
async fn what_nobody_handles_moves_the_position_too() {
    let source = source_with(0).await;
    source
        .upsert(Id::<Source>::named("s"), |_: &Source| {
            [Tick::Unheard, Tick::Unheard]
        })
        .await
        .unwrap();
    let app = app_on(&recorder("echo", 2)).await;
    let mut policies = Policies::default();
    policies.follow::<Echo, _, _>("source", |_, _| async { Ok(()) });
    let mut follower = follower(&app, &source, &policies);
    assert_eq!(follower.catch_up().await.unwrap(), 2);
    assert_eq!(follower.status().borrow().position, 2);
    assert_eq!(follower.status().borrow().state, FollowerState::Following);
    assert_eq!(app.notification_log().describe().await.unwrap().last, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_instances_of_one_follower_record_each_result_once() {
    let source = source_with(0).await;
    let store = recorder("echo", 2);
    let apps = [app_on(&store).await, app_on(&store).await];
    let cancelled = CancellationToken::new();
    // Batches of different sizes: the instances can't agree by accident on where a step ends.
    let instances: Vec<_> = apps
        .iter()
        .zip([1, 3])
        .map(|(app, max_batch)| {
            let log = Arc::new(source.notification_log());
            let follower = Follower::new(
                app.clone(),
                "source",
                &following(echo),
                log,
                FollowerOptions {
                    max_batch,
                    ..options()
                },
            );
            tokio::spawn(follower.run(cancelled.clone()))
        })
        .collect();
    for n in 1..=300 {
        tick(&source, n).await;
    }
    until(async || echoes(&apps[0]).await.len() >= 300).await;
    cancelled.cancel();
    for instance in instances {
        instance.await.unwrap();
    }
    assert_eq!(echoes(&apps[1]).await, upto(300));
}

#[tokio::test]
async fn an_instance_that_slept_through_a_part_of_its_step_does_not_repeat_it() {
    let store = recorder("echo", 2);
    let (app, other) = (app_on(&store).await, app_on(&store).await);
    let source = source_with(5).await;
    let log = source.clone();
    let n_runs = Arc::new(AtomicU32::new(0));
    let policies = following(move |n: Notification<Tick>, app| {
        let (other, log) = (other.clone(), log.clone());
        let is_first = n_runs.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                // The step of the other instance ends within this one's.
                let through_3 = following(|n: Notification<Tick>, app| async move {
                    if n.id > 3 {
                        return failed();
                    }
                    echo(n, app).await
                });
                let caught_up = follower(&other, &log, &through_3).catch_up().await;
                assert!(caught_up.is_err());
            }
            echo(n, app).await
        }
    });
    follower(&app, &source, &policies).catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, upto(5));
}

#[tokio::test]
async fn a_policy_that_runs_into_what_another_instance_did_at_its_notification_has_not_failed() {
    let store = recorder("echo", 2);
    let (app, other) = (app_on(&store).await, app_on(&store).await);
    let source = source_with(3).await;
    let once = |n: Notification<Tick>, app: App| async move {
        let Tick::Ticked { n } = n.event else {
            return Ok(());
        };
        let id = Id::<Echoes>::named(&n.to_string());
        if !app.history(id).take(1).await?.is_empty() {
            return failed();
        }
        app.create(id, Echo::Echoed { n }).await?;
        Ok(())
    };
    let of_other = source.clone();
    let n_runs = Arc::new(AtomicU32::new(0));
    let policies = following(move |n: Notification<Tick>, app| {
        let (other, source) = (other.clone(), of_other.clone());
        let is_first = n_runs.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                let mut other = follower(&other, &source, &following(once));
                other.catch_up().await.unwrap();
            }
            once(n, app).await
        }
    });
    let mut follower = follower(&app, &source, &policies);
    follower.catch_up().await.unwrap();
    let status = follower.status().borrow().clone();
    assert_eq!((status.position, status.n_failures), (3, 0));
    assert_eq!(store.head().await.unwrap(), 3);
}

#[tokio::test]
async fn a_follower_that_is_dropped_in_the_middle_of_a_step_takes_that_step_again() {
    let source = source_with(7).await;
    let app = app_on(&recorder("echo", 2)).await;
    let n_runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&n_runs);
    let policies = following(move |n: Notification<Tick>, app| {
        let is_first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            echo(n, app).await
        }
    });
    let mut follower = follower(&app, &source, &policies);
    tokio::select! {
        _ = follower.catch_up() => unreachable!("the first run of the policy never ends"),
        () = until(async || n_runs.load(Ordering::SeqCst) == 1) => {}
    }
    tick(&source, 8).await;
    follower.catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, upto(8));
}

#[tokio::test]
async fn one_failure_in_a_batch_lets_the_others_through_and_holds_the_follower_up_where_it_is() {
    let source = source_with(12).await;
    let app = app_on(&recorder("echo", 2)).await;
    let n_tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&n_tries);
    let policies = following(move |n: Notification<Tick>, app| {
        let n_tries = Arc::clone(&counted);
        async move {
            if n.event == (Tick::Ticked { n: 8 }) {
                n_tries.fetch_add(1, Ordering::SeqCst);
                return Err(Error::from(Rejection::from(std::fmt::Error)));
            }
            echo(n, app).await
        }
    });
    let mut follower = follower(&app, &source, &policies);
    let error = follower.catch_up().await.unwrap_err();
    assert!(
        matches!(&error, FollowerError::Policy { id: 8, topic, .. } if topic == "source.tick.ticked"),
        "{error:?}"
    );
    assert_eq!(echoes(&app).await, upto(7));
    assert_eq!(follower.status().borrow().position, 7);
    assert!(
        matches!(&follower.status().borrow().state, FollowerState::Retrying { error } if error.contains("notification 8"))
    );
    assert_eq!(follower.status().borrow().n_failures, 3);
    // Those before it are recorded with the first try.
    assert!(n_tries.load(Ordering::SeqCst) >= 3);
    // Called again, it tries once more.
    assert!(follower.catch_up().await.is_err());
    assert_eq!(follower.status().borrow().n_failures, 4);
}

/// What a policy does the n-th time that it is run on a notification.
type Attempt = fn(n_attempt: u32) -> Result<(), Error>;

/// Echoes each notification after what `attempt` does about it.
fn after(attempt: Attempt) -> Policies {
    let n_attempts = Arc::new(std::sync::Mutex::new(HashMap::<u64, u32>::new()));
    following(move |n: Notification<Tick>, app| {
        let n_attempt = {
            let mut n_attempts = n_attempts.lock().unwrap();
            let n_attempt = n_attempts.entry(n.id).or_default();
            *n_attempt += 1;
            *n_attempt
        };
        async move {
            attempt(n_attempt)?;
            echo(n, app).await
        }
    })
}

fn failed() -> Result<(), Error> {
    Err(Error::from(Rejection::from(std::fmt::Error)))
}

#[tokio::test]
async fn failures_are_counted_for_each_notification() {
    let source = source_with(40).await;
    let app = app_on(&recorder("echo", 2)).await;
    // Each notification fails twice; together they fail more often than one may.
    let fails_twice = after(|n_attempt| if n_attempt <= 2 { failed() } else { Ok(()) });
    let mut follower = follower(&app, &source, &fails_twice);
    follower.catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, upto(40));
    assert!(follower.status().borrow().n_failures >= 20);
}

#[tokio::test]
async fn no_failure_is_final_while_the_cause_may_go_away() {
    // Each more often than the attempts that `catch_up` has (3 times).
    let attempts: [(&str, Attempt); 4] = [
        ("a policy fails", |n| if n < 20 { failed() } else { Ok(()) }),
        ("a policy panics", |n| {
            assert!(n >= 20, "a mistake in a policy");
            Ok(())
        }),
        ("a policy waits for something", |n| match n {
            0..20 => Err(Error::not_yet("the price list has not been read")),
            _ => Ok(()),
        }),
        ("a store is away", |n| match n {
            0..20 => Err(RecorderError::unavailable("away", std::fmt::Error).into()),
            _ => Ok(()),
        }),
    ];
    for (what, attempt) in attempts {
        let source = source_with(2).await;
        let app = app_on(&recorder("echo", 2)).await;
        let follower = follower(&app, &source, &after(attempt));
        let mut status = follower.status();
        let started = status.borrow().last_success;
        let running = tokio::spawn(follower.run(CancellationToken::new()));
        let seen = status.wait_for(|s| matches!(s.state, FollowerState::Retrying { .. }));
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "{what}");
        drop(seen);
        until(async || running.is_finished() || status.borrow().state == FollowerState::Following)
            .await;
        assert_eq!(echoes(&app).await, [1, 2], "{what}: {:?}", status.borrow());
        let status = status.borrow().clone();
        assert!(status.n_failures >= 20, "{what}: {status:?}");
        assert!(status.last_success > started, "{what}: {status:?}");
        running.abort();
    }
}

/// The log that is there now.
#[derive(Debug)]
struct Replaceable(std::sync::Mutex<Arc<dyn NotificationLog>>);

impl Replaceable {
    fn new(app: &App) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(Arc::new(
            app.notification_log(),
        ))))
    }

    fn replace(&self, app: &App) {
        *self.0.lock().unwrap() = Arc::new(app.notification_log());
    }

    fn now(&self) -> Arc<dyn NotificationLog> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl NotificationLog for Replaceable {
    async fn describe(&self) -> Result<LogDescription, LogError> {
        self.now().describe().await
    }

    async fn current(&self) -> Result<Section, LogError> {
        self.now().current().await
    }

    async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
        self.now().section(link).await
    }

    async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        let timeout = timeout.min(Duration::from_millis(5));
        self.now().wait(after, timeout).await
    }
}

#[tokio::test]
async fn a_contradiction_of_history_stops_a_follower_until_it_is_gone() {
    let source = source_with(3).await;
    let app = app_on(&recorder("echo", 2)).await;
    let log = Replaceable::new(&source);
    let of_log: Arc<dyn NotificationLog> = Arc::<Replaceable>::clone(&log);
    let follower = Follower::new(app.clone(), "source", &following(echo), of_log, options());
    let mut status = follower.status();
    let running = tokio::spawn(follower.run(CancellationToken::new()));
    until(async || status.borrow().position == 3).await;
    let other_epoch = app_on(&recorder("source", 99)).await;
    let shorter = source_with(2).await;
    for n in 1..=9 {
        tick(&other_epoch, n).await;
    }
    for (contradiction, expected) in [
        (other_epoch, "was rewritten"),
        (shorter, "ahead of the log"),
    ] {
        log.replace(&contradiction);
        let stopped = status.wait_for(
            |s| matches!(&s.state, FollowerState::Stopped { error } if error.contains(expected)),
        );
        assert!(tokio::time::timeout(PATIENCE, stopped).await.is_ok());
        log.replace(&source);
        until(async || status.borrow().state == FollowerState::Following).await;
    }
    tick(&source, 4).await;
    until(async || status.borrow().position == 4).await;
    assert_eq!(echoes(&app).await, upto(4));
    running.abort();
}

#[tokio::test]
async fn a_follower_that_goes_on_after_a_failure_no_longer_says_that_it_is_held_up() {
    let source = source_with(6).await;
    let app = app_on(&recorder("echo", 2)).await;
    let n_tries = Arc::new(AtomicU32::new(0));
    let policies = following(move |n, app| {
        let n_try = n_tries.fetch_add(1, Ordering::SeqCst);
        async move {
            match (n_try, n.id) {
                (0..2, _) => Err(RecorderError::unavailable("away", std::fmt::Error).into()),
                // The second section keeps it busy.
                (_, 6) => std::future::pending().await,
                _ => echo(n, app).await,
            }
        }
    });
    let one_section = FollowerOptions {
        max_batch: 1,
        ..options()
    };
    let log = Arc::new(source.notification_log());
    let follower = Follower::new(app.clone(), "source", &policies, log, one_section);
    let status = follower.status();
    let running = tokio::spawn(follower.run(CancellationToken::new()));
    until(async || status.borrow().position == 5).await;
    assert_eq!(status.borrow().state, FollowerState::CatchingUp);
    running.abort();
}

#[tokio::test]
async fn a_policy_that_panics_holds_up_its_follower_and_nothing_else() {
    let source = source_with(1).await;
    let app = app_on(&recorder("echo", 2)).await;
    let policies = following(|_, _| async { panic!("a mistake in a policy") });
    let error = follower(&app, &source, &policies)
        .catch_up()
        .await
        .unwrap_err();
    assert!(
        matches!(error, FollowerError::Panicked { id: 1, .. }),
        "{error:?}"
    );
    tick(&source, 2).await;
}

#[tokio::test]
async fn an_event_that_does_not_fit_is_an_error_and_not_skipped() {
    #[derive(Event, Debug, Clone, Serialize, Deserialize)]
    #[event(topic = "source.tick", crate = "boxes_domain")]
    enum Misunderstood {
        Ticked { n: String },
    }
    let source = source_with(1).await;
    let app = app_on(&recorder("echo", 2)).await;
    let mut policies = Policies::default();
    policies.follow::<Misunderstood, _, _>("source", |_, _| async { Ok(()) });
    let error = follower(&app, &source, &policies)
        .catch_up()
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            FollowerError::Policy {
                id: 1,
                source: Error::Mapper(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn another_epoch_stops_the_follower_and_the_right_one_lets_it_go_on() {
    let source = source_with(3).await;
    let app = app_on(&recorder("echo", 2)).await;
    let policies = following(echo);
    follower(&app, &source, &policies).catch_up().await.unwrap();
    let rewritten = app_on(&recorder("source", 99)).await;
    for n in 1..=9 {
        tick(&rewritten, n).await;
    }
    let mut misled = follower(&app, &rewritten, &policies);
    let error = misled.catch_up().await.unwrap_err().to_string();
    assert!(error.contains("history was rewritten"), "{error}");
    assert!(matches!(
        misled.status().borrow().state,
        FollowerState::Stopped { .. }
    ));
    tick(&source, 4).await;
    follower(&app, &source, &policies).catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, upto(4));
}

#[tokio::test]
async fn a_reaction_is_decided_again_when_a_command_came_between() {
    let source = source_with(1).await;
    let store = recorder("echo", 2);
    let (app, other) = (app_on(&store).await, app_on(&store).await);
    let n_runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&n_runs);
    let policies = following(move |n: Notification<Tick>, app| {
        let (other, is_first) = (other.clone(), counted.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            echo(n, app).await?;
            if is_first {
                other
                    .upsert(Id::<Echoes>::named(ECHOES), |_: &Echoes| Echo::Echoed {
                        n: 100,
                    })
                    .await?;
            }
            Ok(())
        }
    });
    follower(&app, &source, &policies).catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, [100, 1]);
}

#[tokio::test]
async fn a_reaction_says_which_event_it_follows_from() {
    let source = source_with(1).await;
    let app = app_on(&recorder("echo", 2)).await;
    follower(&app, &source, &following(echo))
        .catch_up()
        .await
        .unwrap();
    let cause = source
        .notification_log()
        .current()
        .await
        .unwrap()
        .items
        .remove(0)
        .event;
    let effect = app
        .notification_log()
        .current()
        .await
        .unwrap()
        .items
        .remove(0)
        .event;
    let metadata = Metadata::from_bytes(&effect.metadata);
    assert_eq!(
        (metadata.causation_id, metadata.correlation_id),
        (Some(cause.event_id), Some(cause.event_id))
    );
}

/// Two boxes that answer each other: each echo below 10 is a tick of the next number.
#[tokio::test]
async fn when_a_command_returns_all_that_it_caused_has_happened_with_synchronous_delivery() {
    let source = source_with(0).await;
    let app = app_on(&recorder("echo", 2)).await;
    let mut answers = Policies::default();
    answers.follow("echo", |n: Notification<Echo>, app: App| async move {
        let Echo::Echoed { n } = n.event;
        if n < 10 {
            app.upsert(Id::<Source>::named("s"), |_: &Source| Tick::Ticked {
                n: n + 1,
            })
            .await?;
        }
        Ok(())
    });
    let back = Follower::new(
        source.clone(),
        "echo",
        &answers,
        Arc::new(app.notification_log()),
        options(),
    );
    let delivery = Arc::new(SynchronousDelivery::new(vec![
        follower(&app, &source, &following(echo)),
        back,
    ]));
    let after_commit: std::sync::Weak<dyn AfterCommit> =
        Arc::<SynchronousDelivery>::downgrade(&delivery);
    source.set_after_commit(after_commit.clone());
    app.set_after_commit(after_commit);
    tick(&source, 1).await;
    assert_eq!(echoes(&app).await, upto(10));
}

/// A client that hangs up drops its command; what the command caused happens all the same.
#[tokio::test]
async fn a_command_that_is_dropped_while_it_is_delivered_is_delivered_to_the_end() {
    let source = source_with(0).await;
    let app = app_on(&recorder("echo", 2)).await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (n_begun, closed) = (Arc::new(AtomicU32::new(0)), Arc::clone(&gate));
    let begun = Arc::clone(&n_begun);
    let policies = following(move |n: Notification<Tick>, app| {
        begun.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&closed);
        async move {
            let _open = gate.acquire().await;
            echo(n, app).await
        }
    });
    let followers = vec![follower(&app, &source, &policies)];
    let delivery = Arc::new(SynchronousDelivery::new(followers));
    let after_commit: std::sync::Weak<dyn AfterCommit> =
        Arc::<SynchronousDelivery>::downgrade(&delivery);
    source.set_after_commit(after_commit);
    tokio::select! {
        () = tick(&source, 1) => unreachable!("its delivery waits at the gate"),
        () = until(async || n_begun.load(Ordering::SeqCst) == 1) => {}
    }
    gate.add_permits(1);
    until(async || echoes(&app).await == [1]).await;
}

fn delivering(followers: Vec<Follower>, to: &[&App]) -> Arc<SynchronousDelivery> {
    let delivery = Arc::new(SynchronousDelivery::new(followers));
    for app in to {
        let after_commit: std::sync::Weak<dyn AfterCommit> =
            Arc::<SynchronousDelivery>::downgrade(&delivery);
        app.set_after_commit(after_commit);
    }
    delivery
}

/// Over HTTP to its own process it is the same.
#[tokio::test(start_paused = true)]
async fn a_policy_that_waits_for_a_command_of_another_task_holds_up_nothing_for_ever() {
    let source = source_with(0).await;
    let app = app_on(&recorder("echo", 2)).await;
    let commanding = source.clone();
    let policies = following(move |n: Notification<Tick>, app: App| {
        let source = commanding.clone();
        async move {
            if n.event == (Tick::Ticked { n: 1 }) {
                tokio::spawn(async move { tick(&source, 2).await })
                    .await
                    .unwrap();
            }
            echo(n, app).await
        }
    });
    let _delivery = delivering(vec![follower(&app, &source, &policies)], &[&source, &app]);
    let commanded = tokio::time::timeout(PATIENCE, tick(&source, 1)).await;
    assert!(commanded.is_ok(), "the process stands still");
    // Also what the command of the other task caused.
    assert_eq!(echoes(&app).await, [1, 2]);
}

#[tokio::test]
async fn what_a_follower_recorded_before_it_failed_is_delivered_to_those_who_follow_its_box() {
    let source = source_with(3).await;
    let app = app_on(&recorder("echo", 2)).await;
    let copy = app_on(&recorder("copy", 3)).await;
    let mut copying = Policies::default();
    copying.follow("echo", |n: Notification<Echo>, app: App| async move {
        let Echo::Echoed { n } = n.event;
        app.upsert(Id::<Echoes>::named(ECHOES), |_: &Echoes| Echo::Echoed { n })
            .await?;
        Ok(())
    });
    let log = Arc::new(app.notification_log());
    let first = Follower::new(copy.clone(), "echo", &copying, log, options());
    let failing = following(|n: Notification<Tick>, app| async move {
        match n.id {
            3 => failed(),
            _ => echo(n, app).await,
        }
    });
    let second = follower(&app, &source, &failing);
    let delivery = SynchronousDelivery::new(vec![first, second]);
    delivery.settle().await.unwrap_err();
    assert_eq!(echoes(&copy).await, [1, 2]);
}

/// Waits until it is so, or fails.
async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it did not come to that in time");
}

#[tokio::test]
async fn what_was_deleted_before_it_was_read_is_skipped_and_tracked() {
    let source = source_with(2).await;
    let kept = Id::<Source>::named("kept");
    source
        .upsert(kept, |_: &Source| Tick::Ticked { n: 3 })
        .await
        .unwrap();
    assert_eq!(source.delete(Id::<Source>::named("s")).await.unwrap(), 2);
    let app = app_on(&recorder("echo", 2)).await;
    let mut follower = follower(&app, &source, &following(echo));
    follower.catch_up().await.unwrap();
    assert_eq!(echoes(&app).await, [3]);
    assert_eq!(follower.status().borrow().position, 3);
    let recorded = app.history(Id::<Echoes>::named(ECHOES)).take(9).await;
    assert_eq!(recorded.unwrap().len(), 1);
}

#[tokio::test]
async fn a_policy_may_delete_and_go_on_and_is_told_where_another_one_did() {
    let source = source_with(0).await;
    let store = recorder("echo", 2);
    let (app, elsewhere) = (app_on(&store).await, app_on(&store).await);
    let policy = move |n: Notification<Tick>, app: App| {
        let elsewhere = elsewhere.clone();
        async move {
            let Tick::Ticked { n } = n.event else {
                return Ok(());
            };
            let (forgotten, log) = (
                Id::<Echoes>::named("forgotten"),
                Id::<Echoes>::named(ECHOES),
            );
            let echo = |n| move |_: &Echoes| Echo::Echoed { n };
            match n {
                1 => drop(app.upsert(forgotten, echo(1)).await?),
                2 => drop(elsewhere.delete(forgotten).await?),
                3 => match app.update(forgotten, echo(3)).await {
                    Err(Error::Deleted { .. }) => drop(app.upsert(log, echo(33)).await?),
                    done => drop(done?),
                },
                _ => {
                    app.delete(forgotten).await?;
                    app.upsert(log, echo(44)).await?;
                }
            }
            Ok(())
        }
    };
    let log: Arc<dyn NotificationLog> = Arc::new(source.notification_log());
    let mut follower = Follower::new(app.clone(), "source", &following(policy), log, options());
    // One by one, so that what is decided on what is kept meets the deletion at the commit.
    for n in 1..=4 {
        tick(&source, n).await;
        follower.catch_up().await.unwrap();
    }
    assert_eq!(echoes(&app).await, [33, 44]);
    assert_eq!(follower.status().borrow().position, 4);
}

/// What a position is recorded with, and what that is good for.
#[tokio::test]
async fn a_history_that_was_replaced_by_a_longer_one_stops_a_follower() {
    for (n_read, max_batch_bytes) in [(3, usize::MAX), (5, 0)] {
        let source = source_with(n_read).await;
        let store = recorder("echo", 2);
        let app = app_on(&store).await;
        let bytes = FollowerOptions {
            max_batch_bytes,
            ..options()
        };
        let log: Arc<dyn NotificationLog> = Arc::new(source.notification_log());
        let mut first = Follower::new(app.clone(), "source", &following(echo), log, bytes);
        first.catch_up().await.unwrap();
        let at = store.tracking("source").await.unwrap().unwrap();
        assert!(at.id == u64::from(n_read) && at.event_id.is_some());
        // The same epoch, with other events in the same places, and more of them.
        let replaced = source_with(n_read + 20).await;
        let mut misled = follower(&app, &replaced, &following(echo));
        let error = misled.catch_up().await.unwrap_err();
        assert!(
            matches!(&error, FollowerError::Log(LogError::HistoryReplaced { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains("its history was replaced"));
        assert_eq!(echoes(&app).await, upto(n_read));
        // A deletion in between replaces nothing.
        source.delete(Id::<Source>::named("s")).await.unwrap();
        source
            .upsert(Id::<Source>::named("t"), |_: &Source| Tick::Ticked {
                n: 99,
            })
            .await
            .unwrap();
        let mut same = follower(&app, &source, &following(echo));
        same.catch_up().await.unwrap();
        assert_eq!(echoes(&app).await.last(), Some(&99));
    }
}

#[tokio::test]
async fn the_steps_of_a_follower_are_bounded_by_bytes() {
    let source = source_with(12).await;
    let app = app_on(&recorder("echo", 2)).await;
    let (steps, seen) = (Arc::new(std::sync::Mutex::new(Vec::new())), app.clone());
    let noted = Arc::clone(&steps);
    let policies = following(move |n: Notification<Tick>, app| {
        let (noted, seen) = (Arc::clone(&noted), seen.clone());
        async move {
            // What is recorded while this one is handled is what came before its step.
            let last = seen.notification_log().describe().await.unwrap().last;
            noted.lock().unwrap().push(last);
            echo(n, app).await
        }
    });
    let log: Arc<dyn NotificationLog> = Arc::new(source.notification_log());
    let one_by_one = FollowerOptions {
        max_batch_bytes: 1,
        ..options()
    };
    let mut follower = Follower::new(app.clone(), "source", &policies, log, one_by_one);
    follower.catch_up().await.unwrap();
    assert_eq!(*steps.lock().unwrap(), (0..12).collect::<Vec<u64>>());
    assert_eq!(echoes(&app).await, upto(12));
}
