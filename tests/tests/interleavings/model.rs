//! What a log has to be: a list, written down as plainly as possible.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;

use boxes_notification_log::{Section, SectionId, SectionLink};
use boxes_recorder::{
    Append, LogIdentity, Notification, Position, RecorderError, StoredEvent, StreamRange,
};
use uuid::Uuid;

/// The log as it is said to be in the contract, without any of the code that is tested.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) log: LogIdentity,
    events: Vec<StoredEvent>,
    positions: BTreeMap<String, Position>,
}

/// What comes of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Recorded(Range<u64>),
    VersionConflict {
        originator_id: Uuid,
        version: u64,
        recorded: u64,
    },
    TrackingMoved {
        recorded: Option<Position>,
    },
}

impl From<Result<Range<u64>, RecorderError>> for Outcome {
    fn from(result: Result<Range<u64>, RecorderError>) -> Self {
        match result {
            Ok(ids) => Self::Recorded(ids),
            Err(RecorderError::VersionConflict {
                originator_id,
                version,
                recorded,
            }) => Self::VersionConflict {
                originator_id,
                version,
                recorded,
            },
            Err(RecorderError::TrackingMoved { recorded, .. }) => Self::TrackingMoved { recorded },
            Err(other) => panic!("nothing else was to be expected: {other}"),
        }
    }
}

impl Model {
    pub(crate) fn new(log: LogIdentity) -> Self {
        Self {
            log,
            events: Vec::new(),
            positions: BTreeMap::new(),
        }
    }

    pub(crate) fn head(&self) -> u64 {
        self.events.len().try_into().unwrap()
    }

    pub(crate) fn page_size(&self) -> u64 {
        self.log.page_size.get().into()
    }

    pub(crate) fn version(&self, originator_id: Uuid) -> u64 {
        let of_it = self.events.iter();
        let of_it = of_it.filter(|event| event.originator_id == originator_id);
        of_it.count().try_into().unwrap()
    }

    pub(crate) fn position(&self, follower: &str) -> Option<Position> {
        self.positions.get(follower).copied()
    }

    /// Records an append, or says why not; then nothing has changed.
    pub(crate) fn append(&mut self, append: &Append) -> Outcome {
        if let Some(step) = &append.tracking {
            let recorded = self.position(&step.follower);
            if recorded != step.from {
                return Outcome::TrackingMoved { recorded };
            }
        }
        let before = self.events.len();
        for event in &append.events {
            let recorded = self.version(event.originator_id);
            if event.originator_version != recorded + 1 {
                self.events.truncate(before);
                return Outcome::VersionConflict {
                    originator_id: event.originator_id,
                    version: event.originator_version,
                    recorded,
                };
            }
            self.events.push(event.clone());
        }
        if let Some(step) = &append.tracking {
            self.positions
                .insert(step.follower.clone(), step.position());
        }
        Outcome::Recorded(u64::try_from(before).unwrap() + 1..self.head() + 1)
    }

    /// Those of the ids that there are.
    pub(crate) fn notifications(&self, ids: Range<u64>) -> Vec<Notification> {
        let numbered = (1..).zip(&self.events);
        let chosen = numbered.filter(|(id, _)| ids.contains(id));
        let notification = |(id, event): (u64, &StoredEvent)| Notification {
            id,
            event: event.clone(),
        };
        chosen.map(notification).collect()
    }

    pub(crate) fn stream(&self, originator_id: Uuid, range: StreamRange) -> Vec<StoredEvent> {
        let mut stream = self.events.clone();
        stream.retain(|event| {
            event.originator_id == originator_id
                && event.originator_version > range.after
                && event.originator_version <= range.until
        });
        if range.descending {
            stream.reverse();
        }
        stream.truncate(range.limit.try_into().unwrap_or(usize::MAX));
        stream
    }

    /// The section at `low`, which is on the grid, as it was when the log ended at `head`.
    pub(crate) fn section(&self, low: u64, head: u64) -> Section {
        let high = low + self.page_size() - 1;
        let link = |low: u64| {
            let id = format!("{},{}", low, low + self.page_size() - 1);
            SectionLink {
                id: id.parse().unwrap(),
                href: None,
            }
        };
        let archived = high < head;
        Section {
            log: self.log.clone(),
            id: link(low).id,
            archived,
            items: self.notifications(low..(high.min(head) + 1)),
            previous: (low > 1).then(|| link(low - self.page_size())),
            next: archived.then(|| link(high + 1)),
            last: (!archived).then_some(head),
        }
    }

    /// Where the current section begins when the log ends at `head`.
    pub(crate) fn current(&self, head: u64) -> u64 {
        (head.max(1) - 1) / self.page_size() * self.page_size() + 1
    }

    /// What a page that is none of this log's is refused with; `None` for one that is.
    pub(crate) fn refusal(&self, id: SectionId) -> Option<String> {
        let (n, length) = (self.page_size(), id.high() - id.low() + 1);
        if length != n {
            return Some(format!(
                "a section of this log holds {n} notifications, not {length}"
            ));
        }
        let low = self.current(id.low());
        (low != id.low()).then(|| {
            format!(
                "sections of this log hold {n} notifications: the one with notification {} is {low},{}",
                id.low(),
                low + n - 1
            )
        })
    }
}

/// The identity of the log of a test.
pub(crate) fn identity(page_size: NonZeroU32) -> LogIdentity {
    LogIdentity {
        name: "orders".to_owned(),
        epoch: Uuid::from_u128(0x5b0c),
        page_size,
    }
}
