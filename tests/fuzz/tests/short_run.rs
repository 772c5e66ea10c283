//! Every target with what is kept, and with a number of changes of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use boxes_fuzz::{Mutations, TARGETS, Target, corpus};

/// How many changed inputs are tried, unless `BOXES_TEST_FUZZ_INPUTS` says otherwise.
const N_INPUTS: usize = 2_000;

/// What is kept, and what it is called in a message.
fn corpus(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let named = corpus::named(target.name).unwrap();
    assert!(!named.is_empty());
    let found = corpus::found(target.name).unwrap().into_iter();
    let found = (1..).zip(found);
    let found = found.map(|(line, input)| (format!("line {line} of {}.found", target.name), input));
    named.into_iter().chain(found).collect()
}

fn n_inputs() -> usize {
    match std::env::var("BOXES_TEST_FUZZ_INPUTS") {
        Ok(number) => number.replace('_', "").parse().unwrap(),
        Err(_) => N_INPUTS,
    }
}

fn run(target: &Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!(
            "{} fails with {what}; keep it in corpus/{}:\n{}",
            target.name,
            target.name,
            input.escape_ascii()
        );
    }
}

fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    for (name, input) in &corpus {
        run(target, input, name);
    }
    let inputs: Vec<_> = corpus.into_values().collect();
    for input in Mutations::of(&inputs, target.words, 1).take(n_inputs()) {
        run(target, &input, "a changed input");
    }
}

#[test]
fn whatever_is_asked_is_answered_as_the_contract_says() {
    holds("request");
}

#[test]
fn whatever_is_accepted_is_in_the_log_as_it_was_sent() {
    holds("command");
}

#[test]
fn whatever_a_log_answers_is_a_whole_section_or_an_error() {
    holds("answer");
}

#[test]
fn whatever_a_link_header_says_is_read_by_its_grammar_or_not_at_all() {
    holds("link");
}

#[test]
fn whatever_lies_in_a_store_is_an_event_or_refused() {
    holds("stored_event");
}

#[test]
fn every_target_is_run_here_and_by_the_fuzzer() {
    assert_eq!(TARGETS.len(), 5, "a target is new: add its test here");
    for target in TARGETS {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)));
        let program = folder.join(format!("fuzz_targets/{}.rs", target.name));
        let program = std::fs::read_to_string(program).unwrap();
        assert!(program.contains(&format!("boxes_fuzz::run(\"{}\", data)", target.name)));
    }
}
