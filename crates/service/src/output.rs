//! What a program prints for people.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};

/// Prints a line to standard output.
///
/// `println!` panics once nobody reads any more, as after `shop | head -1`. That is no failure of what is printed about,
/// and ends no server: it is passed over here.
///
/// # Errors
///
/// What the system says otherwise, such as that the disk is full that the output goes to.
pub fn print_line(line: impl Display) -> std::io::Result<()> {
    let mut stdout = stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
