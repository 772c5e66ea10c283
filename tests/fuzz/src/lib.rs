//! What must hold whatever comes: one function of bytes for each border that others can reach.
//!
//! The same functions run in two ways. The suite replays the inputs that are kept (`corpus.rs`) and changes of them, the
//! same in each run, on a stable compiler. `cargo xtask fuzz` lets libFuzzer look for inputs that reach new code, as long
//! as one likes; what it finds is kept.
//!
//! An input is text, as far as that is possible: `message.rs` reads it as HTTP would be written down. `request.rs` and
//! `command.rs` are what a box is asked, `answer.rs` what a reader gets from a log that may be anybody's, `link.rs` where that
//! says that it leads, `stored_event.rs` what lies in a store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a fuzz target fails by panicking"
)]

mod answer;
mod command;
pub mod corpus;
mod link;
mod message;
mod mutation;
mod request;
mod stored_event;

pub use mutation::Mutations;

/// A border, and what must hold there.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the target, and of the folder of its corpus.
    pub name: &'static str,
    /// Runs one input. Panics if what must hold does not.
    pub run: fn(&[u8]),
    /// Words that inputs are likely to be made of.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "request",
        run: request::run,
        words: request::WORDS,
    },
    Target {
        name: "command",
        run: command::run,
        words: command::WORDS,
    },
    Target {
        name: "answer",
        run: answer::run,
        words: answer::WORDS,
    },
    Target {
        name: "link",
        run: link::run,
        words: link::WORDS,
    },
    Target {
        name: "stored_event",
        run: stored_event::run,
        words: stored_event::WORDS,
    },
];

/// Runs one input of the target with this name.
///
/// # Panics
///
/// If there is no such target, or what must hold does not.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("it is a target").run)(data);
}

/// Changes an input of the target with this name once, with its words, as the suite does; the first `size` bytes of `data`
/// are the input. Returns how many are afterwards, at most `max_size` and what `data` has room for.
///
/// # Panics
///
/// If there is no such target.
pub fn change(name: &str, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let target = TARGETS.iter().find(|target| target.name == name);
    let words = target.expect("it is a target").words;
    let mut input = data[..size].to_vec();
    Mutations::of(&[], words, seed.into()).change(&mut input);
    let size = input.len().min(max_size).min(data.len());
    data[..size].copy_from_slice(&input[..size]);
    size
}
