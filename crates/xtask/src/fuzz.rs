//! Looks for inputs that break what must hold, as long as one likes.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    /// Afterwards keeps, in the corpus that the suite replays, what reaches code that the inputs with names do not reach, and
    /// no more of it than that takes
    #[arg(long)]
    keep: bool,
}

/// How long one input may take, in seconds: what takes longer hangs.
const MAX_SECONDS: &str = "10";

/// Builds the targets for libFuzzer and runs them, on whatever compiler is in use.
pub(crate) fn run(options: &Options) -> Outcome {
    tools::find("cargo-fuzz")?;
    if std::env::var_os("CXX").is_none() {
        tools::find("c++")?;
    }
    build()?;
    let chosen = |target: &&&str| {
        options
            .target
            .as_deref()
            .is_none_or(|name| name == **target)
    };
    for target in TARGETS.iter().filter(chosen) {
        println!("\n=== {target}, for {} s", options.seconds);
        let found = folder("corpus", target);
        let kept = folder("kept", target);
        corpus("unpack", target, &emptied(&kept)?)?;
        std::fs::create_dir_all(&found).map_err(|error| not_made(&found, &error))?;
        let time = format!("-max_total_time={}", options.seconds);
        fuzz(target, &[&found, &kept], &[&time])?;
        if options.keep {
            keep(target, &found, &kept)?;
        }
    }
    Ok(())
}

/// Chooses anew, from what was kept and what was found, what reaches code that the inputs with names do not: a small set
/// of small ones. How often something is done does not count: an input for each would be thousands.
fn keep(target: &str, found: &Path, kept: &Path) -> Outcome {
    let chosen = folder("chosen", target);
    emptied(&chosen)?;
    let named = root().join("tests/fuzz/corpus").join(target);
    for entry in std::fs::read_dir(&named).map_err(|error| not_made(&chosen, &error))? {
        let copied = entry.and_then(|entry| {
            std::fs::copy(entry.path(), chosen.join(entry.file_name()))?;
            Ok(())
        });
        copied.map_err(|error| not_made(&chosen, &error))?;
    }
    let choice = ["-set_cover_merge=1", "-use_counters=0"];
    fuzz(target, &[&chosen, found, kept], &choice)?;
    corpus("keep", target, &chosen)
}

/// Where libFuzzer works: nothing in there is in the repository.
fn folder(of: &str, target: &str) -> PathBuf {
    let base = root().join("tests/fuzz/libfuzzer");
    base.join(of).join(target)
}

/// The same folder, with nothing in it.
fn emptied(folder: &Path) -> Result<PathBuf, String> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| not_made(folder, &error))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| not_made(folder, &error))?;
    Ok(folder.to_owned())
}

fn not_made(folder: &Path, error: &std::io::Error) -> String {
    format!("{} can't be made: {error}", folder.display())
}

/// Unpacks what is kept, or keeps what is there: the package of the targets knows how.
fn corpus(what: &str, target: &str, folder: &Path) -> Outcome {
    let status = cargo()
        .args([
            "run",
            "--quiet",
            "-p",
            "boxes-fuzz",
            "--bin",
            "corpus",
            "--",
        ])
        .args([what, target])
        .arg(folder)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("the corpus of `{target}` can't be read or written")),
        Err(error) => Err(format!("cargo can't be started: {error}")),
    }
}

/// `cargo fuzz` with this task, for the targets of this project.
fn cargo_fuzz(task: &str) -> Command {
    // The code has no `unsafe`, so the sanitizers, which need a nightly compiler, would find nothing.
    let mut command = cargo();
    command
        .args(["fuzz", task, "--sanitizer", "none", "--fuzz-dir"])
        .arg(root().join("tests/fuzz/libfuzzer"));
    command
}

fn build() -> Outcome {
    println!(
        "=== the targets, with what shows libFuzzer where an input goes; the first time takes minutes"
    );
    let status = cargo_fuzz("build").status();
    let status = status.map_err(|error| format!("cargo can't be started: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "the targets can't be built ({status}): the lines above say why; `cargo test -p boxes-fuzz` builds the same code \
         without libFuzzer"
    ))
}

/// The first folder is written to, all are read.
fn fuzz(target: &str, folders: &[&Path], arguments: &[&str]) -> Outcome {
    let status = cargo_fuzz("run")
        .arg(target)
        .args(folders)
        .arg("--")
        .arg(format!("-max_len={MAX_BYTES}"))
        .arg(format!("-timeout={MAX_SECONDS}"))
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
        let entries = std::fs::read_dir(root().join("tests/fuzz/corpus")).unwrap();
        let folders = entries
            .map(Result::unwrap)
            .filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> = folders.map(|entry| entry.file_name()).collect();
        names.sort();
        let mut targets = TARGETS;
        targets.sort_unstable();
        assert_eq!(names, targets);
    }
}
