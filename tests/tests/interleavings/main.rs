//! Whatever is appended, read and restarted in whatever order: the log is the list of what was recorded.
//!
//! Random histories run against two replicas on one store, near and over HTTP, and beside a model (`model.rs`). A
//! replica may be late in noticing what the other has written, so what it shows is compared with the log as it was at
//! some head: not older than it has shown before, not newer than what is recorded. Appends of both replicas run at
//! the same time, and there has to be an order of them that explains every answer.
//!
//! A history that once failed stays in `tests/regressions` and is run first. `PROPTEST_CASES=1000` runs more of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod history;
mod model;
mod replica;

use std::borrow::Cow;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Bound;
use std::sync::Arc;

use boxes_notification_log::{
    LogError, LogSlice, Navigation, NotificationLog, NotificationLogReader, Section, SectionId,
};
use boxes_recorder::{
    Append, Encoding, Notification, NotificationScan, Position, StoredEvent, Tracking,
};
use bytes::Bytes;
use futures::future::join_all;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use uuid::Uuid;

use history::{Operation, Place, Reading, Request, TOPICS, history};
use model::{Model, Outcome, identity};
use replica::{Replica, Store};

/// How many histories are tried, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 24;

fn config() -> Config {
    let persistence = FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/regressions/interleavings.txt"
    ));
    let mut config = Config {
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_log_in_memory_is_what_was_recorded_in_whatever_order((page_size, operations) in history()) {
        run(Store::memory, page_size, operations);
    }

    #[test]
    fn a_log_in_a_file_is_what_was_recorded_in_whatever_order((page_size, operations) in history()) {
        run(Store::sqlite, page_size, operations);
    }
}

fn run(
    store: fn(boxes_recorder::LogIdentity) -> Store,
    page_size: u32,
    operations: Vec<Operation>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let log = identity(NonZeroU32::new(page_size).unwrap());
        let mut trial = Trial::start(store(log.clone()), Model::new(log)).await;
        for operation in operations {
            trial.run(operation).await;
        }
        trial.ends_well().await;
    });
}

/// Two replicas on one store, and what they have to show.
struct Trial {
    store: Store,
    model: Model,
    replicas: [Replica; 2],
    /// How far those who follow the log have come, wherever they ask next.
    readers: [Option<Position>; 2],
    n_appends: u64,
}

impl Trial {
    async fn start(store: Store, model: Model) -> Self {
        let replicas = [Replica::start(&store).await, Replica::start(&store).await];
        Self {
            store,
            model,
            replicas,
            readers: [None; 2],
            n_appends: 0,
        }
    }

