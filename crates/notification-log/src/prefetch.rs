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
    pub(crate) fn len(&self) -> usize {
        self.fetching.len()
    }

    pub(crate) fn clear(&mut self) {
        self.fetching.clear();
    }

    /// Makes sure that what is there begins with `id`; returns the section to ask for next.
    pub(crate) fn follow_on(&mut self, id: SectionId) -> SectionId {
        if self.fetching.front().is_some_and(|(first, _)| *first != id) {
            self.fetching.clear();
        }
        self.fetching.back().map_or(id, |(last, _)| last.next())
    }

    pub(crate) fn push(
        &mut self,
        id: SectionId,
        fetching: impl Future<Output = Result<Section, LogError>> + Send + 'static,
    ) {
        let task = AbortOnDropHandle::new(tokio::spawn(fetching));
        self.fetching.push_back((id, task));
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
