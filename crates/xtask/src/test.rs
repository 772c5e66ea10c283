//! Everything that a change has to pass.

use std::time::Instant;

use crate::{Outcome, cargo, tools};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these steps; all of them unless given
    #[arg(value_name = "STEP", value_parser = STEPS.map(|step| step.name))]
    steps: Vec<String>,
}

/// One step: a cargo command.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    what: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
    /// What it needs beside cargo itself.
    tool: Option<&'static str>,
}

/// In the order in which they run: the quick ones first, and what others build upon before them.
const STEPS: [Step; 7] = [
    Step {
        name: "fmt",
        what: "The code is formatted",
        arguments: &["fmt", "--all", "--check"],
        variable: None,
        tool: Some("cargo-fmt"),
    },
    Step {
        name: "clippy",
        what: "There is nothing to warn of",
        arguments: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
        variable: None,
        tool: Some("cargo-clippy"),
    },
    Step {
        name: "features",
        what: "The kit builds without what can be left out",
        arguments: &["check", "--package", "boxes", "--no-default-features"],
        variable: None,
        tool: None,
    },
    Step {
        name: "build",
        what: "Everything builds",
        arguments: &["build", "--workspace", "--all-targets"],
        variable: None,
        tool: None,
    },
    Step {
        name: "tests",
        what: "The tests pass",
        arguments: &[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ],
        variable: None,
        tool: None,
    },
    Step {
        name: "doctests",
        what: "The examples in the docs run",
        arguments: &["test", "--workspace", "--doc"],
        variable: None,
        tool: None,
    },
    Step {
        name: "docs",
        what: "The docs have no broken link",
        arguments: &["doc", "--workspace", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "--deny warnings")),
        tool: None,
    },
];

/// Runs the steps one after the other, and stops at the first that fails.
pub(crate) fn run(options: &Options) -> Outcome {
    let start = Instant::now();
    let chosen = |step: &&Step| {
        options.steps.is_empty() || options.steps.iter().any(|name| name == step.name)
    };
    let steps: Vec<&Step> = STEPS.iter().filter(chosen).collect();
    for (index, step) in steps.iter().enumerate() {
        println!(
            "\n=== {}/{} {}: {}",
            index + 1,
            steps.len(),
            step.name,
            step.what
        );
        println!("    {}", step.command_line());
        step.run()?;
    }
    println!(
        "\nAll {} steps passed in {:.1} s.",
        steps.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

impl Step {
    fn run(&self) -> Outcome {
        let start = Instant::now();
        let mut command = cargo();
        command.args(self.arguments).envs(self.variable);
        let status = command
            .status()
            .map_err(|error| format!("cargo can't be started: {error}"))?;
        let seconds = start.elapsed().as_secs_f64();
        if status.success() {
            println!("--- {} passed in {seconds:.1} s", self.name);
            return Ok(());
        }
        if let Some(missing) = self.tool.and_then(|tool| tools::find(tool).err()) {
            return Err(missing);
        }
        Err(format!(
            "{} failed after {seconds:.1} s ({status}); to repeat it: {}",
            self.name,
            self.command_line()
        ))
    }

    /// The command as one would type it.
    fn command_line(&self) -> String {
        let variable = self
            .variable
            .map(|(name, value)| format!("{name}='{value}' "))
            .unwrap_or_default();
        format!("{variable}cargo {}", self.arguments.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_says_how_to_repeat_it() {
        let broken = Step {
            name: "broken",
            what: "It can't work",
            arguments: &["no-such-command"],
            variable: Some(("A", "b")),
            tool: None,
        };
        let error = broken.run().unwrap_err();
        assert!(
            error.starts_with("broken failed after ")
                && error.ends_with("to repeat it: A='b' cargo no-such-command"),
            "{error}"
        );
    }
}
