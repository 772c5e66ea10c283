//! The project's tasks: `cargo xtask help` lists them.
//!
//! One task a file: `test` is what a change has to pass, `services` runs the example boxes as four processes,
//! `kills` is one test of it at length, `fuzz` another, `bench` measures, and `tools` knows what these need from outside and how it is installed.
//! `servers` is what the tests find beside them: databases (`boxes-test-servers`), the environments of `python`. A task that needs another program adds it to `tools`, and asks for
//! it by name.

mod apt;
mod bench;
mod fuzz;
mod kills;
mod python;
mod servers;
mod services;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs everything that a change has to pass: format, lints, build, tests, examples in docs, docs
    Test(test::Options),
    /// Runs the example boxes as four processes that follow each other over HTTP, until ctrl-c
    Services(services::Options),
    /// Kills boxes at random moments while orders flow, as often as one likes; the test suite does it 50 times
    Kills(kills::Options),
    /// Looks for inputs that break what must hold at the borders of a box, with libFuzzer; the suite only replays what is
    /// kept, and changes of it
    Fuzz(fuzz::Options),
    /// Measures, and prints each figure beside what it is compared with
    Bench(bench::Options),
    /// Lists the tools that the tasks need from outside, whether they are here, and how to install those that are not
    Tools,
}

/// What a task ends with: a sentence, if it failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Services(options) => services::run(&options),
        Task::Kills(options) => kills::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Tools => tools::list(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map_or_else(|| here.clone(), PathBuf::from)
}

/// The cargo that runs this task, so that its children use the same toolchain.
fn cargo() -> std::process::Command {
    let mut command =
        std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed_and_every_task_is_explained() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        for task in [
            "test", "services", "kills", "fuzz", "bench", "tools", "help",
        ] {
            assert!(help.contains(&format!("\n  {task} ")), "{help}");
        }
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        assert!(root().join("Cargo.lock").is_file());
    }
}
