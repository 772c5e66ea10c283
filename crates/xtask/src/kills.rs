//! Kills boxes at random moments, as often as one likes.

use crate::{Outcome, cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many kills
    #[arg(value_name = "KILLS", default_value_t = 1_000)]
    kills: u32,
}

/// The test of the suite, with more kills than the suite has time for.
pub(crate) fn run(options: &Options) -> Outcome {
    let status = cargo()
        .args([
            "test",
            "--package",
            "boxes-tests",
            "--test",
            "kills",
            "--",
            "--nocapture",
        ])
        .env("BOXES_TEST_KILLS", options.kills.to_string())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "something was lost or doubled, or a box did not come back ({status})"
        )),
        Err(error) => Err(format!("cargo can't be started: {error}")),
    }
}
