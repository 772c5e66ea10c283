//! Moves what the fuzzer found between the one file in which it is kept and the folders that libFuzzer works with.
//!
//! `corpus unpack TARGET FOLDER` writes each input that is kept to a file in FOLDER, those with names as well; `corpus keep
//! TARGET FOLDER` keeps the files of FOLDER. `cargo xtask fuzz` asks for both.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use boxes_fuzz::corpus;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, target, folder] = &arguments[..] else {
        return Err("usage: corpus unpack|keep TARGET FOLDER".into());
    };
    let folder = Path::new(folder);
    match what.as_str() {
        "unpack" => {
            fs::create_dir_all(folder)?;
            for (name, input) in corpus::named(target)? {
                fs::write(folder.join(name), input)?;
            }
            for (n, input) in corpus::found(target)?.iter().enumerate() {
                fs::write(folder.join(format!("found-{n}")), input)?;
            }
        }
        "keep" => corpus::keep(target, folder)?,
        other => return Err(format!("`{other}` is neither unpack nor keep").into()),
    }
    Ok(())
}