    async fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Append {
                here,
                there,
                meanwhile,
            } => self.append(&here, &there, meanwhile).await,
            Operation::Read(place, reading) => {
                let read = self.reading(&place, &reading).await;
                self.check(&place, &reading, read);
            }
            Operation::Stream {
                replica,
                aggregate,
                range,
            } => {
                let recorder = self.replicas[replica].recorder();
                let id = originator_id(aggregate);
                let read = recorder.select_events(id, range).await.unwrap();
                assert_eq!(read, self.model.stream(id, range));
            }
            Operation::Scan {
                replica,
                from,
                down,
                page_size,
                topics,
            } => self.scan(replica, from, down, page_size, topics).await,
            Operation::Notice { replica } => {
                self.replicas[replica].notices(self.model.head()).await;
            }
            Operation::Restart { replica, cleanly } => {
                self.replicas[replica].restart(&self.store, cleanly).await;
                assert_eq!(self.replicas[replica].floor, self.model.head());
            }
        }
    }

    async fn append(
        &mut self,
        here: &[Request],
        there: &[Request],
        meanwhile: Option<(Place, Reading)>,
    ) {
        let mut appends = Vec::new();
        for (replica, requests) in [here, there].into_iter().enumerate() {
            for request in requests {
                self.n_appends += 1;
                appends.push((replica, self.to_append(request)));
            }
        }
        let answers = appends.iter().map(|(replica, append)| {
            let writer = &self.replicas[*replica].writer;
            async {
                Outcome::from(
                    writer
                        .append(append.clone())
                        .await
                        .map(|appended| appended.ids),
                )
            }
        });
        let reading = async {
            match &meanwhile {
                Some((place, reading)) => Some(self.reading(place, reading).await),
                None => None,
            }
        };
        let (answers, read) = tokio::join!(join_all(answers), reading);
        let answered: Vec<_> = appends.into_iter().zip(answers).collect();
        let recorded_by: [u64; 2] = [0, 1].map(|replica| {
            let of_it = answered.iter().filter(|((by, _), _)| *by == replica);
            let ends = of_it.filter_map(|(_, outcome)| match outcome {
                Outcome::Recorded(ids) => Some(ids.end - 1),
                _ => None,
            });
            ends.max().unwrap_or(0)
        });
        self.explain(
            answered
                .into_iter()
                .map(|((_, append), outcome)| (append, outcome)),
        );
        if let (Some((place, reading)), Some(read)) = (meanwhile, read) {
            self.check(&place, &reading, read);
        }
        for (replica, newest) in self.replicas.iter_mut().zip(recorded_by) {
            // What it has written itself it shows from now on.
            replica.floor = replica.floor.max(newest);
        }
    }

    /// Finds an order of the appends in which the model answers the same.
    fn explain(&mut self, answered: impl Iterator<Item = (Append, Outcome)>) {
        let (mut recorded, mut refused) = (Vec::new(), Vec::new());
        for (append, outcome) in answered {
            match outcome {
                Outcome::Recorded(ids) => recorded.push((append, ids)),
                other => refused.push((append, other)),
            }
        }
        // Those without events have no place of their own: they come before what got the id that comes next.
        recorded.sort_by_key(|(append, ids)| {
            let to = append.tracking.as_ref().map(|step| step.to);
            (ids.start, ids.end, to)
        });
        let mut moments = vec![self.model.clone()];
        for (append, ids) in recorded {
            assert_eq!(self.model.append(&append), Outcome::Recorded(ids));
            moments.push(self.model.clone());
        }
        for (append, outcome) in refused {
            let explained = moments
                .iter()
                .any(|moment| moment.clone().append(&append) == outcome);
            assert!(explained, "nothing explains {outcome:?} of {append:?}");
        }
    }

    fn to_append(&self, request: &Request) -> Append {
        let id = originator_id(request.aggregate);
        let first = self.model.version(id) + u64::from(request.version);
        let versions = first.max(1)..first.max(1) + u64::from(request.n_events);
        let event = |version| event(id, version, self.n_appends);
        let append = Append::new(versions.map(event).collect());
        let Some(step) = &request.step else {
            return append;
        };
        let follower = format!("follower-{}", step.follower);
        let recorded = self.model.position(&follower);
        let from = if step.from_recorded { recorded } else { None };
        append.with_tracking(Tracking {
            follower,
            epoch: Uuid::from_u128(0xfa),
            from,
            to: from.map_or(0, |position| position.id) + u64::from(step.length),
            event_id: None,
        })
    }

    fn log(&self, place: &Place) -> Arc<dyn NotificationLog> {
        let replica = &self.replicas[place.replica];
        Arc::clone(if place.far {
            &replica.far
        } else {
            &replica.near
        })
    }

    async fn reading(&self, place: &Place, reading: &Reading) -> Read {
        let log = self.log(place);
        match reading {
            Reading::Current => Read::Section(log.current().await),
            Reading::Section(_) | Reading::Page(..) => {
                let id = self.section_id(reading);
                Read::Section(log.section(&id.into()).await)
            }
            Reading::Slice(from, to) => {
                let slice = LogSlice::of(log, (*from, *to)).await.unwrap();
                Read::Notifications(slice.collect().await.unwrap())
            }
            Reading::Follow { reader, by_links } => {
                let navigation = if *by_links {
                    Navigation::Links
                } else {
                    Navigation::Jump
                };
                let reader = NotificationLogReader::new(log, self.readers[*reader]);
                let mut reader = reader.with_navigation(navigation);
                let mut found = Vec::new();
                loop {
                    let batch = reader.next_batch().await.unwrap();
                    let is_end = batch.is_empty() && !reader.has_more();
                    found.extend(batch);
                    if is_end {
                        break Read::Notifications(found);
                    }
                }
            }
        }
    }

    fn section_id(&self, reading: &Reading) -> SectionId {
        let n = self.model.page_size();
        let (low, high) = match reading {
            Reading::Section(place) => (place * n + 1, (place + 1) * n),
            Reading::Page(low, high) => (*low, *high),
            other => panic!("{other:?} names no section"),
        };
        format!("{low},{high}").parse().unwrap()
    }

    /// Whether what was read is the log as it was at some head.
    fn check(&mut self, place: &Place, reading: &Reading, read: Read) {
        let heads = self.replicas[place.replica].floor..=self.model.head();
        match (reading, read) {
            (Reading::Current, Read::Section(section)) => {
                let section = without_addresses(section.unwrap());
                let expected =
                    |head: &u64| section == self.model.section(self.model.current(*head), *head);
                let head = heads.clone().find(expected);
                let head = head.unwrap_or_else(|| panic!("at no head of {heads:?}: {section:?}"));
                self.shown(place, head);
            }
            (Reading::Section(_) | Reading::Page(..), Read::Section(section)) => {
                let id = self.section_id(reading);
                if let Some(refusal) = self.model.refusal(id) {
                    assert_eq!(section.unwrap_err().to_string(), refusal);
                    return;
                }
                let section = without_addresses(section.unwrap());
                let expected = |head: &u64| section == self.model.section(id.low(), *head);
                let head = heads.clone().find(expected);
                let head = head.unwrap_or_else(|| panic!("at no head of {heads:?}: {section:?}"));
                self.shown(place, head);
            }
            (Reading::Slice(from, to), Read::Notifications(found)) => {
                let expected = |head: &u64| found == self.slice(*from, *to, *head);
                assert!(
                    heads.clone().any(|head| expected(&head)),
                    "at no head of {heads:?}: {found:?}"
                );
            }
            (Reading::Follow { reader, .. }, Read::Notifications(found)) => {
                let position = self.readers[*reader].map_or(0, |position| position.id);
                let end = found.last().map_or(position, |newest| newest.id);
                assert_eq!(found, self.model.notifications(position + 1..end + 1));
                assert!(
                    end >= *heads.start() && end <= *heads.end(),
                    "{end} of {heads:?}"
                );
                self.readers[*reader] = Some(Position::new(self.model.log.epoch, end));
                self.shown(place, end);
            }
            (reading, read) => panic!("{read:?} is no answer to {reading:?}"),
        }
    }

    fn shown(&mut self, place: &Place, head: u64) {
        let floor = &mut self.replicas[place.replica].floor;
        *floor = (*floor).max(head);
    }

    /// What a slice of a list in Python has, counted by trying every place.
    fn slice(&self, from: Bound<i64>, to: Bound<i64>, head: u64) -> Vec<Notification> {
        let length = i64::try_from(head).unwrap();
        let place = |number: i64| if number < 0 { number + length } else { number };
        let chosen = |at: i64| {
            let after_start = match from {
                Bound::Included(number) => at >= place(number),
                Bound::Excluded(number) => at > place(number),
                Bound::Unbounded => true,
            };
            let before_end = match to {
                Bound::Included(number) => at <= place(number),
                Bound::Excluded(number) => at < place(number),
                Bound::Unbounded => true,
            };
            after_start && before_end
        };
        let mut all = self.model.notifications(1..head + 1);
        all.retain(|notification| chosen(i64::try_from(notification.id).unwrap() - 1));
        all
    }

    async fn scan(
        &self,
        replica: usize,
        from: u64,
        down: bool,
        page_size: NonZeroU16,
        topics: Option<Vec<usize>>,
    ) {
        let recorder = self.replicas[replica].recorder();
        let scan = if down {
            NotificationScan::before(recorder, from)
        } else {
            NotificationScan::after(recorder, from)
        };
        let topics = topics.map(|topics| topics.into_iter().map(|n| TOPICS[n]).collect::<Vec<_>>());
        let mut scan = match &topics {
            Some(topics) => scan.of_topics(topics.iter().copied()).by(page_size),
            None => scan.by(page_size),
        };
        let mut found = Vec::new();
        while let Some(page) = scan.next_page().await.unwrap() {
            found.extend(page.notifications);
        }
        let ids = if down { 1..from } else { from + 1..u64::MAX };
        let mut expected = self.model.notifications(ids);
        expected.retain(|n| topics.as_ref().is_none_or(|t| t.contains(&&*n.event.topic)));
        if down {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }

    /// In the end everybody has the same.
    async fn ends_well(mut self) {
        let head = self.model.head();
        for replica in 0..2 {
            self.replicas[replica].notices(head).await;
            for far in [false, true] {
                let place = Place { replica, far };
                let everything = Reading::Slice(Bound::Unbounded, Bound::Unbounded);
                for reading in [Reading::Current, everything] {
                    let read = self.reading(&place, &reading).await;
                    self.check(&place, &reading, read);
                }
            }
            for follower in ["follower-0", "follower-1"] {
                let position = self.replicas[replica].recorder().tracking(follower).await;
                assert_eq!(position.unwrap(), self.model.position(follower));
            }
        }
    }
}

