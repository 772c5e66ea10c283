//! Reading a whole log, page by page.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{Notification, Recorder, RecorderError};

/// How many notifications a page of a scan holds, unless said otherwise.
const DEFAULT_PAGE_NOTIFICATIONS: u16 = 500;

/// What a scan has read: a page of the log, less what was not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedPage {
    /// The notifications that were asked for, in the order of the scan. There may be none.
    pub notifications: Vec<Notification>,
    /// The id of the last notification that was looked at, asked for or not: a scan that begins here goes on where
    /// this page ends.
    pub scanned_to: u64,
}

/// Reads the notifications of a log in order, oldest or newest first, all of them or those of some topics.
///
/// While the caller works on a page, the next one is being read; so at most two pages are in memory, however long
/// the log is. A page is a range of ids, and what is left out of it was looked at: [`ScannedPage::scanned_to`] says how
/// far. The store is asked once for each page, also where the last one is exactly full, and newest first once more for
/// the head.
///
/// Oldest first, a scan ends where the log ended when it got there; what is appended while it runs belongs to it.
/// Newest first, it begins at the head, so its first notification is the most recent one.
///
/// ```
/// # use std::sync::Arc;
/// # use boxes_recorder::{NotificationScan, Recorder, RecorderError};
/// async fn count(recorder: Arc<dyn Recorder>, topic: &str) -> Result<usize, RecorderError> {
///     let mut n_found = 0;
///     let mut scan = NotificationScan::after(recorder, 0).of_topics([topic]);
///     while let Some(page) = scan.next_page().await? {
///         n_found += page.notifications.len();
///     }
///     Ok(n_found)
/// }
/// ```
pub struct NotificationScan {
    recorder: Arc<dyn Recorder>,
    topics: Option<Arc<HashSet<String>>>,
    page_size: u64,
    /// Where the next page begins; `None` when there is none.
    from: Option<PageStart>,
    /// The next page, while it is being read: one task at most. It ends with this value.
    reading: JoinSet<Result<Read, RecorderError>>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy)]
enum PageStart {
    /// At this id, and upwards.
    Up(u64),
    /// At this id, and downwards.
    Down(u64),
    /// At the head, and downwards.
    Head,
}

struct Read {
    page: Option<ScannedPage>,
    next: Option<PageStart>,
}

impl NotificationScan {
    /// Oldest first, from the one after `id` on; 0 for all.
    #[must_use]
    pub fn after(recorder: Arc<dyn Recorder>, id: u64) -> Self {
        // After the last id that there can be, there is nothing.
        Self::new(recorder, id.checked_add(1).map(PageStart::Up))
    }

    /// Newest first, down to the first one.
    #[must_use]
    pub fn newest_first(recorder: Arc<dyn Recorder>) -> Self {
        Self::new(recorder, Some(PageStart::Head))
    }

    /// Newest first, from the one before `id` on.
    #[must_use]
    pub fn before(recorder: Arc<dyn Recorder>, id: u64) -> Self {
        Self::new(recorder, Some(PageStart::Down(id.saturating_sub(1))))
    }

    fn new(recorder: Arc<dyn Recorder>, from: Option<PageStart>) -> Self {
        Self {
            recorder,
            topics: None,
            page_size: DEFAULT_PAGE_NOTIFICATIONS.into(),
            from,
            reading: JoinSet::new(),
        }
    }

    /// Only those of these topics, compared as a whole; none at all if there are none.
    #[must_use]
    pub fn of_topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.topics = Some(Arc::new(topics.into_iter().map(Into::into).collect()));
        self
    }

    /// Pages of so many notifications, counted before topics are chosen; 500 unless said.
    #[must_use]
    pub fn by(mut self, page_size: NonZeroU16) -> Self {
        self.page_size = page_size.get().into();
        self
    }

    /// The next page; `None` at the end.
    ///
    /// Who stops waiting loses nothing: the next call gives the same page.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if the store does not answer: try later, the next call asks for the same page.
    pub async fn next_page(&mut self) -> Result<Option<ScannedPage>, RecorderError> {
        self.read_ahead();
        let read = match self.reading.join_next().await {
            None => return Ok(None),
            Some(Ok(read)) => read?,
            Some(Err(error)) => {
                return Err(RecorderError::unavailable(
                    "reading a page was broken off",
                    error,
                ));
            }
        };
        self.from = read.next;
        self.read_ahead();
        Ok(read.page)
    }

    /// Begins to read the next page, unless that is under way or there is none.
    fn read_ahead(&mut self) {
        let Some(from) = self.from.filter(|_| self.reading.is_empty()) else {
            return;
        };
        let (recorder, topics, page_size) =
            (self.recorder.clone(), self.topics.clone(), self.page_size);
        self.reading.spawn(async move {
            let mut read = from.read(&*recorder, page_size).await?;
            if let (Some(page), Some(topics)) = (&mut read.page, topics) {
                page.notifications
                    .retain(|notification| topics.contains(&*notification.event.topic));
            }
            Ok(read)
        });
    }
}

