//! One server that the tests use: in a folder of its own, on a free port, and ended with the task.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::apt::is_root;

/// How long a server may take to answer, and to stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How often is looked whether it does.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One server, and its folder.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    process: Child,
    port: u16,
    stop: StopSignal,
    /// Removed after the process has ended: fields are dropped after `drop`.
    _folder: Folder,
}

impl Server {
    /// Starts `command`, whose output goes to the file `log` in `folder`; waits until `answers` to the port.
    ///
    /// The folder is the server's own and goes with it, also when it does not start.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        port: u16,
        stop: StopSignal,
        folder: Folder,
        answers: impl FnMut() -> bool,
    ) -> Result<Self, String> {
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| format!("{} can't be written: {error}", log.display()))?;
        let process = command
            .stdout(output.0)
            .stderr(output.1)
            .spawn()
            .map_err(|error| format!("{name} can't be started: {error}"))?;
        let mut server = Self {
            name,
            process,
            port,
            stop,
            _folder: folder,
        };
        server.wait_until(&log, answers)?;
        Ok(server)
    }

    /// Where it listens, on the loopback address.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `answers`; what the server wrote is in `log`.
    fn wait_until(&mut self, log: &Path, mut answers: impl FnMut() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers() {
            let ended = self.process.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let how = ended.map_or_else(
                    || format!("did not answer within {} s", START_TIMEOUT.as_secs()),
                    |status| format!("ended by itself ({status})"),
                );
                return Err(format!("{} {how}; it says:\n{log}", self.name));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Asks it to stop, waits, and ends it if it does not.
    fn stop(&mut self) {
        if self.stop.send(self.process.id()) {
            let deadline = Instant::now() + STOP_TIMEOUT;
            while Instant::now() < deadline {
                if !matches!(self.process.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        let killed = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = killed {
            eprintln!(
                "{} (process {}) can't be ended: {error}",
                self.name,
                self.process.id()
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A new folder, which is removed with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder that belongs to this user.
    pub(crate) fn new(name: &str, user: Option<&User>) -> Result<Self, String> {
        let nanoseconds = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.subsec_nanos());
        let folder =
            std::env::temp_dir().join(format!("boxes-{name}-{}-{nanoseconds}", std::process::id()));
        let made = std::fs::create_dir(&folder).and_then(|()| {
            #[cfg(unix)]
            if let Some(user) = user {
                std::os::unix::fs::chown(&folder, Some(user.id), Some(user.group))?;
            }
            Ok(())
        });
        made.map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} can't be removed: {error}", self.0.display());
        }
    }
}

/// Whom a server runs as.
#[derive(Debug)]
pub(crate) struct User {
    id: u32,
    group: u32,
}

impl User {
    /// This user, if this task runs as root, and nobody otherwise: then the server runs as the task does.
    pub(crate) fn named_if_root(name: &str) -> Result<Option<Self>, String> {
        if !is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")
            .map_err(|error| format!("/etc/passwd can't be read: {error}"))?;
        let user = users.lines().find_map(|line| Self::in_line(line, name));
        user.map(Some).ok_or_else(|| {
            format!("there is no user `{name}`, which the package of the server makes")
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

/// A program that runs as this user, in this folder, and in a process group of its own: ctrl-c at a terminal goes to
/// the tests, and the server ends after them.
pub(crate) fn as_user(program: &Path, folder: &Path, user: Option<&User>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
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

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| Ok(listener.local_addr()?.port()))
        .map_err(|error| format!("there is no free port: {error}"))
}

/// How a server is asked to stop without waiting for its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StopSignal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl StopSignal {
    /// Sends it; says whether that could be done.
    #[cfg(unix)]
    fn send(self, id: u32) -> bool {
        let signal = match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Terminate => rustix::process::Signal::TERM,
        };
        let id = i32::try_from(id)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        id.is_some_and(|id| rustix::process::kill_process(id, signal).is_ok())
    }

    #[cfg(not(unix))]
    fn send(self, _: u32) -> bool {
        false
    }
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

    #[test]
    fn a_server_that_ends_by_itself_is_an_error_that_repeats_what_it_said_and_leaves_nothing() {
        let folder = Folder::new("test", None).unwrap();
        let path = folder.path().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room; exit 1"]);
        let error = Server::start("Nothing", command, 0, StopSignal::Terminate, folder, || {
            false
        })
        .unwrap_err();
        assert!(
            error.starts_with("Nothing ended by itself") && error.ends_with("no room\n"),
            "{error}"
        );
        assert!(!path.exists());
    }
}
