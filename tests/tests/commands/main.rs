//! Every command of every document runs as it is written.
//!
//! A fenced block in `sh` or `console` is run by bash, line by line as a reader would type it, with the program `shop` on the path
//! and the four boxes with their real orders at <http://127.0.0.1:8080>. A block that needs what a test does not have (systemd, containers, the
//! internet) has a comment before it that says so: `<!-- not run: needs systemd -->`.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

mod block;
mod stage;

use block::{Block, documents};
use stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_every_document_runs() {
    let stage = Stage::set().await;
    let mut failures = wrong_commands_that_pass(&stage).await;
    let mut n_run = 0;
    for document in documents() {
        // A reader stays in one folder from the first block to the last.
        let folder = tempfile::tempdir().unwrap();
        for block in Block::all_of(&document) {
            if block.not_run.is_none() {
                n_run += 1;
                failures.extend(stage.run(&block, folder.path()).await.err());
            }
        }
    }
    assert!(n_run >= 5, "only {n_run} blocks were run");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The check itself: commands that fail in one of the ways in which a document may be wrong.
async fn wrong_commands_that_pass(stage: &Stage) -> Vec<String> {
    let mut passed = Vec::new();
    for wrong in [
        "false",
        "shop serve nowhere",
        "shop --no-such-setting",
        "curl -s http://127.0.0.1:8080/orders/nowhere",
        "curl -s http://127.0.0.1:8080/nowhere | cat",
        "echo \"$NEVER_SET\"",
    ] {
        let block = Block {
            place: "a document".to_owned(),
            commands: wrong.to_owned(),
            not_run: None,
        };
        let folder = tempfile::tempdir().unwrap();
        if stage.run(&block, folder.path()).await.is_ok() {
            passed.push(format!("not noticed: {wrong}"));
        }
    }
    passed
}

#[test]
fn a_block_that_is_not_run_has_a_reason() {
    for document in documents() {
        for block in Block::all_of(&document) {
            let is_told = block.not_run.is_none_or(|reason| reason.len() > 10);
            assert!(is_told, "{}", block.place);
        }
    }
}
