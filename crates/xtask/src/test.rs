//! Everything that a change has to pass.

use std::process::ExitStatus;
use std::time::Instant;

use tokio::process::{Child, Command};

use crate::servers::Servers;
use crate::services::stop_signal;
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
    /// Whether it needs the servers that tests use.
    servers: bool,
}

/// In the order in which they run: the quick ones first, and what others build upon before them.
const STEPS: [Step; 9] = [
    Step {
        name: "fmt",
        what: "The code is formatted",
        arguments: &["fmt", "--all", "--check"],
        variable: None,
        tool: Some("cargo-fmt"),
        servers: false,
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
        servers: false,
    },
    Step {
        name: "features",
        what: "The kit builds without what can be left out",
        arguments: &["check", "--package", "boxes", "--no-default-features"],
        variable: None,
        tool: None,
        servers: false,
    },
    Step {
        name: "postgres",
        what: "The kit builds with PostgreSQL alone",
        arguments: &[
            "check",
            "--package",
            "boxes",
            "--no-default-features",
            "--features",
            "postgres",
        ],
        variable: None,
        tool: None,
        servers: false,
    },
    Step {
        name: "mysql",
        what: "The kit builds with MySQL alone",
        arguments: &[
            "check",
            "--package",
            "boxes",
            "--no-default-features",
            "--features",
            "mysql",
        ],
        variable: None,
        tool: None,
        servers: false,
    },
    Step {
        name: "build",
        what: "Everything builds",
        arguments: &["build", "--workspace", "--all-targets"],
        variable: None,
        tool: None,
        servers: false,
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
        servers: true,
    },
    Step {
        name: "doctests",
        what: "The examples in the docs run",
        arguments: &["test", "--workspace", "--doc"],
        variable: None,
        tool: None,
        servers: false,
    },
    Step {
        name: "docs",
        what: "The docs have no broken link",
        arguments: &["doc", "--workspace", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "--deny warnings")),
        tool: None,
        servers: false,
    },
];

/// Runs the steps one after the other, and stops at the first that fails, or at ctrl-c.
pub(crate) fn run(options: &Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| format!("the runtime can't be started: {error}"))?
        .block_on(run_steps(options))
}

async fn run_steps(options: &Options) -> Outcome {
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
        step.run().await?;
    }
    println!(
        "\nAll {} steps passed in {:.1} s.",
        steps.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Waits for cargo; at a signal to stop, which ends the task, cargo ends as well.
async fn wait_or_stop(mut child: Child) -> Result<ExitStatus, String> {
    tokio::select! {
        status = child.wait() => status.map_err(|error| format!("cargo can't be waited for: {error}")),
        signal = stop_signal() => {
            signal.map_err(|error| format!("no signals: {error}"))?;
            child.kill().await.map_err(|error| format!("cargo can't be ended: {error}"))?;
            Err("stopped".to_owned())
        }
    }
}

impl Step {
    async fn run(&self) -> Outcome {
        let start = Instant::now();
        // They end when this function does, however it does.
        let servers = self.servers.then(Servers::start).transpose()?;
        let mut command = cargo();
        command.args(self.arguments).envs(self.variable);
        if let Some(servers) = &servers {
            command.envs(servers.variables());
        }
        let child = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cargo can't be started: {error}"))?;
        let status = wait_or_stop(child).await?;
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

    #[tokio::test]
    async fn a_failed_step_says_how_to_repeat_it() {
        let broken = Step {
            name: "broken",
            what: "It can't work",
            arguments: &["no-such-command"],
            variable: Some(("A", "b")),
            tool: None,
            servers: false,
        };
        let error = broken.run().await.unwrap_err();
        assert!(
            error.starts_with("broken failed after ")
                && error.ends_with("to repeat it: A='b' cargo no-such-command"),
            "{error}"
        );
    }
}
