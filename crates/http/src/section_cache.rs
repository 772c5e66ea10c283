//! Sections of a log, read once for all requests that need them, and what was made of them.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use boxes_notification_log::{LogDescription, LogError, NotificationLog, Section, SectionId};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::Problem;
use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;
use crate::rendered::Rendered;

/// What an entry takes in addition to its bytes: headers, links, its place in the cache.
const ENTRY_OVERHEAD: u64 = 1_024;
/// What a notification takes in addition to its state, metadata and topic.
const ITEM_OVERHEAD: u64 = 256;
/// About, to size the cache's tables.
const TYPICAL_ENTRY_BYTES: u64 = 8 * 1024;
/// Few, because the largest entry that is kept is the bound divided by them.
const SHARDS: usize = 2;

/// The state of a section: the same state has the same bytes, always and everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SectionState {
    low: u64,
    /// The newest notification of the log; `None` once the section is archived.
    last: Option<u64>,
    /// How many notifications of the whole log are redacted: while that stays the same, so does the section.
    n_redacted: u64,
}

impl SectionState {
    /// The state in which the section is, by what is known of the log; `None` past its end.
    fn of(id: SectionId, known: &LogDescription) -> Option<Self> {
        let newest = SectionId::containing(known.last, known.log.page_size);
        (id.low() <= newest.low()).then(|| Self {
            low: id.low(),
            last: (id.high() >= known.last).then_some(known.last),
            n_redacted: known.n_redacted,
        })
    }

    /// The state in which the section was read.
    const fn read(section: &Section, n_redacted: u64) -> Self {
        Self {
            low: section.id.low(),
            last: section.last,
            n_redacted,
        }
    }
}

/// A section in a state, or a page that was made of it: by the tag of its format, and its coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    state: SectionState,
    form: Option<(&'static str, Coding)>,
}

#[derive(Debug, Clone)]
enum Entry {
    Section(Arc<Section>),
    Page(Arc<Rendered>),
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Key, Entry> for Bytewise {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        let n_bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let body = match entry {
            Entry::Page(page) => n_bytes(page.n_bytes()),
            Entry::Section(section) => section
                .items
                .iter()
                .map(|item| {
                    let event = &item.event;
                    let n = event.state.len() + event.metadata.len() + event.topic.len();
                    n_bytes(n).saturating_add(ITEM_OVERHEAD)
                })
                .fold(0, u64::saturating_add),
        };
        body.saturating_add(ENTRY_OVERHEAD)
    }
}

type Entries = Cache<Key, Entry, Bytewise>;

/// A log behind a cache of its sections and pages, bounded by their bytes; the least useful ones go first.
///
/// Everything that is served of a log is read here: pages, single notifications, ranges, feeds, streams and dialects. A section
/// in one state is read by one of the requests that need it, while the others wait for it. All entries go when more of the log
/// is redacted, because no one asks for the older states again, and what they hold is to be forgotten; what was read before
/// that is not kept.
pub(crate) struct SectionCache {
    log: Arc<dyn NotificationLog>,
    entries: Entries,
    /// How many notifications were redacted in the newest state of the log that was asked for.
    n_redacted: AtomicU64,
}

