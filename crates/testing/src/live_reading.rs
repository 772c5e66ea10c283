//! A reader that follows a log while others write it, and the proof that it missed nothing.

use std::fmt;
use std::time::Duration;

use boxes_recorder::{Recorder, RecorderError};
use uuid::Uuid;

/// How many notifications are asked for at once.
const PAGE: u64 = 1_000;

/// How long a reader at the end of the log waits before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// What a reader has read of a log, and in which order.
///
/// It reads as every follower does: from notification 1, then on from the one behind the last that it read, and never back. So
/// what becomes visible behind it is lost to it, as it would be to a follower, and [`check`](Self::check) says so.
///
/// Hold a store of your own to it while your writers are at work:
///
/// ```
/// use boxes_recorder::{Append, DEFAULT_PAGE_SIZE, Encoding, LogIdentity, MemoryRecorder, Recorder, StoredEvent};
/// use boxes_testing::LiveReading;
/// use uuid::Uuid;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let log = LogIdentity { name: "test".to_owned(), epoch: Uuid::from_u128(1), page_size: DEFAULT_PAGE_SIZE };
/// let recorder = MemoryRecorder::new(log);
/// let event = StoredEvent {
///     event_id: Uuid::from_u128(7),
///     originator_id: Uuid::from_u128(2),
///     originator_version: 1,
///     topic: "test.happened".into(),
///     schema_version: 1,
///     encoding: Encoding::JSON,
///     state: "{}".into(),
///     metadata: "{}".into(),
///     occurred_on: jiff::Timestamp::UNIX_EPOCH,
/// };
/// let appended = recorder.record(&[Append::new(vec![event])]).await.unwrap().remove(0).unwrap();
///
/// let mut reading = LiveReading::default();
/// reading.read_until(&recorder, || true).await.unwrap();
/// reading.check(&[(appended.ids.start, Uuid::from_u128(7))]).unwrap();
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct LiveReading {
    /// Notification and event, as they came: small, because ten million of them are kept.
    seen: Vec<(u64, Uuid)>,
}

impl LiveReading {
    /// Reads what comes next, at most 1000 notifications, and says how many there were: 0 at the end of the log.
    ///
    /// # Errors
    ///
    /// What the recorder says. Nothing is lost then: call it again.
    pub async fn read_on(&mut self, recorder: &dyn Recorder) -> Result<usize, RecorderError> {
        let next = self.seen.last().map_or(1, |(last, _)| last + 1);
        let found = recorder.select_notifications(next, PAGE).await?;
        let read = found.iter().map(|found| (found.id, found.event.event_id));
        self.seen.extend(read);
        Ok(found.len())
    }

