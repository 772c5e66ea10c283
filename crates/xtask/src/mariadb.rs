//! `MariaDB`, which stands for `MySQL` as well.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::apt::install;
use crate::server::{Folder, Server, StopSignal, User, as_user, free_port};
use crate::tools::find_program;

const PACKAGE: &str = "mariadb-server";

/// Where packages have the server, which only administrators start.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// How many connections it takes: every test has its own, and many run at once.
const MAX_CONNECTIONS: u16 = 500;

/// The database in which tests make theirs.
pub(crate) const DATABASE: &str = "boxes";

/// Starts one; installs the package if it is missing and may be installed.
pub(crate) fn start() -> Result<Server, String> {
    let programs = match Programs::find() {
        Some(programs) => programs,
        None => {
            install(PACKAGE)?;
            Programs::find()
                .ok_or_else(|| format!("{PACKAGE} is installed, and there is no mariadbd"))?
        }
    };
    let user = User::named_if_root("mysql")?;
    let folder = Folder::new("mariadb", user.as_ref())?;
    let data = folder.path().join("data");
    let mut make = as_user(&programs.install_db, folder.path(), user.as_ref());
    make.args([
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    ]);
    let made = make
        .arg(format!("--datadir={}", data.display()))
        .output()
        .map_err(|error| format!("mariadb-install-db can't be started: {error}"))?;
    if !made.status.success() {
        return Err(format!(
            "mariadb-install-db failed ({}):\n{}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        ));
    }
    let port = free_port()?;
    let mut command = as_user(&programs.server, folder.path(), user.as_ref());
    // What is flushed at a commit stays as it is by default: everything.
    command.args([
        "--no-defaults".to_owned(),
        format!("--datadir={}", data.display()),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        format!("--socket={}", folder.path().join("socket").display()),
        format!("--pid-file={}", folder.path().join("pid").display()),
        format!("--max-connections={MAX_CONNECTIONS}"),
        "--skip-name-resolve".to_owned(),
    ]);
    Server::start(
        "MariaDB",
        command,
        port,
        StopSignal::Terminate,
        folder,
        || {
            Command::new(&programs.client)
                .args(["--no-defaults", "--host=127.0.0.1", "--user=root"])
                .arg(format!("--port={port}"))
                .arg(format!(
                    "--execute=CREATE DATABASE IF NOT EXISTS {DATABASE}"
                ))
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        },
    )
}

/// Where its programs are.
struct Programs {
    server: PathBuf,
    install_db: PathBuf,
    client: PathBuf,
}

impl Programs {
    fn find() -> Option<Self> {
        Some(Self {
            server: find_program("mariadbd", &FOLDERS)?,
            install_db: find_program("mariadb-install-db", &FOLDERS)?,
            client: find_program("mariadb", &FOLDERS)?,
        })
    }
}