impl SectionCache {
    pub(crate) fn new(log: Arc<dyn NotificationLog>, max_bytes: u64) -> Self {
        let items = usize::try_from(max_bytes / TYPICAL_ENTRY_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(items)
            .weight_capacity(max_bytes)
            .build();
        let entries = match options {
            Ok(options) => Cache::with_options(
                options,
                Bytewise,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(items, max_bytes, Bytewise),
        };
        Self {
            log,
            entries,
            n_redacted: AtomicU64::new(0),
        }
    }

    pub(crate) fn log(&self) -> &dyn NotificationLog {
        &*self.log
    }

    /// What is known of the log, which costs the store of a log in this process nothing.
    pub(crate) async fn describe(&self) -> Result<LogDescription, LogError> {
        let known = self.log.describe().await?;
        if self
            .n_redacted
            .fetch_max(known.n_redacted, Ordering::AcqRel)
            < known.n_redacted
        {
            self.entries.clear();
        }
        Ok(known)
    }

    /// A section, in the state in which the log is now or a later one, with that state.
    ///
    /// # Errors
    ///
    /// As [`NotificationLog::section`], and [`LogError::Gap`] or [`LogError::Garbage`] for one that is not whole: what is served
    /// may be kept for ever by others.
    pub(crate) async fn section(
        &self,
        id: SectionId,
    ) -> Result<(SectionState, Arc<Section>), LogError> {
        loop {
            let known = self.describe().await?;
            let Some(state) = SectionState::of(id, &known) else {
                // Past the end: a head that is newer than what is known is found by reading.
                return self.read(id, known.n_redacted).await;
            };
            let key = Key { state, form: None };
            let guard = match self.entries.get_value_or_guard_async(&key).await {
                Ok(Entry::Section(section)) => return Ok((state, section)),
                Ok(Entry::Page(_)) => return self.read(id, known.n_redacted).await,
                Err(guard) => guard,
            };
            // One that waited for another's reading may have to look for a newer state.
            let known = self.describe().await?;
            if SectionState::of(id, &known) != Some(state) {
                continue;
            }
            let (read_state, section) = self.read(id, known.n_redacted).await?;
            if read_state == state {
                // An error means that it was removed in the meantime.
                let _removed = guard.insert(Entry::Section(Arc::clone(&section)));
            } else {
                drop(guard);
                let key = Key {
                    state: read_state,
                    form: None,
                };
                self.entries
                    .insert(key, Entry::Section(Arc::clone(&section)));
            }
            self.forget_if_outdated(Key {
                state: read_state,
                form: None,
            });
            return Ok((read_state, section));
        }
    }

    /// The section that is the current one for the log itself, which asks the store for it where it has to.
    ///
    /// # Errors
    ///
    /// As [`section`](Self::section).
    pub(crate) async fn current(&self) -> Result<(SectionState, Arc<Section>), LogError> {
        let known = self.describe().await?;
        let id = SectionId::containing(known.last, known.log.page_size);
        let (state, section) = self.section(id).await?;
        if !section.archived {
            return Ok((state, section));
        }
        // Others wrote beyond it.
        let section = self.log.current().await?;
        section.check()?;
        let state = SectionState::read(&section, known.n_redacted);
        Ok((state, Arc::new(section)))
    }

    /// The page that was made of the section in its present state, as the request would have it; `None` if it is not there.
    pub(crate) fn page(
        &self,
        id: SectionId,
        known: &LogDescription,
        format: &'static str,
        codings: &AcceptedCodings,
    ) -> Option<Arc<Rendered>> {
        let state = SectionState::of(id, known)?;
        let get = |coding| {
            let form = Some((format, coding));
            match self.entries.get(&Key { state, form }) {
                Some(Entry::Page(page)) => Some(page),
                _ => None,
            }
        };
        let best = codings.best();
        if let Some(made) = get(best) {
            return Some(made);
        }
        if best == Coding::Identity {
            return None;
        }
        // A small one is kept as it is only.
        let made = get(Coding::Identity)?;
        (codings.for_body(made.n_bytes()) == Coding::Identity).then_some(made)
    }

    /// The page that `render` makes of a section in this state, in the coding that `coding` chooses for it; made and coded by one
    /// of those who ask, while the others wait for it.
    ///
    /// # Errors
    ///
    /// Those of coding.
    pub(crate) async fn page_of(
        &self,
        state: SectionState,
        format: &'static str,
        render: impl FnOnce() -> Rendered,
        coding: impl FnOnce(usize) -> Coding,
    ) -> Result<Arc<Rendered>, Problem> {
        let form = Some((format, Coding::Identity));
        let made = async { Ok(Arc::new(render())) };
        let made = self.get_or_make(Key { state, form }, made).await?;
        let coding = coding(made.n_bytes());
        if coding == Coding::Identity {
            return Ok(made);
        }
        let form = Some((format, coding));
        let coded = made.coded(coding);
        self.get_or_make(Key { state, form }, coded).await
    }

    async fn get_or_make(
        &self,
        key: Key,
        make: impl Future<Output = Result<Arc<Rendered>, Problem>>,
    ) -> Result<Arc<Rendered>, Problem> {
        match self.entries.get_value_or_guard_async(&key).await {
            Ok(Entry::Page(page)) => Ok(page),
            Ok(Entry::Section(_)) => make.await,
            Err(guard) => {
                let page = make.await?;
                let _removed = guard.insert(Entry::Page(Arc::clone(&page)));
                self.forget_if_outdated(key);
                Ok(page)
            }
        }
    }

    async fn read(
        &self,
        id: SectionId,
        n_redacted: u64,
    ) -> Result<(SectionState, Arc<Section>), LogError> {
        let section = self.log.section(&id.into()).await?;
        section.check()?;
        let state = SectionState::read(&section, n_redacted);
        Ok((state, Arc::new(section)))
    }

    /// Removes what was read before the cache was cleared, and was inserted after that.
    fn forget_if_outdated(&self, key: Key) {
        if key.state.n_redacted < self.n_redacted.load(Ordering::Acquire) {
            self.entries.remove(&key);
        }
    }

    /// How many notifications of a section are redacted, without reading events where the log knows it.
    ///
    /// # Errors
    ///
    /// As [`section`](Self::section).
    pub(crate) async fn n_redacted_in(
        &self,
        id: SectionId,
        known: &LogDescription,
    ) -> Result<u64, LogError> {
        match known.n_redacted {
            0 => Ok(0),
            _ => self.log.n_redacted_in(id).await,
        }
    }

    /// Waits until the log has something after `after`, at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`NotificationLog::wait`].
    pub(crate) async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
        self.log.wait(after, timeout).await
    }
}

impl fmt::Debug for SectionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SectionCache")
            .field("log", &self.log)
            .field("entries", &self.entries.len())
            .field("weight", &self.entries.weight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use boxes_notification_log::SectionLink;
    use boxes_testing::log_fixture::{FailingLog, Plan, SmallLog};
    use tokio::sync::Notify;

    use super::*;

    const BYTES: u64 = 64 * 1024 * 1024;

    fn cache(log: Arc<dyn NotificationLog>) -> SectionCache {
        SectionCache::new(log, BYTES)
    }

    fn id(text: &str) -> SectionId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_section_is_read_once_in_each_state() {
        let log = SmallLog::with(5, 13).await;
        let counting = Arc::new(FailingLog::new(log.near(), Plan::Never));
        let cache = cache(counting.clone());
        let n_read = || counting.sections_read.load(Ordering::Relaxed);
        for (section, expected) in [("1,5", 1), ("1,5", 1), ("11,15", 2), ("11,15", 2)] {
            cache.section(id(section)).await.unwrap();
            assert_eq!(n_read(), expected, "{section}");
        }
        // The newest one is another one after each commit, and the archived ones stay.
        log.append(1).await;
        let (_, section) = cache.section(id("11,15")).await.unwrap();
        assert_eq!((section.last, n_read()), (Some(14), 3));
        cache.section(id("1,5")).await.unwrap();
        assert_eq!(n_read(), 3);
        // Past the end there is nothing to keep.
        for expected in [4, 5] {
            cache.section(id("16,20")).await.unwrap();
            assert_eq!(n_read(), expected);
        }
    }

    /// A log whose next section waits, once it is read, until it is let go.
    #[derive(Debug)]
    struct Held {
        inner: Arc<dyn NotificationLog>,
        holds: AtomicUsize,
        is_read: Notify,
        goes_on: Notify,
    }

    #[async_trait]
    impl NotificationLog for Held {
        async fn describe(&self) -> Result<LogDescription, LogError> {
            self.inner.describe().await
        }

        async fn current(&self) -> Result<Section, LogError> {
            self.inner.current().await
        }

        async fn section(&self, link: &SectionLink) -> Result<Section, LogError> {
            let section = self.inner.section(link).await;
            if self.holds.swap(0, Ordering::SeqCst) > 0 {
                self.is_read.notify_one();
                self.goes_on.notified().await;
            }
            section
        }

        async fn wait(&self, after: u64, timeout: Duration) -> Result<bool, LogError> {
            self.inner.wait(after, timeout).await
        }
    }

    #[tokio::test]
    async fn what_was_read_before_something_was_redacted_is_not_kept_after_that() {
        let log = SmallLog::with(5, 13).await;
        let held = Arc::new(Held {
            inner: log.near(),
            holds: AtomicUsize::new(1),
            is_read: Notify::new(),
            goes_on: Notify::new(),
        });
        let cache = cache(held.clone());
        let (read, ()) = tokio::join!(cache.section(id("1,5")), async {
            held.is_read.notified().await;
            log.delete(3).await;
            // Another request hears of the deletion, and the cache is cleared.
            assert_eq!(cache.describe().await.unwrap().n_redacted, 1);
            held.goes_on.notify_one();
        });
        let (state, section) = read.unwrap();
        assert!(!section.items[2].event.is_redacted(), "it was read before");
        let page = || Rendered::new(b"personal".to_vec(), "text/plain", http_empty(), None);
        let made = cache.page_of(state, "x", page, |_| Coding::Identity).await;
        assert!(made.is_ok());
        assert_eq!(cache.entries.len(), 0, "{cache:?}");
        let (_, section) = cache.section(id("1,5")).await.unwrap();
        assert!(section.items[2].event.is_redacted());
    }

    fn http_empty() -> axum::http::HeaderValue {
        axum::http::HeaderValue::from_static("")
    }

    #[tokio::test]
    async fn one_that_fails_lets_the_next_one_try() {
        let log = SmallLog::with(5, 13).await;
        let failing = Arc::new(FailingLog::new(log.near(), Plan::EverySecondTime));
        let cache = cache(failing);
        let mut n_read = 0;
        for _ in 0..6 {
            n_read += u32::from(cache.section(id("1,5")).await.is_ok());
        }
        assert!(n_read > 0, "a failure is not kept");
    }

    #[tokio::test]
    async fn it_holds_no_more_bytes_than_it_may() {
        let log = SmallLog::with(5, 500).await;
        let cache = SectionCache::new(log.near(), 64 * 1024);
        for low in (1..=496).step_by(5) {
            let section = format!("{low},{}", low + 4);
            cache.section(id(&section)).await.unwrap();
        }
        assert!(cache.entries.weight() <= 64 * 1024, "{cache:?}");
        assert!(!cache.entries.is_empty());
        let none = SectionCache::new(log.near(), 0);
        assert_eq!(none.section(id("1,5")).await.unwrap().1.items.len(), 5);
        assert!(none.entries.is_empty());
    }
}
