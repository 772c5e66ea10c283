//! Tests of a domain in three sentences.

use std::error::Error;
use std::fmt::Debug;

use boxes_domain::{Aggregate, Decision, Rejection};

/// What happened to an aggregate so far.
///
/// ```
/// use boxes_domain::{Aggregate, Event};
/// use boxes_testing::given;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[event(topic = "shop.door", crate = "boxes_domain")]
/// enum DoorEvent { Opened, Closed }
///
/// #[derive(Default, Clone)]
/// struct Door { open: bool }
///
/// #[derive(Debug, PartialEq, thiserror::Error)]
/// #[error("the door is closed already")]
/// struct AlreadyClosed;
///
/// impl Aggregate for Door {
///     type Event = DoorEvent;
///     fn apply(&mut self, event: &DoorEvent) { self.open = *event == DoorEvent::Opened; }
/// }
///
/// impl Door {
///     fn close(&self) -> Result<DoorEvent, AlreadyClosed> {
///         if self.open { Ok(DoorEvent::Closed) } else { Err(AlreadyClosed) }
///     }
/// }
///
/// given::<Door>([DoorEvent::Opened]).when(Door::close).then([DoorEvent::Closed]);
/// given::<Door>([]).when(Door::close).rejects(&AlreadyClosed);
/// ```
#[must_use = "say what is done with it: `.when(…)`"]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.apply(&event);
    }
    Given { state }
}

/// An aggregate to which something happened. Made by [`given`].
#[derive(Debug, Clone)]
pub struct Given<A> {
    state: A,
}

/// What an aggregate decided. Made by [`Given::when`].
#[derive(Debug)]
#[must_use = "say what is expected of it: `.then(…)` or `.rejects(…)`"]
pub struct When<A: Aggregate> {
    decided: Result<Vec<A::Event>, Rejection>,
}

impl<A: Aggregate> Given<A> {
    /// The command that is tried.
    pub fn when<D: Decision<A::Event>>(self, decide: impl FnOnce(&A) -> D) -> When<A> {
        When {
            decided: decide(&self.state).into_events(),
        }
    }

    /// The state that came of what happened.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }
}

impl<A: Aggregate> When<A>
where
    A::Event: Debug + PartialEq,
{
    /// Exactly these events are expected; none, if it is empty.
    ///
    /// # Panics
    ///
    /// If others were decided, or the command was refused.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.decided {
            Ok(events) => assert_eq!(events, expected, "the command decided something else"),
            Err(rejection) => {
                panic!("expected {expected:?}, but the command was refused: {rejection}")
            }
        }
    }

    /// This refusal is expected.
    ///
    /// # Panics
    ///
    /// If the command was refused for another reason, or taken.
    #[track_caller]
    pub fn rejects<R: Error + PartialEq + 'static>(self, expected: &R) {
        match self.decided {
            Ok(events) => {
                panic!("expected the refusal {expected:?}, but the command was taken: {events:?}")
            }
            Err(rejection) => match rejection.downcast_ref::<R>() {
                Some(found) => assert_eq!(
                    found, expected,
                    "the command was refused for another reason"
                ),
                None => panic!("expected the refusal {expected:?}, found {rejection:?}"),
            },
        }
    }
}
