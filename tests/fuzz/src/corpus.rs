//! The inputs that are kept: files to which somebody gave a name, and what the fuzzer found, in one file, a line each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where they are: a folder `{target}` of those with names, and a file `{target}.found`.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target that have names, with their names, in order.
///
/// # Errors
///
/// If they can't be read.
pub fn named(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = read_all(&folder().join(target))?;
    inputs.sort();
    Ok(inputs)
}

/// What the fuzzer found for a target and was kept, in order; nothing, if nothing was.
///
/// # Errors
///
/// If it can't be read, or a line is no input.
pub fn found(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let lines = match fs::read_to_string(found_file(target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let inputs = lines.lines().map(|line| {
        let broken = || io::Error::other(format!("{target}.found: no input: {line}"));
        unescaped(line).ok_or_else(broken)
    });
    inputs.collect()
}

/// Keeps the files of a folder as what was found for a target, in place of what was kept of that before, but for those
/// that have a name as well.
///
/// # Errors
///
/// If something can't be read or written.
pub fn keep(target: &str, chosen: &Path) -> io::Result<()> {
    let named: Vec<_> = named(target)?.into_iter().map(|(_, input)| input).collect();
    let chosen = read_all(chosen)?.into_iter().map(|(_, input)| input);
    let mut lines: Vec<_> = chosen
        .filter(|input| !named.contains(input))
        .map(|input| format!("{}\n", input.escape_ascii()))
        .collect();
    lines.sort();
    lines.dedup();
    fs::write(found_file(target), lines.concat())
}

fn found_file(target: &str) -> PathBuf {
    folder().join(format!("{target}.found"))
}

fn read_all(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let files = fs::read_dir(folder)?;
    let read = files.map(|file| {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        Ok((name, fs::read(file.path())?))
    });
    read.collect()
}

/// The bytes that [`escape_ascii`](slice::escape_ascii) wrote as this.
fn unescaped(line: &str) -> Option<Vec<u8>> {
    let mut letters = line.bytes();
    let mut bytes = Vec::with_capacity(line.len());
    while let Some(letter) = letters.next() {
        let byte = match letter {
            b'\\' => match letters.next()? {
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                letter @ (b'\'' | b'"' | b'\\') => letter,
                b'x' => {
                    let digits = [letters.next()?, letters.next()?];
                    u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => return None,
            },
            letter => letter,
        };
        bytes.push(byte);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_a_line_and_comes_back_as_it_was() {
        let all: Vec<u8> = (0..=255).collect();
        for input in [&all[..], b"", b"\\x", b"GET /1,5\n\n"] {
            let line = input.escape_ascii().to_string();
            assert!(!line.contains('\n') && line.is_ascii());
            assert_eq!(unescaped(&line).as_deref(), Some(input));
        }
        for broken in ["\\", "\\x", "\\x1", "\\xgg", "\\q"] {
            assert_eq!(unescaped(broken), None);
        }
    }
}