impl fmt::Debug for NotificationScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotificationScan")
            .field("topics", &self.topics)
            .field("page_size", &self.page_size)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl PageStart {
    async fn read(self, recorder: &dyn Recorder, page_size: u64) -> Result<Read, RecorderError> {
        match self {
            Self::Up(first) => up(recorder, first, page_size).await,
            Self::Down(last) => down(recorder, last, page_size).await,
            Self::Head => down(recorder, recorder.head().await?, page_size).await,
        }
    }
}

/// Asks for one more than the page holds: whether it comes tells whether there is another page.
async fn up(recorder: &dyn Recorder, first: u64, page_size: u64) -> Result<Read, RecorderError> {
    let mut found = recorder
        .select_notifications(first, page_size.saturating_add(1))
        .await?;
    let is_more = u64::try_from(found.len()).is_ok_and(|n_found| n_found > page_size);
    let next = is_more
        .then(|| found.pop())
        .flatten()
        .map(|notification| PageStart::Up(notification.id));
    Ok(Read {
        page: found
            .last()
            .map(|notification| notification.id)
            .map(|scanned_to| ScannedPage {
                notifications: found,
                scanned_to,
            }),
        next,
    })
}

/// Ids are dense, so where a page begins is known, and id 1 is the end.
async fn down(recorder: &dyn Recorder, last: u64, page_size: u64) -> Result<Read, RecorderError> {
    if last == 0 {
        return Ok(Read {
            page: None,
            next: None,
        });
    }
    let before = last.saturating_sub(page_size);
    let first = before.saturating_add(1);
    let mut notifications = recorder.select_notifications(first, last - before).await?;
    notifications.reverse();
    Ok(Read {
        page: Some(ScannedPage {
            notifications,
            scanned_to: first,
        }),
        next: (before > 0).then_some(PageStart::Down(before)),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use uuid::Uuid;

    use super::*;
    use crate::fixture::event;
    use crate::{
        Append, Appended, DEFAULT_PAGE_SIZE, LogIdentity, MemoryRecorder, Position, StoredEvent,
        StreamRange,
    };

    /// Counts how often it is asked, and fails once when told to.
    #[derive(Debug)]
    struct Counting {
        recorder: MemoryRecorder,
        n_asked: AtomicUsize,
        is_failing: AtomicBool,
    }

    impl Counting {
        /// A log of so many notifications; every third one has the topic `test.third`.
        async fn with(n_notifications: u64) -> Arc<Self> {
            let recorder = MemoryRecorder::new(LogIdentity {
                name: "test".to_owned(),
                epoch: Uuid::from_u128(1),
                page_size: DEFAULT_PAGE_SIZE,
            });
            let events = (1..=n_notifications).map(|version| {
                let mut event = event(Uuid::from_u128(7), version);
                if version % 3 == 0 {
                    event.topic = "test.third".into();
                }
                event
            });
            let append = Append::new(events.collect());
            recorder.record(&[append]).await.unwrap()[0]
                .as_ref()
                .unwrap();
            Arc::new(Self {
                recorder,
                n_asked: AtomicUsize::new(0),
                is_failing: AtomicBool::new(false),
            })
        }
    }

    #[async_trait]
    impl Recorder for Counting {
        fn log(&self) -> &LogIdentity {
            self.recorder.log()
        }

        async fn record(
            &self,
            batch: &[Append],
        ) -> Result<Vec<Result<Appended, RecorderError>>, RecorderError> {
            self.recorder.record(batch).await
        }

        async fn select_events(
            &self,
            originator_id: Uuid,
            range: StreamRange,
        ) -> Result<Vec<StoredEvent>, RecorderError> {
            self.recorder.select_events(originator_id, range).await
        }

        async fn select_notifications(
            &self,
            first: u64,
            limit: u64,
        ) -> Result<Vec<Notification>, RecorderError> {
            self.n_asked.fetch_add(1, Ordering::SeqCst);
            if self.is_failing.swap(false, Ordering::SeqCst) {
                return Err(RecorderError::Unavailable {
                    reason: "asked to fail".to_owned(),
                    source: None,
                });
            }
            self.recorder.select_notifications(first, limit).await
        }

        async fn select_event(
            &self,
            event_id: Uuid,
        ) -> Result<Option<Notification>, RecorderError> {
            self.recorder.select_event(event_id).await
        }

        async fn n_redacted(&self) -> Result<u64, RecorderError> {
            self.recorder.n_redacted().await
        }

        async fn n_redacted_in(&self, first: u64, last: u64) -> Result<u64, RecorderError> {
            self.recorder.n_redacted_in(first, last).await
        }

        async fn head(&self) -> Result<u64, RecorderError> {
            self.recorder.head().await
        }

        async fn tracking(&self, follower: &str) -> Result<Option<Position>, RecorderError> {
            self.recorder.tracking(follower).await
        }
    }

    fn by(page_size: u16) -> NonZeroU16 {
        NonZeroU16::new(page_size).unwrap()
    }

    /// For each page the ids, and how far it was scanned.
    async fn pages(mut scan: NotificationScan) -> Vec<(Vec<u64>, u64)> {
        let mut pages = Vec::new();
        while let Some(page) = scan.next_page().await.unwrap() {
            let ids = page.notifications.iter().map(|found| found.id).collect();
            pages.push((ids, page.scanned_to));
        }
        pages
    }

    #[tokio::test]
    async fn a_log_is_read_upwards_and_asked_once_a_page_also_when_the_last_is_exactly_full() {
        for (n_notifications, n_pages) in [(0, 1), (1, 1), (4, 1), (5, 1), (6, 2), (10, 2), (11, 3)]
        {
            let log = Counting::with(n_notifications).await;
            let pages = pages(NotificationScan::after(log.clone(), 0).by(by(5))).await;
            let ids: Vec<u64> = pages.into_iter().flat_map(|(ids, _)| ids).collect();
            assert_eq!(ids, (1..=n_notifications).collect::<Vec<_>>());
            assert_eq!(
                log.n_asked.load(Ordering::SeqCst),
                n_pages,
                "{n_notifications}"
            );
        }
    }

    #[tokio::test]
    async fn a_log_is_read_downwards_from_its_newest() {
        for (n_notifications, n_pages) in [(0, 0), (1, 1), (5, 1), (6, 2), (10, 2)] {
            let log = Counting::with(n_notifications).await;
            let pages = pages(NotificationScan::newest_first(log.clone()).by(by(5))).await;
            let ids: Vec<u64> = pages.into_iter().flat_map(|(ids, _)| ids).collect();
            assert_eq!(ids, (1..=n_notifications).rev().collect::<Vec<_>>());
            assert_eq!(
                log.n_asked.load(Ordering::SeqCst),
                n_pages,
                "{n_notifications}"
            );
        }
    }

    #[tokio::test]
    async fn a_scan_of_topics_says_how_far_it_looked_and_goes_on_from_there() {
        let log = Counting::with(11).await;
        let up = NotificationScan::after(log.clone(), 3).of_topics(["test.third"]);
        assert_eq!(pages(up.by(by(4))).await, [(vec![6], 7), (vec![9], 11)],);
        let down = NotificationScan::before(log.clone(), 6).of_topics(["test.third", "test.none"]);
        assert_eq!(
            pages(down.by(by(2))).await,
            [(vec![], 4), (vec![3], 2), (vec![], 1)],
        );
        let none = NotificationScan::after(log, 0).of_topics([""; 0]);
        assert_eq!(pages(none).await, [(vec![], 11)]);
    }

    #[tokio::test]
    async fn nothing_lies_beyond_the_end_of_a_log() {
        let log = Counting::with(3).await;
        assert_eq!(pages(NotificationScan::after(log.clone(), 3)).await, []);
        assert_eq!(
            pages(NotificationScan::after(log.clone(), u64::MAX)).await,
            []
        );
        assert_eq!(pages(NotificationScan::before(log.clone(), 1)).await, []);
        assert_eq!(pages(NotificationScan::before(log, 0)).await, []);
    }

    #[tokio::test]
    async fn a_page_that_failed_is_asked_for_again() {
        let log = Counting::with(6).await;
        let mut scan = NotificationScan::after(log.clone(), 0).by(by(2));
        log.is_failing.store(true, Ordering::SeqCst);
        assert!(scan.next_page().await.is_err());
        let ids: Vec<u64> = pages(scan)
            .await
            .into_iter()
            .flat_map(|(ids, _)| ids)
            .collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn the_next_page_is_read_while_the_caller_works_and_no_further_one() {
        let log = Counting::with(10).await;
        let mut scan = NotificationScan::after(log.clone(), 0).by(by(2));
        scan.next_page().await.unwrap().unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(log.n_asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_is_appended_during_a_scan_upwards_belongs_to_it() {
        let log = Counting::with(5).await;
        let mut scan = NotificationScan::after(log.clone(), 0).by(by(2));
        scan.next_page().await.unwrap().unwrap();
        let appended = Append::new(vec![event(Uuid::from_u128(8), 1)]);
        log.record(&[appended]).await.unwrap()[0].as_ref().unwrap();
        assert_eq!(pages(scan).await, [(vec![3, 4], 4), (vec![5, 6], 6)]);
    }
}
