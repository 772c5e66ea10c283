//! Something that happened.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
/// | `upcast(v1_to_v2)` | variant | functions that make state of an older version one of the next, see [`Upcast`] |
/// | `alias = "old.topic"` | variant | an older topic that is still read; repeatable |
/// | `discards` | variant | ends the aggregate: every command after it is refused |
/// | `tolerant` | enum or variant | reads every version of another box's event, by the fields that it has, see [`EventType::is_tolerant`] |
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

    /// The name of what the events happen to: the topic on the enum, such as `orders.order`; without one, the topic of
    /// the first variant. [`Id::of_kind`](crate::Id::of_kind) depends on it, so it must not change.
    const KIND: &'static str = match Self::TYPES {
        [first, ..] => first.topic,
        [] => "",
    };

    /// The kind of this event: one of [`TYPES`](Self::TYPES).
    fn event_type(&self) -> &'static EventType;

    /// The JSON Schema (draft 2020-12) of the stored state of each kind, in the order of [`TYPES`](Self::TYPES), for
    /// those who read events without this program.
    ///
    /// `None` unless the type derives [`JsonSchema`](schemars::JsonSchema) beside `Event`; nothing else is needed for it.
    /// Built anew each time.
    ///
    /// ```
    /// # use boxes_domain::Event;
    /// use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    /// #[event(topic = "orders.order", crate = "boxes_domain")]
    /// enum OrderEvent {
    ///     Placed { customer: String },
    /// }
    ///
    /// let schemas = OrderEvent::state_schemas().unwrap_or_default();
    /// assert_eq!(schemas[0]["required"], serde_json::json!(["customer"]));
    /// ```
    #[must_use]
    fn state_schemas() -> Option<Vec<Value>> {
        None
    }
}

/// A step from one schema version of an event's state to the next, taken when an older one is read.
///
/// State is the content of the variant as JSON. A step is pure, is given what the version before it wrote, and
/// returns what the next version would have written; what is stored stays as it is. Steps are listed oldest first, and
/// the last one leads to the current version, so with `version = 3` there are at most two: with one, version 2 and 3
/// are read. A step that meets what it does not expect returns it as it is: then the state does not fit the event's
/// type, and that is an error that names topic and version.
///
/// A [`Value`] has numbers of 64 bits, and neither an order of keys nor keys that come twice. What a step leaves where it was keeps
/// its text in JSON all the same, and so do numbers, lists and maps that it puts elsewhere: a `u128`, an amount with thirty digits and
/// raw JSON come out as they were stored. To a step such a number looks like the nearest float. What a step calculates, it calculates
/// with what it sees.
///
/// The same holds for the events of other boxes that this one follows: an upstream that has gone on to a new version
/// does not change the pages that it has published.
///
/// ```
/// use boxes_domain::{Event, Upcast};
/// use serde::{Deserialize, Serialize};
/// use serde_json::{Value, json};
///
/// #[derive(Event, Debug, Clone, Serialize, Deserialize)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum OrderEvent {
///     /// Version 1 had an amount in whole units and no currency.
///     #[event(version = 2, upcast(placed_v1_to_v2))]
///     Placed { cents: u64, currency: String },
/// }
///
/// fn placed_v1_to_v2(state: Value) -> Value {
///     match state.get("amount").and_then(Value::as_u64) {
///         Some(amount) => json!({ "cents": amount * 100, "currency": "EUR" }),
///         None => state,
///     }
/// }
///
/// let [step] = OrderEvent::TYPES[0].upcasts else { panic!("one step") };
/// assert_eq!(step(json!({ "amount": 7 })), json!({ "cents": 700, "currency": "EUR" }));
/// ```
///
/// Source: Young, *Versioning in an Event Sourced System*, "Upcasting".
pub type Upcast = fn(Value) -> Value;