#[derive(Debug)]
enum Read {
    Section(Result<Section, LogError>),
    Notifications(Vec<Notification>),
}

/// The section as a log in this process would give it.
fn without_addresses(mut section: Section) -> Section {
    for link in [&mut section.previous, &mut section.next]
        .into_iter()
        .flatten()
    {
        link.href = None;
    }
    section
}

fn originator_id(aggregate: u8) -> Uuid {
    Uuid::from_u128(0xa0 + u128::from(aggregate))
}

/// An event that is no other's: the versions of an aggregate may be tried again, and the events differ.
fn event(originator_id: Uuid, version: u64, n_append: u64) -> StoredEvent {
    let place = usize::try_from(version).unwrap();
    let (encoding, state) = if version.is_multiple_of(3) {
        let bytes = vec![0, 255, b'"', n_append.to_be_bytes()[7]];
        (Encoding::new("json+zlib"), Bytes::from(bytes))
    } else {
        let text = format!(r#"{{"append": {n_append}, "text":"\u0000 <ö> \"" }}"#);
        (Encoding::JSON, Bytes::from(text))
    };
    StoredEvent {
        event_id: Uuid::new_v5(&originator_id, format!("{version} {n_append}").as_bytes()),
        originator_id,
        originator_version: version,
        topic: Cow::Borrowed(TOPICS[place % TOPICS.len()]),
        schema_version: 1 + u32::try_from(n_append % 2).unwrap(),
        encoding,
        state,
        metadata: Bytes::from(format!(r#"{{"correlation_id":"{n_append}"}}"#)),
        occurred_on: Timestamp::from_microsecond(1_795_446_000_123_456).unwrap(),
    }
}
