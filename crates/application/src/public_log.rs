//! What a box publishes of its events.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper, Metadata, TopicDescription};
use boxes_notification_log::{DerivedLog, LogError, NotificationLog, Translation};
use boxes_recorder::StoredEvent;

use crate::{Error, Notification};

/// What a box publishes of its events: public event types, made of its own ones, or some of its own as they are.
///
/// An event that nothing is said of is not published. Every event keeps its place in the log, published or not, so the
/// ids of the public log are dense and are those of the box's own one.
///
/// ```
/// use boxes_application::{Notification, PublicLog};
/// use boxes_domain::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Clone, Serialize, Deserialize)]
/// #[event(topic = "orders.order", crate = "boxes_domain")]
/// enum OrderEvent {
///     Placed { customer: String, margin: u32 },
///     Repriced { margin: u32 },
///     Shipped,
/// }
///
/// /// What others may know.
/// #[derive(Event, Clone, Serialize, Deserialize)]
/// #[event(topic = "sales.order", crate = "boxes_domain")]
/// enum Sale {
///     Placed { customer: String },
///     Done,
/// }
///
/// fn public(notification: Notification<OrderEvent>) -> Option<Sale> {
///     match notification.event {
///         OrderEvent::Placed { customer, .. } => Some(Sale::Placed { customer }),
///         OrderEvent::Repriced { .. } => None,
///         OrderEvent::Shipped => Some(Sale::Done),
///     }
/// }
///
/// // Count the revision up whenever what is made of an event changes.
/// let sales = PublicLog::revision(1).translate(public);
/// ```
#[derive(Debug, Clone)]
pub struct PublicLog {
    revision: u32,
    parts: Vec<Arc<dyn Part>>,
}

impl PublicLog {
    /// A log that publishes nothing yet.
    ///
    /// `revision` stands for what is made of the events, all of it. Pages are kept by caches and followers for ever, so
    /// one that would make something else of an event is another log, with another epoch: its followers stop and say so,
    /// and are begun anew on purpose.
    #[must_use]
    pub const fn revision(revision: u32) -> Self {
        Self {
            revision,
            parts: Vec::new(),
        }
    }

    /// Publishes what `translate` makes of the events `E`, if anything.
    ///
    /// It has to be a function of its argument alone: no clock, no randomness, nothing that is looked up. What is
    /// published has the id, aggregate, version, time and metadata of the event that it is made of, and is written as that one was:
    /// in its format, and encrypted with its key if it is, unless the public topic is left out of encryption. So nothing of it changes when keys are
    /// rotated; to leave other topics out makes another history of the log, with another epoch.
    ///
    /// What is [`Personal`](boxes_domain::Personal) in `E` may be passed on as it is, unread: who has the keys knows it, until
    /// it is forgotten. Nothing else can be made of it, because pages must not tell what is forgotten, nor change with it.
    ///
    /// If an event is among those of several calls, the first one decides.
    #[must_use]
    pub fn translate<E, P, F>(mut self, translate: F) -> Self
    where
        E: Event,
        P: Event,
        F: Fn(Notification<E>) -> Option<P> + Send + Sync + 'static,
    {
        self.parts.push(Arc::new(Translated {
            translate,
            events: PhantomData::<fn(E) -> P>,
        }));
        self
    }

    /// Publishes the events `E` as they are stored: to leave the others out. `E` may be a part of an aggregate's events,
    /// declared for that.
    #[must_use]
    pub fn pass<E: Event>(mut self) -> Self {
        self.parts.push(Arc::new(Passed {
            events: PhantomData::<fn(E)>,
        }));
        self
    }

    /// The topics that it may publish. What is published as it is stored, too, has the versions of the declared type.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicDescription> {
        self.parts.iter().flat_map(|part| part.topics()).collect()
    }

    /// The log of that name, made of `source`, whose events `mapper` reads, and writes those that are published.
    pub(crate) fn derive(
        &self,
        source: Arc<dyn NotificationLog>,
        name: &str,
        mapper: Mapper,
    ) -> DerivedLog {
        let variant = self.left_in_the_clear(&mapper);
        let public = Public {
            parts: self.parts.clone(),
            mapper,
            name: name.to_owned(),
        };
        DerivedLog::new(source, Arc::new(public), name, self.revision).with_variant(variant)
    }

    /// The public topics that are left in the clear where their sources are encrypted: by another set of them the same events are
    /// published in other bytes.
    fn left_in_the_clear(&self, mapper: &Mapper) -> String {
        let mut pairs: Vec<_> = self
            .translated()
            .filter(|(public, source)| mapper.encrypts(source) && !mapper.encrypts(public))
            .map(|(public, source)| format!("\0{public}\0{source}"))
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.concat()
    }

    /// A public topic that `mapper` would encrypt although what it is made of is in the clear, with that topic: it could not be, because
    /// there is no key by which it would stay as it is.
    #[must_use]
    pub fn encrypted_alone(&self, mapper: &Mapper) -> Option<(&'static str, &'static str)> {
        self.translated()
            .find(|(public, source)| mapper.encrypts(public) && !mapper.encrypts(source))
    }

    /// Each public topic that events are translated into, with each topic that they are of.
    fn translated(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.parts.iter().flat_map(|part| {
            let sources = part.sources();
            let public = part.topics().into_iter().map(|described| described.topic);
            public.flat_map(move |public| {
                sources
                    .clone()
                    .into_iter()
                    .map(move |source| (public, source))
            })
        })
    }
}

