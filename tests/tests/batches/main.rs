//! How notifications are cut into batches is never visible.
//!
//! Random policies handle random notifications in random batches, fail, panic, are interfered with by another process, and
//! die with their process before or after they are recorded. In the end the store holds what it would hold if the
//! notifications had been handled one at a time (`model.rs`), with what the other process did somewhere where it can have
//! been: not before what was recorded by then, and not after the notification at which it was done.
//!
//! A trial that once failed stays in `tests/regressions` and is run first. `PROPTEST_CASES=1000` runs more of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod faulty;
mod model;
mod policy;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boxes::prelude::*;
use boxes_application::{AppOptions, Follower, FollowerOptions};
use boxes_recorder::{
    GroupCommit, GroupCommitBounds, LogIdentity, MemoryRecorder, Recorder, RecorderError,
    StreamRange,
};
use boxes_recorder_sqlx::{OpenLog, PostgresRecorder, SqliteRecorder};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use uuid::Uuid;

use faulty::{Fate, Faulty};
use model::{Happened, Model, Stream};
use policy::{Act, Interference, Kind, Memory, OtherEvent, Script, Subject, ThingEvent};

/// How often a follower is started again, at most: more than there are failures and fates in one trial.
const MAX_STARTS: usize = 50;

/// At most so many acts of other processes are in one trial: all places where they can have been are tried.
const MAX_INTERFERENCES: usize = 2;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "source.tick")]
enum Tick {
    Ticked { n: u32 },
}

#[derive(Default, Clone)]
struct Clock;

impl Aggregate for Clock {
    type Event = Tick;
    fn apply(&mut self, _: &Tick) {}
}

/// What is tried.
#[derive(Debug, Clone)]
struct Trial {
    scripts: Vec<Script>,
    page_size: u32,
    /// How many notifications a batch has, each time that the process begins.
    batches: Vec<usize>,
    fates: Vec<Fate>,
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![9 => Just(Kind::Thing), 1 => Just(Kind::Other)];
    let act: [fn(Kind, u8) -> Act; 7] = [
        Act::Create,
        Act::Update,
        Act::Upsert,
        Act::Discard,
        Act::Delete,
        Act::History,
        Act::Get,
    ];
    let on = (0..act.len(), kind, 0..3_u8).prop_map(move |(n, kind, id)| act[n](kind, id));
    prop_oneof![30 => on, 1 => Just(Act::Head)]
}

fn script() -> impl Strategy<Value = Script> {
    let n_failures = prop_oneof![8 => Just(0), 1 => 1..3_u8];
    let outside = act().prop_filter("an act that records", |act| {
        !matches!(act, Act::Head | Act::History(..) | Act::Get(..))
    });
    let outside = prop_oneof![6 => Just(None), 1 => outside.prop_map(Some)];
    (vec(act(), 0..5), n_failures, any::<bool>(), outside).prop_map(
        |(acts, n_failures, panics, outside)| Script {
            outside,
            acts,
            n_failures,
            panics,
        },
    )
}

fn trial() -> impl Strategy<Value = Trial> {
    let fate = prop_oneof![
        3 => Just(Fate::Recorded),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered)
    ];
    (
        vec(script(), 1..9),
        1..5_u32,
        vec(1..9_usize, 1..5),
        vec(fate, 0..6),
    )
        .prop_map(|(mut scripts, page_size, batches, fates)| {
            let interfered = scripts.iter_mut().filter(|s| s.outside.is_some());
            interfered
                .skip(MAX_INTERFERENCES)
                .for_each(|script| script.outside = None);
            if scripts.iter().any(|script| script.outside.is_some()) {
                // A log notices a little later what another process records.
                let acts = scripts.iter_mut().map(|script| &mut script.acts);
                acts.for_each(|acts| acts.retain(|act| !matches!(act, Act::Head)));
            }
            Trial {
                scripts,
                page_size,
                batches,
                fates,
            }
        })
}

