//! Python with the packages that the tests use, in environments of their own below `target`.
//!
//! What each has stands in `tests/python/requirements-*.txt`, with versions. An environment is made when it is first
//! needed, and made anew when its list has changed; after that no network is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::install;
use crate::root;
use boxes_test_servers::find_program;

/// What Debian has it in: the interpreter, and what makes environments.
const PACKAGE: &str = "python3-venv";

/// The interpreter of the environment with the packages that `requirements-{name}.txt` lists.
pub(crate) fn environment(name: &str) -> Result<PathBuf, String> {
    let list = root().join(format!("tests/python/requirements-{name}.txt"));
    let wanted = std::fs::read_to_string(&list)
        .map_err(|error| format!("{} can't be read: {error}", list.display()))?;
    let folder = root().join("target/python").join(name);
    let interpreter = folder.join("bin/python");
    // Written last, so an environment that was left half made is made anew.
    let made_from = folder.join("made-from.txt");
    let is_made = std::fs::read_to_string(&made_from).is_ok_and(|text| text == wanted);
    if is_made && interpreter.is_file() {
        return Ok(interpreter);
    }
    println!("    the Python environment {} is made", folder.display());
    make(&folder)?;
    run(Command::new(&interpreter)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .arg("--requirement")
        .arg(&list))?;
    std::fs::write(&made_from, wanted)
        .map_err(|error| format!("{} can't be written: {error}", made_from.display()))?;
    Ok(interpreter)
}

fn make(folder: &Path) -> Result<(), String> {
    let try_once = || {
        let python =
            find_program("python3", &[]).ok_or_else(|| "there is no python3".to_owned())?;
        run(Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(folder))
    };
    // Without `python3-venv` the interpreter may be there and fail to make one.
    try_once().or_else(|_| {
        install(PACKAGE)?;
        try_once()
    })
}

/// Runs to the end; what it said is in the error.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{program} can't be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
