//! One aggregate with its identity, its version, and what it has not yet saved.

use thiserror::Error;

use crate::{Aggregate, Decision, Event, Id, Rejection};

/// One aggregate: its identity, its version and its state.
///
/// The version is the number of events that were applied; 0 means that nothing ever happened to it. After
/// an event that discards it the aggregate is gone, and one with the same id may be created anew; versions
/// go on counting. It needs no infrastructure: construct it, command it, look at what is pending.
///
/// ```
/// # use boxes_domain::{Aggregate, Event, Id, Root};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # #[event(topic = "t.counter", crate = "boxes_domain")]
/// # enum CounterEvent { Started, Raised { by: u32 } }
/// # #[derive(Default, Clone)]
/// # struct Counter(u32);
/// # impl Aggregate for Counter {
/// #     type Event = CounterEvent;
/// #     fn apply(&mut self, event: &CounterEvent) {
/// #         if let CounterEvent::Raised { by } = event { self.0 += by; }
/// #     }
/// # }
/// # impl Counter {
/// #     fn raise(&self, by: u32) -> CounterEvent { CounterEvent::Raised { by } }
/// # }
/// let mut counter = Root::<Counter>::new(Id::named("a"));
/// counter.create(CounterEvent::Started)?;
/// counter.command(|c| c.raise(3))?;
/// assert_eq!((counter.state().0, counter.version()), (3, 2));
/// assert_eq!(counter.pending(), [CounterEvent::Started, CounterEvent::Raised { by: 3 }]);
/// # Ok::<(), boxes_domain::RootError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Root<A: Aggregate> {
    id: Id<A>,
    version: u64,
    discarded: bool,
    state: A,
    pending: Vec<A::Event>,
}

/// A command that an aggregate did not take.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootError {
    /// The domain refused it: the command itself is wrong for this state.
    #[error("{0}")]
    Rejected(Rejection),
    /// There is no such aggregate: create it first.
    #[error("does not exist")]
    NotFound,
    /// It was discarded: no command is taken any more.
    #[error("was discarded")]
    Discarded,
    /// It exists already: another id, or an ordinary command.
    #[error("exists already")]
    AlreadyExists,
}

/// A stored event that does not continue the aggregate that it was applied to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("version {found} does not follow version {version}")]
pub struct ReplayError {
    /// The version of the aggregate.
    pub version: u64,
    /// The version of the event.
    pub found: u64,
}

impl<A: Aggregate> Root<A> {
    /// An aggregate to which nothing has happened.
    #[must_use]
    pub fn new(id: Id<A>) -> Self {
        Self {
            id,
            version: 0,
            discarded: false,
            state: A::default(),
            pending: Vec::new(),
        }
    }

    /// An aggregate that exists, as it was after `version` events: what a snapshot gives.
    #[must_use]
    pub const fn restored(id: Id<A>, version: u64, state: A) -> Self {
        Self {
            id,
            version,
            discarded: false,
            state,
            pending: Vec::new(),
        }
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> Id<A> {
        self.id
    }

    /// How many events were applied, pending ones included.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The version without the pending events: what is stored, if it was loaded.
    #[must_use]
    pub fn stored_version(&self) -> u64 {
        self.version - u64::try_from(self.pending.len()).unwrap_or(u64::MAX)
    }

    /// Its state: the default one, if it does not exist or was discarded.
    #[must_use]
    pub const fn state(&self) -> &A {
        &self.state
    }

    /// Whether something happened to it, and it was not discarded since.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.version > 0 && !self.discarded
    }

    /// Whether the last that happened was its end.
    #[must_use]
    pub const fn is_discarded(&self) -> bool {
        self.discarded
    }

    /// The events since it was loaded or constructed, in order.
    #[must_use]
    pub fn pending(&self) -> &[A::Event] {
        &self.pending
    }

    /// Takes the pending events out, to be saved.
    #[must_use = "the events are gone from the aggregate: save them"]
    pub fn take_pending(&mut self) -> Vec<A::Event> {
        std::mem::take(&mut self.pending)
    }

    /// Begins its life with what `decision` says. Returns how many events that were.
    ///
    /// # Errors
    ///
    /// - [`RootError::AlreadyExists`] if it lives.
    /// - [`RootError::Rejected`] if the domain refused.
    pub fn create(&mut self, decision: impl Decision<A::Event>) -> Result<usize, RootError> {
        if self.exists() {
            return Err(RootError::AlreadyExists);
        }
        self.emit(decision)
    }

    /// Lets the state decide, and applies what it decided. Returns how many events that were.
    ///
    /// # Errors
    ///
    /// - [`RootError::NotFound`] if nothing ever happened to it.
    /// - [`RootError::Discarded`] if it was discarded.
    /// - [`RootError::Rejected`] if the domain refused.
    pub fn command<D: Decision<A::Event>>(
        &mut self,
        decide: impl FnOnce(&A) -> D,
    ) -> Result<usize, RootError> {
        if self.discarded {
            return Err(RootError::Discarded);
        }
        if self.version == 0 {
            return Err(RootError::NotFound);
        }
        let decision = decide(&self.state);
        self.emit(decision)
    }

