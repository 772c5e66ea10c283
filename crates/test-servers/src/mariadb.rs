//! `MariaDB`, which stands for `MySQL` as well.

use std::path::PathBuf;

use crate::StartError;
use crate::folder::Folder;
use crate::new_server::{NewServer, free_port};
use crate::program::find_program;
use crate::server::{Plan, StopSignal};
use crate::user::User;

const PACKAGE: &str = "mariadb-server";

/// Where packages have the server, which only administrators start.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// How many connections it takes: every test has its own, and many run at once.
const MAX_CONNECTIONS: &str = "500";

/// The database in which tests make theirs.
const DATABASE: &str = "boxes";

pub(crate) fn prepare() -> Result<NewServer, StartError> {
    let programs = Programs::find().ok_or(StartError::Missing { package: PACKAGE })?;
    let user = User::named_if_root("mysql")?;
    let folder = Folder::new("mariadb", user.as_ref())?;
    let data = format!("--datadir={}", folder.path().join("data").display());
    let arguments = [
        "--no-defaults".to_owned(),
        "--auth-root-authentication-method=normal".to_owned(),
        "--skip-test-db".to_owned(),
        data.clone(),
    ];
    NewServer::make(&programs.install_db, &arguments, &folder, user.as_ref())?;
    let port = free_port()?;
    // What is flushed at a commit stays as it is by default: everything.
    let mut plan = Plan {
        name: "MariaDB",
        program: programs.server,
        arguments: vec![
            "--no-defaults".to_owned(),
            data,
            "--skip-name-resolve".to_owned(),
        ],
        settings: Vec::new(),
        argument: |name, value| vec![format!("--{name}={value}")],
        port,
        url: format!("mysql://root@127.0.0.1:{port}/{DATABASE}"),
        asking: (
            programs.client,
            vec![
                "--no-defaults".to_owned(),
                "--host=127.0.0.1".to_owned(),
                "--user=root".to_owned(),
                format!("--port={port}"),
                format!("--execute=CREATE DATABASE IF NOT EXISTS {DATABASE}"),
            ],
        ),
        stop: StopSignal::Terminate,
    };
    plan.set("bind-address", "127.0.0.1");
    plan.set("port", &port.to_string());
    for file in ["socket", "pid-file"] {
        plan.set(file, &folder.path().join(file).display().to_string());
    }
    plan.set("max-connections", MAX_CONNECTIONS);
    Ok(NewServer { plan, folder, user })
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
