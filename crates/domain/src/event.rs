//! Something that happened.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Something that happened, in the past tense: an enum with one variant for each kind.
///
/// Derive it. Each variant is stored under a *topic*, an explicit string that outlives the Rust name:
/// `#[event(topic = "orders.order")]` on the enum gives `Placed` the topic `orders.order.placed`.
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `topic = "box.aggregate"` | enum | prefix of the topics; required unless each variant has its own |
/// | `topic = "box.aggregate.event"` | variant | the whole topic, for a renamed variant |
/// | `version = 2` | variant | schema version, 1 unless given |
/// | `alias = "old.topic"` | variant | an older topic that is still read; repeatable |
/// | `discards` | variant | ends the aggregate: every command after it is refused |
///
/// The stored state of an event is the content of its variant, without the variant's name:
/// `Placed { customer: String }` is stored as `{"customer":"ALFKI"}`, a unit variant as `{}`.
///
/// ```
/// use boxes_domain::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Debug, Clone, Serialize, Deserialize)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum OrderEvent {
///     Placed { customer: String },
///     #[event(topic = "orders.order.settled", alias = "orders.order.paid", version = 2)]
///     Paid,
///     #[event(discards)]
///     Withdrawn,
/// }
///
/// assert_eq!(OrderEvent::Placed { customer: "ALFKI".into() }.event_type().topic, "orders.order.placed");
/// assert_eq!(OrderEvent::Paid.event_type().version, 2);
/// assert!(OrderEvent::Withdrawn.event_type().discards);
/// ```
pub trait Event: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kinds of event that this type holds, in the order of its variants.
    const TYPES: &'static [EventType];

    /// The kind of this event: one of [`TYPES`](Self::TYPES).
    fn event_type(&self) -> &'static EventType;
}

/// One kind of event: how it is named where it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventType {
    /// The stable name under which it is stored and published, such as `orders.order.placed`.
    pub topic: &'static str,
    /// The version of its schema, counted from 1.
    pub version: u32,
    /// Older topics under which it is still read.
    pub aliases: &'static [&'static str],
    /// Whether the aggregate ends with it.
    pub discards: bool,
    /// The position of its variant in the enum, counted from 0.
    pub variant: u32,
}

impl EventType {
    /// A kind of event of schema version 1 that has no aliases and doesn't discard. For the derive macro.
    #[must_use]
    pub const fn new(topic: &'static str, variant: u32) -> Self {
        Self {
            topic,
            version: 1,
            aliases: &[],
            discards: false,
            variant,
        }
    }

    /// The same with another schema version.
    #[must_use]
    pub const fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// The same with older topics under which it is still read.
    #[must_use]
    pub const fn with_aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same as the end of its aggregate.
    #[must_use]
    pub const fn discarding(mut self) -> Self {
        self.discards = true;
        self
    }

    /// Whether events stored under `topic` are of this kind.
    #[must_use]
    pub fn answers_to(&self, topic: &str) -> bool {
        self.topic == topic || self.aliases.contains(&topic)
    }
}
