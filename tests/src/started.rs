//! A program that has been started, and says where it listens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::until;

/// A program on a port that the system gave it. Killed when it is dropped.
#[derive(Debug)]
pub struct StartedProgram {
    child: Child,
    base_url: String,
    /// Open, because the program goes on to write.
    _stdout: BufReader<ChildStdout>,
}

impl StartedProgram {
    /// The program with none of the settings of this machine, to be told more: on a free port, without a log.
    #[must_use]
    pub fn command(program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        command
            .env("BOXES_BIND", "127.0.0.1:0")
            .env("BOXES_LOG", "off");
        command.stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it listens.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let listening = line.trim().strip_prefix("Listening at ");
        let base_url = listening.unwrap_or_else(|| panic!("it says {line:?}"));
        Self {
            base_url: base_url.to_owned(),
            child,
            _stdout: stdout,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended, and returns its exit code.
    pub async fn end(&mut self) -> Option<i32> {
        let mut ended = None;
        until("the program ends", async || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.and_then(|status| status.code())
    }
}

impl Drop for StartedProgram {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
