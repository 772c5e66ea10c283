//! Sections that are fetched ahead of the one that is handed out.

use std::collections::VecDeque;
use std::future::Future;

use tokio_util::task::AbortOnDropHandle;

use crate::{LogError, Section, SectionId};

/// Sections that are being fetched, or are there, in the order in which they will be handed out.
///
/// Each is fetched by a task of its own, so that they come while the reader's owner works on what it has. Tasks
/// that are not wanted any more are ended.
#[derive(Debug, Default)]
pub(crate) struct Prefetch {
    fetching: VecDeque<(SectionId, AbortOnDropHandle<Result<Section, LogError>>)>,
}

impl Prefetch {
    pub(crate) fn clear(&mut self) {
        self.fetching.clear();
    }

    /// The section to ask for now, so that what is there begins with `id` and follows on, `max` sections at most.
    ///
    /// After a failure that is `id` itself: what was fetched beyond it is kept.
    pub(crate) fn wants(&mut self, id: SectionId, max: usize) -> Option<SectionId> {
        let first = self.fetching.front().map(|(first, _)| *first);
        if first == Some(id.next()) {
            return Some(id);
        }
        if first.is_some_and(|first| first != id) {
            self.fetching.clear();
        }
        let after = self.fetching.back().map_or(id, |(last, _)| last.next());
        (self.fetching.len() < max).then_some(after)
    }

    pub(crate) fn push(
        &mut self,
        id: SectionId,
        fetching: impl Future<Output = Result<Section, LogError>> + Send + 'static,
    ) {
        let task = AbortOnDropHandle::new(tokio::spawn(fetching));
        match self.fetching.front() {
            Some((first, _)) if id < *first => self.fetching.push_front((id, task)),
            _ => self.fetching.push_back((id, task)),
        }
    }

    /// Section `id`, once it is there, if it comes next; `None` if it was not asked for.
    ///
    /// Stays in place until it is there: who stops waiting loses nothing.
    pub(crate) async fn next(&mut self, id: SectionId) -> Option<Result<Section, LogError>> {
        let (_, task) = self
            .fetching
            .front_mut()
            .filter(|(first, _)| *first == id)?;
        let fetched = task.await.unwrap_or_else(|error| {
            Err(LogError::Unavailable {
                reason: format!("fetching section {id} was broken off: {error}"),
                retry_after: None,
                source: None,
            })
        });
        self.fetching.pop_front();
        Some(fetched)
    }
}
