//! What a command recorded.

use std::fmt;
use std::ops::Range;

use boxes_domain::{Aggregate, Id};

/// What a command recorded of one aggregate: what a route answers from, instead of reading what others may have changed
/// since, or what can't be read at the moment.
///
/// A command that decided to record nothing gives the aggregate as it is, with no events.
pub struct Recorded<A: Aggregate> {
    /// The aggregate.
    pub id: Id<A>,
    /// Its version after the command.
    pub version: u64,
    /// Its state after the command; the default one if the command discarded it.
    pub state: A,
    /// The events of the command, oldest first: the last one led to [`version`](Self::version).
    pub events: Vec<A::Event>,
    /// The ids of these events in the notification log of the box, as many as there are events. `None` if there are none, and
    /// in a policy or an [`App::transaction`](crate::App::transaction), where nothing is recorded before its end.
    pub notifications: Option<Range<u64>>,
}

/// What an [`App::transaction`](crate::App::transaction) returned and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// What its commands returned.
    pub value: T,
    /// The ids of all its events in the notification log of the box, in the order of the commands. `None` if nothing was
    /// to be recorded, and within another transaction or a policy, where nothing is recorded before its end.
    pub notifications: Option<Range<u64>>,
}

impl<A: Aggregate> Recorded<A> {
    /// The id of the last event in the notification log of the box: who follows the log has seen the command once
    /// it is there. `None` as for [`notifications`](Self::notifications).
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        last(self.notifications.as_ref())
    }
}

impl<T> Committed<T> {
    /// The id of the last event in the notification log of the box; `None` as for
    /// [`notifications`](Self::notifications).
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        last(self.notifications.as_ref())
    }
}

fn last(notifications: Option<&Range<u64>>) -> Option<u64> {
    notifications.map(|ids| ids.end.saturating_sub(1))
}

// Written out: neither states nor events need `Debug`.
impl<A: Aggregate> fmt::Debug for Recorded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("n_events", &self.events.len())
            .field("notifications", &self.notifications)
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate> Clone for Recorded<A> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            version: self.version,
            state: self.state.clone(),
            events: self.events.clone(),
            notifications: self.notifications.clone(),
        }
    }
}
