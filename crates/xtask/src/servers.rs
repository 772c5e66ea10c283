//! The servers that tests need: started in folders of their own, on free ports, and ended with the task.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer, and to stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How often is looked whether it does.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Where packages of Debian have the programs of each version.
const POSTGRES_FOLDER: &str = "/usr/lib/postgresql";
const POSTGRES_PACKAGE: &str = "postgresql";

/// Where tests find the database, in their environment. `boxes-testing` has the same name.
const POSTGRES_VARIABLE: &str = "BOXES_TEST_POSTGRES_URL";

/// Servers that run as long as this value lives.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: Server,
}

impl Servers {
    /// Starts them; installs what is missing where that is allowed (as root, with apt).
    pub(crate) fn start() -> Result<Self, String> {
        Ok(Self {
            postgres: start_postgres()?,
        })
    }

    /// What tests are told in their environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(
            POSTGRES_VARIABLE,
            format!(
                "postgres://postgres@127.0.0.1:{}/postgres",
                self.postgres.port
            ),
        )]
    }
}

/// One server, and its folder.
#[derive(Debug)]
struct Server {
    name: &'static str,
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
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
        if interrupt(self.process.id()) {
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
        remove(&self.folder);
    }
}

fn start_postgres() -> Result<Server, String> {
    let programs = match postgres_programs() {
        Some(programs) => programs,
        None => {
            install(POSTGRES_PACKAGE)?;
            postgres_programs().ok_or_else(|| {
                format!("{POSTGRES_PACKAGE} is installed, and {POSTGRES_FOLDER} has no server")
            })?
        }
    };
    // PostgreSQL refuses to run as root.
    let user = User::named_if_root("postgres")?;
    let folder = new_folder("postgres", user.as_ref())?;
    let server = run_postgres(&programs, &folder, user.as_ref());
    if server.is_err() {
        remove(&folder);
    }
    server
}

fn run_postgres(programs: &Path, folder: &Path, user: Option<&User>) -> Result<Server, String> {
    let data = folder.join("data");
    let mut make = as_user(&programs.join("initdb"), folder, user);
    make.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--pgdata",
    ]);
    let made = make
        .arg(&data)
        .output()
        .map_err(|error| format!("initdb can't be started: {error}"))?;
    if !made.status.success() {
        return Err(format!(
            "initdb failed ({}):\n{}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        ));
    }
    let port = free_port()?;
    let log = folder.join("log");
    let output = std::fs::File::create(&log)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .map_err(|error| format!("{} can't be written: {error}", log.display()))?;
    // Every test has its own connections, and many run at once. `fsync` stays on.
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", folder.display()),
        "max_connections=500".to_owned(),
    ];
    let mut command = as_user(&programs.join("postgres"), folder, user);
    command.arg("-D").arg(&data);
    for setting in settings {
        command.args(["-c", &setting]);
    }
    command.stdout(output.0).stderr(output.1);
    let process = command
        .spawn()
        .map_err(|error| format!("postgres can't be started: {error}"))?;
    let mut server = Server {
        name: "PostgreSQL",
        process,
        port,
        folder: folder.to_owned(),
    };
    let port = port.to_string();
    server.wait_until(&log, || {
        Command::new(programs.join("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", "--port", &port])
            .status()
            .is_ok_and(|status| status.success())
    })?;
    Ok(server)
}

/// The folder of the newest version that has a server.
fn postgres_programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let of_packages = std::fs::read_dir(POSTGRES_FOLDER)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|folder| Some((version(&folder)?, folder.join("bin"))));
    let mut of_packages: Vec<_> = of_packages.collect();
    of_packages.sort();
    let of_packages = of_packages.into_iter().rev().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<_> = std::env::split_paths(&path).collect();
    of_packages.chain(of_path).find(|folder| {
        ["postgres", "initdb", "pg_isready"]
            .iter()
            .all(|program| folder.join(program).is_file())
    })
}

/// Installs a package with apt, as root; otherwise says what to do.
fn install(package: &str) -> Result<(), String> {
    let command = format!("apt-get install --yes --no-install-recommends {package}");
    if !is_root() {
        return Err(format!(
            "the tests need a server of the package {package}; install it with: sudo {command}"
        ));
    }
    println!("    {package} is missing and is installed");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["--quiet", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null());
        apt.status().is_ok_and(|status| status.success())
    };
    // Twice, because mirrors fail for a moment. Whether the lists are new is told by the installation.
    let is_installed = (0..2).any(|_| {
        apt(&["update"]);
        apt(&["install", "--yes", "--no-install-recommends", package])
    });
    if is_installed {
        Ok(())
    } else {
        Err(format!(
            "the tests need a server of the package {package}, which can't be installed here; it is done with: {command}"
        ))
    }
}

/// Whom a server runs as.
#[derive(Debug)]
struct User {
    id: u32,
    group: u32,
}

impl User {
    /// This user, if this task runs as root, and nobody otherwise: then the server runs as the task does.
    fn named_if_root(name: &str) -> Result<Option<Self>, String> {
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
fn as_user(program: &Path, folder: &Path, user: Option<&User>) -> Command {
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

/// A new folder that belongs to this user.
fn new_folder(name: &str, user: Option<&User>) -> Result<PathBuf, String> {
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
    Ok(folder)
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("{} can't be removed: {error}", folder.display());
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| Ok(listener.local_addr()?.port()))
        .map_err(|error| format!("there is no free port: {error}"))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Sends SIGINT, at which PostgreSQL stops without waiting for its clients; says whether that could be done.
#[cfg(unix)]
fn interrupt(id: u32) -> bool {
    let id = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    id.is_some_and(|id| rustix::process::kill_process(id, rustix::process::Signal::INT).is_ok())
}

#[cfg(not(unix))]
fn interrupt(_: u32) -> bool {
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

    #[test]
    fn a_server_that_ends_by_itself_is_an_error_that_repeats_what_it_said_and_leaves_nothing() {
        let folder = new_folder("test", None).unwrap();
        let log = folder.join("log");
        std::fs::write(&log, "no room").unwrap();
        let mut server = Server {
            name: "Nothing",
            process: Command::new("false").spawn().unwrap(),
            port: 0,
            folder: folder.clone(),
        };
        let error = server.wait_until(&log, || false).unwrap_err();
        assert!(
            error.starts_with("Nothing ended by itself") && error.ends_with("no room"),
            "{error}"
        );
        drop(server);
        assert!(!folder.exists());
    }
}
