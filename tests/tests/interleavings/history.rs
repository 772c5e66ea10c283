//! What may happen to a store, in any order.

use std::num::NonZeroU16;
use std::ops::Bound;

use boxes_recorder::StreamRange;
use proptest::option;
use proptest::prelude::*;

/// The topics of all events: one would not go into a page as it is.
pub(crate) const TOPICS: [&str; 3] = ["orders.placed", "orders.\"odd\"\\tönïc", "orders.paid"];

/// An append, by what it has to do with what is recorded when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) aggregate: u8,
    pub(crate) n_events: u8,
    /// Which version the first one has, counted from the recorded one: 1 is right.
    pub(crate) version: u8,
    pub(crate) step: Option<Step>,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) follower: u8,
    /// Whether it begins where the follower is.
    pub(crate) from_recorded: bool,
    pub(crate) length: u8,
}

#[derive(Debug, Clone)]
pub(crate) enum Reading {
    Current,
    /// The section at this place on the grid.
    Section(u64),
    /// The section of these ids, on the grid or off it.
    Page(u64, u64),
    Slice(Bound<i64>, Bound<i64>),
    /// All that came since one of the readers has last been asked.
    Follow {
        reader: usize,
        by_links: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) replica: usize,
    pub(crate) far: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Both replicas append at the same time, while something is read.
    Append {
        here: Vec<Request>,
        there: Vec<Request>,
        meanwhile: Option<(Place, Reading)>,
    },
    Read(Place, Reading),
    Stream {
        replica: usize,
        aggregate: u8,
        range: StreamRange,
    },
    Scan {
        replica: usize,
        from: u64,
        down: bool,
        page_size: NonZeroU16,
        topics: Option<Vec<usize>>,
    },
    /// A replica comes to know what the other has written.
    Notice {
        replica: usize,
    },
    Restart {
        replica: usize,
        cleanly: bool,
    },
}

fn request() -> impl Strategy<Value = Request> {
    let step = (0..2_u8, prop::bool::weighted(0.8), 1..4_u8);
    let step = step.prop_map(|(follower, from_recorded, length)| Step {
        follower,
        from_recorded,
        length,
    });
    let version = prop_oneof![6 => Just(1_u8), 1 => Just(0), 1 => Just(2), 1 => Just(4)];
    (0..4_u8, 0..4_u8, version, option::weighted(0.3, step)).prop_map(
        |(aggregate, n_events, version, step)| Request {
            aggregate,
            n_events,
            version,
            step,
        },
    )
}

fn bound() -> impl Strategy<Value = Bound<i64>> {
    prop_oneof![
        Just(Bound::Unbounded),
        (-40..40_i64).prop_map(Bound::Included),
        (-40..40_i64).prop_map(Bound::Excluded),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    let follow = |(reader, by_links)| Reading::Follow { reader, by_links };
    prop_oneof![
        1 => Just(Reading::Current),
        2 => (0..12_u64).prop_map(Reading::Section),
        1 => (1..40_u64, 0..6_u64).prop_map(|(low, more)| Reading::Page(low, low + more)),
        1 => (bound(), bound()).prop_map(|(from, to)| Reading::Slice(from, to)),
        2 => (0..2_usize, any::<bool>()).prop_map(follow),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    (0..2_usize, any::<bool>()).prop_map(|(replica, far)| Place { replica, far })
}

fn operation() -> impl Strategy<Value = Operation> {
    let requests = || prop::collection::vec(request(), 0..4);
    let range = (0..6_u64, 0..20_u64, 0..6_u64, any::<bool>());
    let range = range.prop_map(|(after, until, limit, descending)| StreamRange {
        after,
        until,
        limit,
        descending,
        ..StreamRange::ALL
    });
    let topics = option::of(prop::collection::vec(0..TOPICS.len(), 0..3));
    let scan = (0..2_usize, 0..40_u64, any::<bool>(), 1..6_u16, topics);
    prop_oneof![
        4 => (requests(), requests(), option::of((place(), reading())))
            .prop_map(|(here, there, meanwhile)| Operation::Append { here, there, meanwhile }),
        4 => (place(), reading()).prop_map(|(place, reading)| Operation::Read(place, reading)),
        1 => (0..2_usize, 0..4_u8, range)
            .prop_map(|(replica, aggregate, range)| Operation::Stream { replica, aggregate, range }),
        1 => scan.prop_map(|(replica, from, down, page_size, topics)| Operation::Scan {
            replica,
            from,
            down,
            page_size: NonZeroU16::new(page_size).unwrap(),
            topics,
        }),
        1 => (0..2_usize).prop_map(|replica| Operation::Notice { replica }),
        1 => (0..2_usize, any::<bool>())
            .prop_map(|(replica, cleanly)| Operation::Restart { replica, cleanly }),
    ]
}

pub(crate) fn history() -> impl Strategy<Value = (u32, Vec<Operation>)> {
    (1..6_u32, prop::collection::vec(operation(), 1..30))
}
