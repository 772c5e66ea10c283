//! The state of one thing in the domain.

use crate::Event;

/// A consistency boundary whose state is the fold of its events.
///
/// The value before the first event is [`Default::default`]. Commands are ordinary methods that look at
/// the state and return what happened (see [`Decision`](crate::Decision)); they never change it.
/// `apply` alone does that, and it must accept every event that was ever recorded: it decides nothing
/// and refuses nothing.
///
/// ```
/// use boxes_domain::{Aggregate, Event};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, Serialize, Deserialize)]
/// #[event(topic = "library.book", crate = "boxes_domain")]
/// enum BookEvent {
///     Lent { reader: String },
///     Returned,
/// }
///
/// #[derive(Default, Clone)]
/// struct Book {
///     reader: Option<String>,
/// }
///
/// impl Aggregate for Book {
///     type Event = BookEvent;
///
///     fn apply(&mut self, event: &BookEvent) {
///         match event {
///             BookEvent::Lent { reader } => self.reader = Some(reader.clone()),
///             BookEvent::Returned => self.reader = None,
///         }
///     }
/// }
/// ```
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// What can happen to it.
    type Event: Event;

    /// Brings the state forward over `event`.
    fn apply(&mut self, event: &Self::Event);
}