fn config(cases: u32) -> Config {
    let persistence = FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/regressions/batches.txt"
    ));
    let mut config = Config {
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn batches_are_not_visible_in_memory(trial in trial()) {
        run(async || shared(MemoryRecorder::new(identity("store", 20))), &trial);
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn batches_are_not_visible_in_a_file(trial in trial()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.sqlite");
        let open = async || {
            let recorder = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named("store"));
            shared(recorder.await.unwrap())
        };
        run(open, &trial);
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn batches_are_not_visible_in_a_database(trial in trial()) {
        let url = boxes_testing::postgres_url();
        let open = async || {
            let recorder = PostgresRecorder::open(&url, OpenLog::named("store"));
            shared(recorder.await.unwrap())
        };
        run(open, &trial);
    }
}

fn shared(recorder: impl Recorder) -> Arc<dyn Recorder> {
    Arc::new(recorder)
}

fn identity(name: &str, page_size: u32) -> LogIdentity {
    LogIdentity {
        name: name.to_owned(),
        epoch: Uuid::from_u128(7),
        page_size: NonZeroU32::new(page_size).unwrap(),
    }
}

fn run(open: impl AsyncFnOnce() -> Arc<dyn Recorder>, trial: &Trial) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open().await;
        let memory = handled(&store, trial).await;
        let n_notifications = u64::try_from(trial.scripts.len()).unwrap();
        let position = store.tracking("source").await.unwrap();
        assert_eq!(position.map(|p| p.id), Some(n_notifications));
        let recorded = recorded(&*store, trial).await;
        let interferences = memory.interferences.lock().unwrap().clone();
        let possible = outcomes(&trial.scripts, &interferences);
        assert!(
            possible.contains(&recorded),
            "recorded:\n{recorded:#?}\none at a time:\n{possible:#?}\n{interferences:#?}"
        );
        store.close().await.unwrap();
    });
}

/// Handles all notifications, with as many processes as it takes.
async fn handled(store: &Arc<dyn Recorder>, trial: &Trial) -> Arc<Memory> {
    let source = Arc::new(MemoryRecorder::new(identity("source", trial.page_size)));
    let source = app(source).await;
    for n in 1..=u32::try_from(trial.scripts.len()).unwrap() {
        let tick = |_: &Clock| Tick::Ticked { n };
        source.upsert(Id::named("clock"), tick).await.unwrap();
    }
    let memory = Arc::new(Memory {
        store: Arc::clone(store),
        n_runs: Mutex::default(),
        interferences: Mutex::default(),
    });
    let fates = Arc::new(Mutex::new(trial.fates.iter().copied().collect()));
    let outside = app(Arc::clone(store)).await;
    let mut held_up_by = None;
    for n_start in 0..MAX_STARTS {
        let app = app(Arc::new(Faulty {
            store: Arc::clone(store),
            fates: Arc::clone(&fates),
        }))
        .await;
        let (scripts, outside) = (trial.scripts.clone(), outside.clone());
        let remembering = Arc::clone(&memory);
        let mut policies = boxes_application::Policies::default();
        policies.follow("source", move |n: Notification<Tick>, app| {
            let Tick::Ticked { n } = n.event;
            let script = scripts[usize::try_from(n - 1).unwrap()].clone();
            policy::run(n, script, app, outside.clone(), Arc::clone(&remembering))
        });
        let options = FollowerOptions {
            max_batch: trial.batches[n_start % trial.batches.len()],
            max_attempts: 1,
            first_retry: Duration::ZERO,
            max_retry: Duration::ZERO,
            ..FollowerOptions::default()
        };
        let log = Arc::new(source.notification_log());
        let mut follower = Follower::new(app.clone(), "source", &policies, log, options);
        // Whatever stops it, the next process begins with what is recorded.
        match follower.catch_up().await {
            Ok(_) => return memory,
            Err(error) => held_up_by = Some(error),
        }
    }
    panic!("after {MAX_STARTS} starts not all is handled: {held_up_by:?}");
}