/// One kind of event: how it is named where it is stored.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EventType {
    /// The stable name under which it is stored and published, such as `orders.order.placed`.
    pub topic: &'static str,
    /// The version of its schema, counted from 1.
    pub version: u32,
    /// Older topics under which it is still read.
    pub aliases: &'static [&'static str],
    /// Steps from older schema versions to this one, oldest first; see [`Upcast`].
    pub upcasts: &'static [Upcast],
    /// Whether the aggregate ends with it.
    pub discards: bool,
    /// Whether versions that no step leads from, newer ones as well, are read as they are: fields that the type does not have are
    /// ignored, and only a field that it has and that is missing or of another type is an error.
    ///
    /// For a box that follows another and reads a few fields of its events: it does not stop when the upstream goes on to a new version
    /// that has them still. It would not notice either if a field stayed and meant something else, so it is asked for with
    /// `#[event(tolerant)]`. Not for a box's own events: an older program would drop what a newer one wrote.
    pub is_tolerant: bool,
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
            upcasts: &[],
            discards: false,
            is_tolerant: false,
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

    /// The same, reading older versions by these steps: the last one leads to the current version. Fewer than the
    /// version: the derive macro checks it.
    #[must_use]
    pub const fn with_upcasts(mut self, upcasts: &'static [Upcast]) -> Self {
        self.upcasts = upcasts;
        self
    }

    /// The same as the end of its aggregate.
    #[must_use]
    pub const fn discarding(mut self) -> Self {
        self.discards = true;
        self
    }

    /// The same, [tolerant](Self::is_tolerant).
    #[must_use]
    pub const fn tolerant(mut self) -> Self {
        self.is_tolerant = true;
        self
    }

    /// The steps that make state of `version` one of the current version, none for the current one itself; `None` if
    /// that version can't be read. A [tolerant](Self::is_tolerant) type reads every version.
    #[must_use]
    pub fn upcasts_from(&self, version: u32) -> Option<&'static [Upcast]> {
        let steps = self.steps_from(version);
        steps.or_else(|| self.is_tolerant.then_some(&[]))
    }

    fn steps_from(&self, version: u32) -> Option<&'static [Upcast]> {
        let n_steps = usize::try_from(self.version.checked_sub(version)?).ok()?;
        let skipped = self.upcasts.len().checked_sub(n_steps)?;
        self.upcasts.get(skipped..)
    }

    /// The oldest schema version that can be read.
    #[must_use]
    pub fn oldest_version(&self) -> u32 {
        if self.is_tolerant {
            return 1;
        }
        let n_steps = u32::try_from(self.upcasts.len()).unwrap_or(u32::MAX);
        self.version.saturating_sub(n_steps)
    }

    /// Every topic under which events of this kind may be stored: its own, then its aliases.
    pub fn all_topics(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.topic).chain(self.aliases.iter().copied())
    }

    /// Whether events stored under `topic` are of this kind.
    #[must_use]
    pub fn answers_to(&self, topic: &str) -> bool {
        self.topic == topic || self.aliases.contains(&topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(state: Value) -> Value {
        state
    }

    #[test]
    fn the_last_step_leads_to_the_current_version() {
        let current = EventType::new("t.e", 0).with_version(4);
        assert_eq!(current.upcasts_from(4).map(<[Upcast]>::len), Some(0));
        assert_eq!(current.upcasts_from(3).map(<[Upcast]>::len), None);
        assert_eq!(current.oldest_version(), 4);

        let upcast = current.with_upcasts(&[same, same]);
        let n_steps = |version| upcast.upcasts_from(version).map(<[Upcast]>::len);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(n_steps),
            [None, None, Some(2), Some(1), Some(0), None]
        );
        assert_eq!(upcast.oldest_version(), 2);

        let tolerant = upcast.tolerant();
        let n_steps = |version| tolerant.upcasts_from(version).map(<[Upcast]>::len);
        assert_eq!(
            [1, 2, 3, 4, 5].map(n_steps),
            [Some(0), Some(2), Some(1), Some(0), Some(0)]
        );
        assert_eq!(tolerant.oldest_version(), 1);
    }
}
