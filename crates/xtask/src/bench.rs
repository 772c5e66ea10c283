//! Measures, and prints each figure beside what it is compared with.

use crate::{Outcome, cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Handed on to the benchmarks
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<String>,
}

/// Runs the workspace's benchmarks, optimised, one after the other.
pub(crate) fn run(options: &Options) -> Outcome {
    let status = cargo()
        .args(["bench", "--workspace", "--benches", "--"])
        .args(&options.arguments)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the benchmarks failed ({status})")),
        Err(error) => Err(format!("cargo can't be started: {error}")),
    }
}