    /// Reads the log as it grows, until it is at the end after `ended` said that nobody writes any more.
    ///
    /// It waits as long as that takes: bound it with a timeout.
    ///
    /// # Errors
    ///
    /// What the recorder says. Nothing is lost then: call it again.
    pub async fn read_until(
        &mut self,
        recorder: &dyn Recorder,
        ended: impl Fn() -> bool,
    ) -> Result<(), RecorderError> {
        loop {
            // Asked before it is read: what is written between the two is read in the next round.
            let last_round = ended();
            if self.read_on(recorder).await? > 0 {
                continue;
            }
            if last_round {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The notification ids and event ids that were read, in the order of reading.
    #[must_use]
    pub fn seen(&self) -> &[(u64, Uuid)] {
        &self.seen
    }

    /// Whether every event that was acknowledged, in whatever order, was read under its id, and all that was read came once, in
    /// order, without a hole.
    ///
    /// More may have been read than was acknowledged: a writer that was killed may have recorded what it told nobody.
    ///
    /// # Errors
    ///
    /// The first flaw, in the order of [`LogFlaw`]'s variants.
    pub fn check(&self, acknowledged: &[(u64, Uuid)]) -> Result<(), LogFlaw> {
        for pair in self.seen.windows(2) {
            if let [(after, _), (id, _)] = *pair
                && id <= after
            {
                return Err(LogFlaw::Disordered { id, after });
            }
        }
        for &(id, acknowledged) in acknowledged {
            let read = self.seen.binary_search_by_key(&id, |(id, _)| *id);
            let read = read.ok().and_then(|index| self.seen.get(index));
            match read {
                None => {
                    return Err(LogFlaw::Missed {
                        id,
                        event_id: acknowledged,
                    });
                }
                Some(&(_, read)) if read != acknowledged => {
                    return Err(LogFlaw::Replaced {
                        id,
                        acknowledged,
                        read,
                    });
                }
                Some(_) => {}
            }
        }
        let mut events: Vec<Uuid> = self.seen.iter().map(|(_, event_id)| *event_id).collect();
        events.sort_unstable();
        for pair in events.windows(2) {
            if let [one, other] = *pair
                && one == other
            {
                return Err(LogFlaw::Repeated { event_id: one });
            }
        }
        for (expected, &(found, _)) in (1..).zip(&self.seen) {
            if found != expected {
                return Err(LogFlaw::Hole { expected, found });
            }
        }
        Ok(())
    }
}

/// What is wrong with what a reader saw of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFlaw {
    /// A notification came after one with an id that is not smaller.
    Disordered {
        /// Its id.
        id: u64,
        /// The id of the one before it.
        after: u64,
    },
    /// An event is committed, and the reader went past it before it could be seen.
    Missed {
        /// The id of its notification.
        id: u64,
        /// The event.
        event_id: Uuid,
    },
    /// Under the id of an event that was acknowledged stands another one.
    Replaced {
        /// The id of the notification.
        id: u64,
        /// The event that was acknowledged.
        acknowledged: Uuid,
        /// The event that was read.
        read: Uuid,
    },
    /// An event was read under two ids.
    Repeated {
        /// The event.
        event_id: Uuid,
    },
    /// An id was never given, or the reader went past an event that nobody acknowledged.
    Hole {
        /// The id that comes next.
        expected: u64,
        /// The id that came.
        found: u64,
    },
}

impl fmt::Display for LogFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disordered { id, after } => {
                write!(f, "notification {id} was read after notification {after}")
            }
            Self::Missed { id, event_id } => write!(
                f,
                "notification {id} with event {event_id} is committed and was never read: it became visible behind the reader"
            ),
            Self::Replaced {
                id,
                acknowledged,
                read,
            } => write!(
                f,
                "event {acknowledged} was acknowledged as notification {id}, where event {read} was read"
            ),
            Self::Repeated { event_id } => write!(f, "event {event_id} was read twice"),
            Self::Hole { expected, found } => {
                write!(
                    f,
                    "notification {found} was read where {expected} comes next"
                )
            }
        }
    }
}

impl std::error::Error for LogFlaw {}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    fn check(seen: &[(u64, Uuid)], acknowledged: &[(u64, Uuid)]) -> Result<(), LogFlaw> {
        let seen = seen.to_vec();
        LiveReading { seen }.check(acknowledged)
    }

    #[test]
    fn what_was_read_once_in_order_without_a_hole_has_no_flaw() {
        check(&[(1, ONE), (2, TWO)], &[(2, TWO), (1, ONE)]).unwrap();
        // A writer that was killed told nobody of the second.
        check(&[(1, ONE), (2, TWO)], &[(1, ONE)]).unwrap();
        check(&[], &[]).unwrap();
    }

    #[test]
    fn each_flaw_is_told_from_the_others() {
        let flaw = |seen: &[_], acknowledged: &[_]| check(seen, acknowledged).unwrap_err();
        let (id, after) = (1, 2);
        assert_eq!(
            flaw(&[(2, TWO), (1, ONE)], &[]),
            LogFlaw::Disordered { id, after }
        );
        let event_id = ONE;
        assert_eq!(
            flaw(&[(2, TWO)], &[(2, TWO), (1, ONE)]),
            LogFlaw::Missed { id, event_id }
        );
        let (acknowledged, read) = (ONE, TWO);
        assert_eq!(
            flaw(&[(1, TWO)], &[(1, ONE)]),
            LogFlaw::Replaced {
                id,
                acknowledged,
                read
            }
        );
        assert_eq!(
            flaw(&[(1, ONE), (2, ONE)], &[]),
            LogFlaw::Repeated { event_id }
        );
        let (expected, found) = (2, 3);
        assert_eq!(
            flaw(&[(1, ONE), (3, TWO)], &[]),
            LogFlaw::Hole { expected, found }
        );
    }
}
