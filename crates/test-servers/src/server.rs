//! A server that runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::StartError;
use crate::folder::Folder;
use crate::user::{User, as_user};

/// How long a server may take to answer, and to stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How often is looked whether it does.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How a server is started.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Name and value, the last one of a name counts.
    pub(crate) settings: Vec<(String, String)>,
    /// A setting as the program takes it.
    pub(crate) argument: fn(&str, &str) -> Vec<String>,
    pub(crate) port: u16,
    pub(crate) url: String,
    /// Ends well as soon as the server answers.
    pub(crate) asking: (PathBuf, Vec<String>),
    pub(crate) stop: StopSignal,
}

impl Plan {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(set, _)| set != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    fn command(&self, folder: &Path, user: Option<&User>) -> Command {
        let mut command = as_user(&self.program, folder, user);
        command.args(&self.arguments);
        for (name, value) in &self.settings {
            command.args((self.argument)(name, value));
        }
        command
    }

    fn answers(&self) -> bool {
        let (program, arguments) = &self.asking;
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// A server that runs as long as this value lives, in a folder of its own, which goes with it.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    user: Option<User>,
    process: Option<Child>,
    /// Removed after the process has ended: fields are dropped after `drop`.
    folder: Folder,
}

impl Server {
    pub(crate) fn start(
        plan: Plan,
        folder: Folder,
        user: Option<User>,
    ) -> Result<Self, StartError> {
        let mut server = Self {
            plan,
            user,
            process: None,
            folder,
        };
        server.spawn()?;
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Where it listens, on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.plan.port
    }

    /// The URL of a database in which tests may do anything.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.plan.url
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it at once, as a power failure would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let ended = process.kill().and_then(|()| process.wait());
            self.complain(ended);
        }
    }

    /// Changes a setting, for when it is started again.
    pub fn set(&mut self, name: &str, value: &str) {
        self.plan.set(name, value);
    }

    /// Asks it to stop without waiting for its clients, and waits until it has.
    pub fn stop(&mut self) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        if self.plan.stop.send(process.id()) {
            let deadline = Instant::now() + STOP_TIMEOUT;
            while Instant::now() < deadline {
                if !matches!(process.try_wait(), Ok(None)) {
                    self.process = None;
                    return;
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        self.kill();
    }

    /// Starts it on the same data and port, after it was stopped or killed, and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] with what it said if it does not answer within a minute.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            self.spawn()?;
            match self.wait_until_it_answers() {
                // What a killed server left is in the way until the last of its processes is gone.
                Err(_) if Instant::now() < deadline => {
                    self.kill();
                    std::thread::sleep(POLL_INTERVAL);
                }
                started => return started,
            }
        }
    }

    /// Its output goes to the file `log`.
    fn spawn(&mut self) -> Result<(), StartError> {
        let log = self.log();
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| {
                StartError::Failed(format!("{} can't be written: {error}", log.display()))
            })?;
        let process = self
            .plan
            .command(self.folder.path(), self.user.as_ref())
            .stdout(output.0)
            .stderr(output.1)
            .spawn()
            .map_err(|error| {
                StartError::Failed(format!("{} can't be started: {error}", self.plan.name))
            })?;
        self.process = Some(process);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn wait_until_it_answers(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.plan.answers() {
            let process = self.process.as_mut();
            let ended = process.and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                let how = ended.map_or_else(
                    || format!("did not answer within {} s", START_TIMEOUT.as_secs()),
                    |status| format!("ended by itself ({status})"),
                );
                return Err(StartError::Failed(format!(
                    "{} {how}; it says:\n{log}",
                    self.plan.name
                )));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn complain<T>(&self, ended: std::io::Result<T>) {
        if let Err(error) = ended {
            eprintln!("{} can't be ended: {error}", self.plan.name);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
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
    fn a_server_that_ends_by_itself_is_an_error_that_repeats_what_it_said_and_leaves_nothing() {
        let folder = Folder::new("test", None).unwrap();
        let path = folder.path().to_owned();
        let plan = Plan {
            name: "Nothing",
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), "echo no room; exit 1".to_owned()],
            settings: Vec::new(),
            argument: |_, _| Vec::new(),
            port: 0,
            url: String::new(),
            asking: ("false".into(), Vec::new()),
            stop: StopSignal::Terminate,
        };
        let error = Server::start(plan, folder, None).unwrap_err().to_string();
        assert!(
            error.starts_with("Nothing ended by itself") && error.ends_with("no room\n"),
            "{error}"
        );
        assert!(!path.exists());
    }
}
