//! PostgreSQL.

use std::path::PathBuf;
use std::process::Command;

use crate::apt::install;
use crate::server::{Folder, Server, StopSignal, User, as_user, free_port};

/// Where packages of Debian have the programs of each version.
const FOLDER: &str = "/usr/lib/postgresql";
const PACKAGE: &str = "postgresql";

/// How many connections it takes: every test has its own, and many run at once.
const MAX_CONNECTIONS: u16 = 500;

/// Starts one; installs the package if it is missing and may be installed.
pub(crate) fn start() -> Result<Server, String> {
    let programs = match programs() {
        Some(programs) => programs,
        None => {
            install(PACKAGE)?;
            programs()
                .ok_or_else(|| format!("{PACKAGE} is installed, and {FOLDER} has no server"))?
        }
    };
    // It refuses to run as root.
    let user = User::named_if_root("postgres")?;
    let folder = Folder::new("postgres", user.as_ref())?;
    let data = folder.path().join("data");
    let mut make = as_user(&programs.join("initdb"), folder.path(), user.as_ref());
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
    // `fsync` stays on.
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", folder.path().display()),
        format!("max_connections={MAX_CONNECTIONS}"),
    ];
    let mut command = as_user(&programs.join("postgres"), folder.path(), user.as_ref());
    command.arg("-D").arg(&data);
    for setting in settings {
        command.args(["-c", &setting]);
    }
    let text = port.to_string();
    Server::start(
        "PostgreSQL",
        command,
        port,
        StopSignal::Interrupt,
        folder,
        || {
            Command::new(programs.join("pg_isready"))
                .args(["--quiet", "--host=127.0.0.1", "--port", &text])
                .status()
                .is_ok_and(|status| status.success())
        },
    )
}

/// The folder of the newest version that has a server.
fn programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let of_packages = std::fs::read_dir(FOLDER)
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
