//! Random policies, and what they note of what they see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use boxes::prelude::*;
use boxes_notification_log::NotificationLog;
use boxes_recorder::{Recorder, RecorderError};

use crate::model::Happened;

/// The two kinds of aggregates that share ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Thing,
    Other,
}

/// An aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Named(u8),
    /// Where the policy notes what it saw at a notification.
    Diary(u32),
}

/// One thing that a policy does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Create(Kind, u8),
    Update(Kind, u8),
    Upsert(Kind, u8),
    Discard(Kind, u8),
    Delete(Kind, u8),
    History(Kind, u8),
    Get(Kind, u8),
    /// Looks at the newest notification of the box's own log.
    Head,
}

/// What a policy does at one notification.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// What another process does first, once.
    pub(crate) outside: Option<Act>,
    pub(crate) acts: Vec<Act>,
    /// How often it fails after its acts before it succeeds.
    pub(crate) n_failures: u8,
    pub(crate) panics: bool,
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "store.thing")]
pub(crate) enum ThingEvent {
    Noted {
        text: String,
    },
    #[event(discards)]
    Ended,
}

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "store.other")]
pub(crate) enum OtherEvent {
    Noted {
        text: String,
    },
    #[event(discards)]
    Ended,
}

/// What both kinds have in common.
pub(crate) trait Noting: Aggregate {
    fn noted(text: &str) -> Self::Event;
    fn ended() -> Self::Event;
    fn happened(event: &Self::Event) -> Happened;
    fn life(&self) -> Vec<Happened>;
}

macro_rules! noting {
    ($aggregate:ident, $event:ident) => {
        #[derive(Default, Clone)]
        pub(crate) struct $aggregate(Vec<String>);

        impl Aggregate for $aggregate {
            type Event = $event;

            fn apply(&mut self, event: &$event) {
                if let $event::Noted { text } = event {
                    self.0.push(text.clone());
                }
            }
        }

        impl Noting for $aggregate {
            fn noted(text: &str) -> $event {
                let text = text.to_owned();
                $event::Noted { text }
            }

            fn ended() -> $event {
                $event::Ended
            }

            fn happened(event: &$event) -> Happened {
                match event {
                    $event::Noted { text } => Happened::Noted(text.clone()),
                    $event::Ended => Happened::Ended,
                }
            }

            fn life(&self) -> Vec<Happened> {
                self.0.iter().cloned().map(Happened::Noted).collect()
            }
        }
    };
}

noting!(Thing, ThingEvent);
noting!(Other, OtherEvent);

impl Subject {
    pub(crate) fn id<A>(self) -> Id<A> {
        match self {
            Self::Named(n) => Id::named(&format!("named {n}")),
            Self::Diary(n) => Id::named(&format!("diary {n}")),
        }
    }
}

/// Does one act, and says what came of it as the model says it. What it can't say is an error.
pub(crate) async fn act(app: &App, act: &Act, text: &str) -> Result<String, Error> {
    match act {
        Act::Head => {
            let head = app.notification_log().describe().await;
            // A log in this process fails only if its store does.
            let head = head.map_err(|error| RecorderError::unavailable("the log", error))?;
            Ok(format!("head {}", head.last))
        }
        Act::Create(Kind::Thing, _)
        | Act::Update(Kind::Thing, _)
        | Act::Upsert(Kind::Thing, _)
        | Act::Discard(Kind::Thing, _)
        | Act::Delete(Kind::Thing, _)
        | Act::History(Kind::Thing, _)
        | Act::Get(Kind::Thing, _) => act_on::<Thing>(app, act, text).await,
        _ => act_on::<Other>(app, act, text).await,
    }
}

async fn act_on<A: Noting>(app: &App, act: &Act, text: &str) -> Result<String, Error> {
    let version = |recorded: Recorded<A>| format!("version {}", recorded.version);
    let outcome = match *act {
        Act::Create(_, id) => {
            let created = app.create(Subject::Named(id).id::<A>(), A::noted(text));
            created.await.map(version)
        }
        Act::Update(_, id) => {
            let updated = app.update(Subject::Named(id).id(), |_: &A| A::noted(text));
            updated.await.map(version)
        }
        Act::Upsert(_, id) => {
            let upserted = app.upsert(Subject::Named(id).id(), |_: &A| A::noted(text));
            upserted.await.map(version)
        }
        Act::Discard(_, id) => {
            let discarded = app.update(Subject::Named(id).id(), |_: &A| A::ended());
            discarded.await.map(version)
        }
        Act::Delete(_, id) => {
            let deleted = app.delete(Subject::Named(id).id::<A>()).await;
            deleted.map(|n| if n == 0 { "nothing" } else { "deleted" }.to_owned())
        }
        Act::History(_, id) => {
            let history = app.history(Subject::Named(id).id::<A>()).take(1_000).await;
            history.map(|all| {
                let happened: Vec<_> = all.iter().map(|one| A::happened(&one.event)).collect();
                format!("{happened:?}")
            })
        }
        Act::Get(_, id) => {
            let found = app.get(Subject::Named(id).id::<A>()).await;
            found.map(|found| format!("{:?}", found.life()))
        }
        Act::Head => Ok(String::new()),
    };
    match outcome {
        Err(Error::AlreadyExists { .. }) => Ok("exists".to_owned()),
        Err(Error::NotFound { .. }) => Ok("not found".to_owned()),
        Err(Error::Discarded { .. }) => Ok("discarded".to_owned()),
        Err(Error::Deleted { .. }) => Ok("was deleted".to_owned()),
        Err(Error::OtherKind { .. }) => Ok("other kind".to_owned()),
        outcome => outcome,
    }
}

/// An act of another process, and when it was: before which notification at the earliest and at the latest.
#[derive(Debug, Clone)]
pub(crate) struct Interference {
    pub(crate) act: Act,
    pub(crate) text: String,
    pub(crate) outcome: String,
    pub(crate) earliest: u64,
    pub(crate) latest: u64,
}

/// What policies remember outside of all transactions.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) store: Arc<dyn Recorder>,
    pub(crate) n_runs: Mutex<HashMap<u32, u8>>,
    pub(crate) interferences: Mutex<Vec<Interference>>,
}

/// Runs a script at a notification.
pub(crate) async fn run(
    n: u32,
    script: Script,
    app: App,
    outside: App,
    memory: Arc<Memory>,
) -> Result<(), Error> {
    let n_run = {
        let mut n_runs = memory.n_runs.lock().unwrap();
        let n_run = n_runs.entry(n).or_default();
        *n_run = n_run.saturating_add(1);
        *n_run
    };
    if let Some(interfering) = script.outside.as_ref().filter(|_| n_run == 1) {
        let text = format!("outside {n}");
        let tracked = memory.store.tracking("source").await?;
        let outcome = act(&outside, interfering, &text).await?;
        memory.interferences.lock().unwrap().push(Interference {
            act: interfering.clone(),
            text,
            outcome,
            earliest: tracked.map_or(0, |position| position.id) + 1,
            latest: u64::from(n),
        });
    }
    let mut seen = Vec::new();
    for to_do in &script.acts {
        seen.push(act(&app, to_do, &n.to_string()).await?);
    }
    let diary = Subject::Diary(n).id::<Thing>();
    app.create(diary, Thing::noted(&seen.join("; "))).await?;
    if n_run > script.n_failures {
        return Ok(());
    }
    if script.panics {
        // As a panic, but for the message.
        std::panic::resume_unwind(Box::new("a mistake in a policy"));
    }
    Err(Error::from(Rejection::from(std::fmt::Error)))
}