async fn app(recorder: Arc<dyn Recorder>) -> App {
    let mut topics = boxes::mapper::Topics::default();
    topics.register::<Tick>().unwrap();
    topics.register::<ThingEvent>().unwrap();
    topics.register::<OtherEvent>().unwrap();
    let writer = GroupCommit::start(recorder, GroupCommitBounds::default());
    let options = AppOptions {
        topics,
        redactable: true,
        ..AppOptions::default()
    };
    App::new(writer.await.unwrap(), options)
}

/// What the store holds.
async fn recorded(store: &dyn Recorder, trial: &Trial) -> Model {
    let named = (0..3).map(Subject::Named);
    let diaries = 1..=u32::try_from(trial.scripts.len()).unwrap();
    let subjects: HashMap<Uuid, Subject> = named
        .chain(diaries.map(Subject::Diary))
        .map(|subject| (subject.id::<()>().uuid(), subject))
        .collect();
    let mut streams = BTreeMap::<Subject, Stream>::new();
    for notification in store.select_notifications(1, 10_000).await.unwrap() {
        let stored = &notification.event;
        let stream = streams.entry(subjects[&stored.originator_id]).or_default();
        stream.n_events += 1;
        assert_eq!(
            stored.originator_version,
            u64::try_from(stream.n_events).unwrap()
        );
        stream.kind = Some(match stored.topic.starts_with("store.thing.") {
            true => Kind::Thing,
            false => Kind::Other,
        });
        stream.is_deleted = stored.is_redacted();
    }
    let mapper = boxes::mapper::Mapper::default();
    for (subject, stream) in &mut streams {
        let events = store.select_events(subject.id::<()>().uuid(), StreamRange::ALL);
        let events = match events.await {
            Err(RecorderError::StreamDeleted { .. }) => {
                assert!(stream.is_deleted);
                continue;
            }
            events => events.unwrap(),
        };
        assert!(!stream.is_deleted && events.len() == stream.n_events);
        for stored in &events {
            let thing = mapper.to_event::<ThingEvent>(stored).unwrap();
            let other = mapper.to_event::<OtherEvent>(stored).unwrap();
            stream.events.push(match (thing, other) {
                (Some(ThingEvent::Noted { text }), _) | (_, Some(OtherEvent::Noted { text })) => {
                    Happened::Noted(text)
                }
                _ => Happened::Ended,
            });
        }
    }
    Model { streams }
}

/// What the store may hold: for every place where the acts of the other process can have been.
fn outcomes(scripts: &[Script], interferences: &[Interference]) -> Vec<Model> {
    let mut outcomes = Vec::new();
    let mut places: Vec<u64> = interferences.iter().map(|i| i.earliest).collect();
    loop {
        outcomes.extend(one_at_a_time(scripts, interferences, &places));
        // The next combination.
        let mut digit = 0;
        loop {
            let (Some(place), Some(interference)) =
                (places.get_mut(digit), interferences.get(digit))
            else {
                return outcomes;
            };
            if *place < interference.latest {
                *place += 1;
                break;
            }
            *place = interference.earliest;
            digit += 1;
        }
    }
}

/// The model with each act of the other process before the notification at its place; `None` if it would have seen
/// something else there.
fn one_at_a_time(
    scripts: &[Script],
    interferences: &[Interference],
    places: &[u64],
) -> Option<Model> {
    let mut model = Model::default();
    for (n, script) in (1..).zip(scripts) {
        for (interference, place) in interferences.iter().zip(places) {
            let Interference { act, text, .. } = interference;
            if *place == u64::from(n) && model.act(act, text) != interference.outcome {
                return None;
            }
        }
        model.handle(n, script);
    }
    model.streams.retain(|_, stream| stream.n_events > 0);
    Some(model)
}
