//! Whom a server runs as.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::StartError;

/// A user of this machine.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) group: u32,
}

impl User {
    /// This user, if this process runs as root, and nobody otherwise: then the server runs as this process does.
    pub(crate) fn named_if_root(name: &str) -> Result<Option<Self>, StartError> {
        if !is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| StartError::Failed(format!("/etc/passwd can't be read: {error}")))?;
        let user = users.lines().find_map(|line| Self::in_line(line, name));
        user.map(Some).ok_or_else(|| {
            StartError::Failed(format!(
                "there is no user `{name}`, which the package of the server makes"
            ))
        })
    }

    fn in_line(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut ids = fields.skip(1).map(str::parse);
        Some(Self {
            id: ids.next()?.ok()?,
            group: ids.next()?.ok()?,
        })
    }
}

/// A program that runs as this user, in this folder, also with what it has for a moment only, and in a process group of its own: ctrl-c at a terminal goes to
/// the tests, and the server ends after them.
pub(crate) fn as_user(program: &Path, folder: &Path, user: Option<&User>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        if let Some(user) = user {
            command.uid(user.id).gid(user.group);
        }
    }
    command
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let line = "postgres:x:105:112:PostgreSQL administrator:/var/lib/postgresql:/bin/bash";
        let user = User::in_line(line, "postgres").unwrap();
        assert_eq!((user.id, user.group), (105, 112));
        assert!(User::in_line(line, "post").is_none());
        assert!(User::in_line("postgres:x", "postgres").is_none());
    }
}
