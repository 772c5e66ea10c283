//! What a box does when something happened in another.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use boxes_domain::Event;
use boxes_mapper::{Mapper, MapperError, Metadata, TopicDescription};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{App, Error};

/// An event of another box, as a policy gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<E> {
    /// Its place in the other box's log, counted from 1.
    pub id: u64,
    /// What happened, as this box understands it.
    pub event: E,
    /// The event's own id.
    pub event_id: Uuid,
    /// The aggregate of the other box to which it happened.
    pub originator_id: Uuid,
    /// That aggregate's version after it.
    pub originator_version: u64,
    /// When it happened.
    pub occurred_on: Timestamp,
    /// Why it happened.
    pub metadata: Metadata,
}

impl<E: Event> Notification<E> {
    /// What stands in a log, or `None` if its topic is none of `E`'s, or its stream was deleted: what it said is gone then,
    /// and nobody is to act on it.
    pub(crate) fn read(
        notification: &boxes_recorder::Notification,
        mapper: &Mapper,
    ) -> Result<Option<Self>, MapperError> {
        let stored = &notification.event;
        if stored.is_redacted() {
            return Ok(None);
        }
        Ok(mapper.to_event::<E>(stored)?.map(|event| Self {
            id: notification.id,
            event,
            event_id: stored.event_id,
            originator_id: stored.originator_id,
            originator_version: stored.originator_version,
            occurred_on: stored.occurred_on,
            metadata: Metadata::from_bytes(&stored.metadata),
        }))
    }
}

/// The policies of a box: for each box that it follows, what it does when something happened there.
///
/// A policy is an async function of a [`Notification`] and an [`App`]. Whatever it does with that app (commands, deletions,
/// [forgetting](App::forget)) is recorded together with the position of the notification, or not at all, also if it panics;
/// so it is done once, however often the notification is read. It sees what it did so far, and what the policies of earlier
/// notifications did. It may be run again when others changed the same aggregates concurrently: what it does outside the
/// app (send a mail) may happen more than once.
///
/// A notification whose aggregate [was deleted](App::delete) before it was read has nothing to say any more: it is
/// skipped, and the position goes on over it.
///
/// Several policies may follow one box: they run in the order in which they were added, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    by_upstream: Vec<(String, Vec<Arc<dyn Policy>>)>,
}

impl Policies {
    /// Adds what to do when one of the events `E` happened in the box `upstream`.
    pub fn follow<E, F, Fut>(&mut self, upstream: impl Into<String>, policy: F)
    where
        E: Event,
        F: Fn(Notification<E>, App) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let upstream = upstream.into();
        let policy: Arc<dyn Policy> = Arc::new(PolicyFn {
            function: policy,
            event: PhantomData,
        });
        match self
            .by_upstream
            .iter_mut()
            .find(|(name, _)| *name == upstream)
        {
            Some((_, policies)) => policies.push(policy),
            None => self.by_upstream.push((upstream, vec![policy])),
        }
    }

    /// The boxes that are followed, in the order in which they were first named.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.by_upstream.iter().map(|(name, _)| name.as_str())
    }

    /// The topics that are read of the box `upstream`, as this box understands them.
    #[must_use]
    pub fn topics_of(&self, upstream: &str) -> Vec<TopicDescription> {
        let policies = self.of(upstream);
        policies.iter().flat_map(|policy| policy.topics()).collect()
    }

    pub(crate) fn of(&self, upstream: &str) -> Vec<Arc<dyn Policy>> {
        self.by_upstream
            .iter()
            .find(|(name, _)| name == upstream)
            .map(|(_, policies)| policies.clone())
            .unwrap_or_default()
    }
}

/// A policy of whatever event type.
pub(crate) trait Policy: fmt::Debug + Send + Sync {
    /// Whether it does anything about events of this topic.
    fn handles(&self, topic: &str) -> bool;

    /// The topics of its events.
    fn topics(&self) -> Vec<TopicDescription>;

    /// Does it.
    fn handle<'a>(
        &'a self,
        notification: &'a boxes_recorder::Notification,
        mapper: &'a Mapper,
        app: App,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

struct PolicyFn<E, F> {
    function: F,
    event: PhantomData<fn() -> E>,
}

impl<E: Event, F> fmt::Debug for PolicyFn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(E::TYPES.iter().map(|t| t.topic))
            .finish()
    }
}

impl<E, F, Fut> Policy for PolicyFn<E, F>
where
    E: Event,
    F: Fn(Notification<E>, App) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Error>> + Send,
{
    fn handles(&self, topic: &str) -> bool {
        E::TYPES.iter().any(|t| t.answers_to(topic))
    }

    fn topics(&self) -> Vec<TopicDescription> {
        TopicDescription::all_of::<E>()
    }

    fn handle<'a>(
        &'a self,
        notification: &'a boxes_recorder::Notification,
        mapper: &'a Mapper,
        app: App,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let read = || Notification::read(notification, mapper);
            match app.inner.subject_keys.map(read).await? {
                Some(notification) => (self.function)(notification, app).await,
                None => Ok(()),
            }
        }
        .boxed()
    }
}