#[derive(Debug)]
struct Public {
    parts: Vec<Arc<dyn Part>>,
    mapper: Mapper,
    name: String,
}

impl Translation for Public {
    fn translate(
        &self,
        notification: &boxes_recorder::Notification,
    ) -> Result<Option<StoredEvent>, LogError> {
        let topic = &notification.event.topic;
        let Some(part) = self.parts.iter().find(|part| part.handles(topic)) else {
            return Ok(None);
        };
        part.publish(notification, &self.mapper)
            .map_err(|error| LogError::Garbage {
                reason: format!(
                    "notification {} can't be published in `{}`: {error}",
                    notification.id, self.name
                ),
            })
    }
}

/// What is published of some events, whatever their type.
trait Part: fmt::Debug + Send + Sync {
    fn handles(&self, topic: &str) -> bool;

    /// The topics of what it publishes.
    fn topics(&self) -> Vec<TopicDescription>;

    /// The topics of the events that it translates; none of those that it publishes as they are.
    fn sources(&self) -> Vec<&'static str>;

    fn publish(
        &self,
        notification: &boxes_recorder::Notification,
        mapper: &Mapper,
    ) -> Result<Option<StoredEvent>, Error>;
}

struct Translated<E, P, F> {
    translate: F,
    events: PhantomData<fn(E) -> P>,
}

impl<E: Event, P: Event, F> fmt::Debug for Translated<E, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = E::TYPES.iter().chain(P::TYPES).map(|t| t.topic);
        f.debug_list().entries(topics).finish()
    }
}

impl<E, P, F> Part for Translated<E, P, F>
where
    E: Event,
    P: Event,
    F: Fn(Notification<E>) -> Option<P> + Send + Sync,
{
    fn handles(&self, topic: &str) -> bool {
        E::TYPES.iter().any(|t| t.answers_to(topic))
    }

    fn topics(&self) -> Vec<TopicDescription> {
        TopicDescription::all_of::<P>()
    }

    fn sources(&self) -> Vec<&'static str> {
        let types = E::TYPES.iter();
        types
            .flat_map(|t| std::iter::once(t.topic).chain(t.aliases.iter().copied()))
            .collect()
    }

    fn publish(
        &self,
        notification: &boxes_recorder::Notification,
        mapper: &Mapper,
    ) -> Result<Option<StoredEvent>, Error> {
        let Some(own) = Notification::read(notification, mapper)? else {
            return Ok(None);
        };
        let Some(public) = (self.translate)(own) else {
            return Ok(None);
        };
        let stored = &notification.event;
        let envelope = Envelope {
            event_id: stored.event_id,
            originator_id: stored.originator_id,
            originator_version: stored.originator_version,
            metadata: Metadata::from_bytes(&stored.metadata),
            occurred_on: stored.occurred_on,
        };
        Ok(Some(
            mapper
                .writing_as(notification)
                .to_stored(&public, &envelope)?,
        ))
    }
}

struct Passed<E> {
    events: PhantomData<fn(E)>,
}

impl<E: Event> fmt::Debug for Passed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(E::TYPES.iter().map(|t| t.topic))
            .finish()
    }
}

impl<E: Event> Part for Passed<E> {
    fn handles(&self, topic: &str) -> bool {
        E::TYPES.iter().any(|t| t.answers_to(topic))
    }

    fn topics(&self) -> Vec<TopicDescription> {
        TopicDescription::all_of::<E>()
    }

    fn sources(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn publish(
        &self,
        notification: &boxes_recorder::Notification,
        _: &Mapper,
    ) -> Result<Option<StoredEvent>, Error> {
        Ok(Some(notification.event.clone()))
    }
}
