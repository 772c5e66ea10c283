//! Looks for inputs that break what must hold, as long as one likes.

use std::path::{Path, PathBuf};

use crate::{Outcome, cargo, root, tools};

/// The targets, one for each border that others can reach; `tests/fuzz` has them.
const TARGETS: [&str; 5] = ["request", "command", "answer", "link", "stored_event"];

/// The longest input that is tried, in bytes.
const MAX_BYTES: &str = "4096";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this target; all of them, one after the other, unless given
    #[arg(value_name = "TARGET", value_parser = TARGETS)]
    target: Option<String>,
    /// How long each target runs, in seconds
    #[arg(value_name = "SECONDS", default_value_t = 60)]
    seconds: u32,
    /// Afterwards adds to the corpus that the suite replays what reaches code that nothing in it reaches
    #[arg(long)]
    keep: bool,
}

/// Builds the targets for libFuzzer and runs them, on whatever compiler is in use.
pub(crate) fn run(options: &Options) -> Outcome {
    tools::find("cargo-fuzz")?;
    let chosen = |target: &&&str| {
        options
            .target
            .as_deref()
            .is_none_or(|name| name == **target)
    };
    for target in TARGETS.iter().filter(chosen) {
        println!("\n=== {target}, for {} s", options.seconds);
        let found = folder("libfuzzer/corpus", target);
        let kept = folder("corpus", target);
        std::fs::create_dir_all(&found)
            .map_err(|error| format!("{} can't be made: {error}", found.display()))?;
        let time = format!("-max_total_time={}", options.seconds);
        let length = format!("-max_len={MAX_BYTES}");
        fuzz(target, &[&found, &kept], &[&time, &length])?;
        if options.keep {
            fuzz(target, &[&kept, &found], &["-merge=1", &length])?;
        }
    }
    Ok(())
}

fn folder(of: &str, target: &str) -> PathBuf {
    root().join("tests/fuzz").join(of).join(target)
}

/// The first folder is written to, all are read.
fn fuzz(target: &str, folders: &[&Path], arguments: &[&str]) -> Outcome {
    // The code has no `unsafe`, so the sanitizers, which need a nightly compiler, would find nothing.
    let status = cargo()
        .args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"])
        .arg(root().join("tests/fuzz/libfuzzer"))
        .arg(target)
        .args(folders)
        .arg("--")
        .args(arguments)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "an input breaks `{target}` ({status}): the lines above say what does not hold and where the input is; copy it to \
             tests/fuzz/corpus/{target} under a name that says what it is, and mend the code"
        )),
        Err(error) => Err(format!("cargo can't be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        let names = std::fs::read_dir(root().join("tests/fuzz/corpus")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let mut targets = TARGETS;
        targets.sort_unstable();
        assert_eq!(names, targets);
    }
}
