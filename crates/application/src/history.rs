//! What was recorded of one aggregate, page by page.

use std::fmt;
use std::marker::PhantomData;

use boxes_domain::Event;
use boxes_recorder::{StoredEvent, StreamRange};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{App, Error};

/// Events in one page, at most: so that the history of the busiest aggregate needs bounded memory.
const MAX_PAGE_EVENTS: u64 = 500;

/// An event of an aggregate's history, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent<E> {
    /// The aggregate's version after it.
    pub version: u64,
    /// What happened.
    pub event: E,
    /// The topic under which it is stored.
    pub topic: String,
    /// When it happened.
    pub occurred_on: Timestamp,
}

/// What was recorded of one aggregate, read page by page: all of it, oldest first, or the part that a
/// [`StreamRange`] names. Made by [`App::history`](crate::App::history).
///
/// Pages have at most 500 events, and each is one read of the store. What is recorded while it is being read, and is in
/// the range, belongs to it.
///
/// ```
/// # use boxes_application::{App, Error};
/// # use boxes_domain::{Aggregate, Id};
/// use boxes_recorder::StreamRange;
///
/// # async fn example<A: Aggregate>(app: App, order: Id<A>) -> Result<(), Error> {
/// // The last ten things that happened to it, newest first.
/// let newest = app.history(order).within(StreamRange::newest(10)).take(10).await?;
/// // All of it, however long it is.
/// let mut history = app.history(order);
/// while let Some(page) = history.next_page().await? {
///     for recorded in page {
///         println!("{} {} {}", recorded.version, recorded.topic, recorded.occurred_on);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is read before a page is asked for"]
pub struct History<E> {
    app: App,
    originator_id: Uuid,
    /// What is still to be read; with a limit of 0 nothing is.
    rest: StreamRange,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> History<E> {
    pub(crate) const fn new(app: App, originator_id: Uuid) -> Self {
        Self {
            app,
            originator_id,
            rest: StreamRange::ALL,
            event: PhantomData,
        }
    }

    /// Only this part of it, in this order.
    pub const fn within(mut self, range: StreamRange) -> Self {
        self.rest = range;
        self
    }

    /// The next page, which has at least one event; `None` at the end.
    ///
    /// # Errors
    ///
    /// - [`Error::Deleted`] if the aggregate was deleted.
    /// - [`Error::TransactionEnded`] if it was made in a policy that has ended.
    /// - [`Error::Mapper`] if an event can't be understood.
    /// - [`Error::Store`] if the store can't be read now: the next call asks for the same page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<RecordedEvent<E>>>, Error> {
        if self.rest.limit == 0 {
            return Ok(None);
        }
        let limit = self.rest.limit.min(MAX_PAGE_EVENTS);
        let range = StreamRange { limit, ..self.rest };
        let id = self.originator_id;
        let stored = match &self.app.transaction {
            Some(open) => open.transaction.lock().await.events::<E>(id, range).await?,
            None => {
                let recorder = self.app.inner.writer.recorder();
                recorder.select_events(id, range).await?
            }
        };
        // Of an aggregate of another kind there is nothing to show.
        let is_of_other_kind =
            |first: &StoredEvent| self.app.inner.topics.other_kind::<E>(&first.topic);
        if stored.first().and_then(is_of_other_kind).is_some() {
            self.rest.limit = 0;
            return Ok(None);
        }
        let n_found = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        let Some(last) = stored.last().map(|event| event.originator_version) else {
            self.rest.limit = 0;
            return Ok(None);
        };
        let mut page = Vec::with_capacity(stored.len());
        for stored in stored {
            let read = || self.app.inner.mapper.to_own_event(&stored);
            let event = self.app.inner.subject_keys.map(read).await?;
            page.push(RecordedEvent {
                version: stored.originator_version,
                event,
                topic: stored.topic.into_owned(),
                occurred_on: stored.occurred_on,
            });
        }
        let is_end = n_found < limit;
        self.rest.limit = if is_end { 0 } else { self.rest.limit - n_found };
        if self.rest.descending {
            self.rest.until = last.saturating_sub(1);
        } else {
            self.rest.after = last;
        }
        Ok(Some(page))
    }

    /// The first of what is still to be read, at most `max_events`, in one list; empty if there is nothing.
    ///
    /// # Errors
    ///
    /// As [`next_page`](Self::next_page).
    pub async fn take(mut self, max_events: u64) -> Result<Vec<RecordedEvent<E>>, Error> {
        self.rest.limit = self.rest.limit.min(max_events);
        let mut taken = Vec::new();
        while let Some(page) = self.next_page().await? {
            taken.extend(page);
        }
        Ok(taken)
    }
}

impl<E> fmt::Debug for History<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("originator_id", &self.originator_id)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}