    /// Lets the state decide, which is the default one if it does not exist; begins its life if so. Returns how
    /// many events that were.
    ///
    /// # Errors
    ///
    /// [`RootError::Rejected`] if the domain refused.
    pub fn upsert<D: Decision<A::Event>>(
        &mut self,
        decide: impl FnOnce(&A) -> D,
    ) -> Result<usize, RootError> {
        let decision = decide(&self.state);
        self.emit(decision)
    }

    /// Applies a stored event, which must be the one after [`version`](Self::version).
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if it is another one: an event is missing, or there twice.
    pub fn replay(&mut self, version: u64, event: &A::Event) -> Result<(), ReplayError> {
        if version != self.version + 1 {
            return Err(ReplayError {
                version: self.version,
                found: version,
            });
        }
        self.advance(event);
        Ok(())
    }

    fn emit(&mut self, decision: impl Decision<A::Event>) -> Result<usize, RootError> {
        let events = decision.into_events().map_err(RootError::Rejected)?;
        for event in &events {
            self.advance(event);
        }
        let n_events = events.len();
        self.pending.extend(events);
        Ok(n_events)
    }

    fn advance(&mut self, event: &A::Event) {
        if self.discarded {
            self.discarded = false;
            self.state = A::default();
        }
        self.version += 1;
        self.state.apply(event);
        if event.event_type().discards {
            self.discarded = true;
            self.state = A::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[event(topic = "t.light", crate = "crate")]
    enum LightEvent {
        Installed,
        Switched {
            on: bool,
        },
        #[event(discards)]
        Removed,
    }

    #[derive(Default, Clone)]
    struct Light {
        on: bool,
    }

    #[derive(Debug, PartialEq, Error)]
    #[error("the light is already on")]
    struct AlreadyOn;

    impl Aggregate for Light {
        type Event = LightEvent;

        fn apply(&mut self, event: &LightEvent) {
            if let LightEvent::Switched { on } = event {
                self.on = *on;
            }
        }
    }

    impl Light {
        fn switch_on(&self) -> Result<LightEvent, AlreadyOn> {
            if self.on {
                Err(AlreadyOn)
            } else {
                Ok(LightEvent::Switched { on: true })
            }
        }
    }

    fn light() -> Root<Light> {
        let mut light = Root::new(Id::named("hall"));
        light.create(LightEvent::Installed).unwrap();
        light
    }

    #[test]
    fn a_refused_command_emits_nothing() {
        let mut light = light();
        light.command(Light::switch_on).unwrap();
        let error = light.command(Light::switch_on).unwrap_err();
        assert!(matches!(error, RootError::Rejected(r) if r.downcast_ref() == Some(&AlreadyOn)));
        assert_eq!((light.version(), light.pending().len()), (2, 2));
    }

    #[test]
    fn creating_twice_commanding_nothing_and_commanding_what_is_gone_are_distinct_errors() {
        assert!(matches!(
            Root::<Light>::new(Id::named("x")).command(Light::switch_on),
            Err(RootError::NotFound)
        ));
        let mut light = light();
        assert!(matches!(
            light.create(LightEvent::Installed),
            Err(RootError::AlreadyExists)
        ));
        light.command(|_| LightEvent::Removed).unwrap();
        assert!(matches!(
            light.command(Light::switch_on),
            Err(RootError::Discarded)
        ));
    }

    #[test]
    fn what_was_discarded_can_be_created_anew_and_starts_from_the_beginning() {
        let mut light = light();
        light.command(Light::switch_on).unwrap();
        light.command(|_| LightEvent::Removed).unwrap();
        assert!(!light.exists() && light.is_discarded());
        light.create(LightEvent::Installed).unwrap();
        assert!(light.exists() && !light.state().on);
        assert_eq!(light.version(), 4);
    }

    #[test]
    fn an_upsert_begins_a_life_or_continues_it() {
        let mut light = Root::<Light>::new(Id::named("hall"));
        light.upsert(Light::switch_on).unwrap();
        assert!(light.exists() && light.state().on);
        assert!(matches!(
            light.upsert(Light::switch_on),
            Err(RootError::Rejected(_))
        ));
        light.command(|_| LightEvent::Removed).unwrap();
        light.upsert(Light::switch_on).unwrap();
        assert_eq!((light.version(), light.state().on), (3, true));
    }

    #[test]
    fn a_stored_event_that_does_not_follow_is_refused() {
        let mut light = Root::<Light>::new(Id::named("hall"));
        assert_eq!(
            light.replay(2, &LightEvent::Installed),
            Err(ReplayError {
                version: 0,
                found: 2
            })
        );
        light.replay(1, &LightEvent::Installed).unwrap();
        assert_eq!(
            light.replay(1, &LightEvent::Installed),
            Err(ReplayError {
                version: 1,
                found: 1
            })
        );
        assert_eq!(light.stored_version(), 1);
    }

    #[test]
    fn a_decision_may_be_none_one_or_several_events() {
        let mut light = light();
        assert_eq!(light.command(|_| ()).unwrap(), 0);
        assert_eq!(light.command(|_| None::<LightEvent>).unwrap(), 0);
        assert_eq!(
            light
                .command(|_| [
                    LightEvent::Switched { on: true },
                    LightEvent::Switched { on: false }
                ])
                .unwrap(),
            2
        );
    }
}
