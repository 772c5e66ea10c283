//! PostgreSQL.

use std::path::PathBuf;

use crate::StartError;
use crate::folder::Folder;
use crate::new_server::{NewServer, free_port};
use crate::server::{Plan, StopSignal};
use crate::user::User;

/// Where packages of Debian have the programs of each version.
const FOLDER: &str = "/usr/lib/postgresql";
const PACKAGE: &str = "postgresql";

/// How many connections it takes: every test has its own, and many run at once.
const MAX_CONNECTIONS: &str = "500";

pub(crate) fn prepare() -> Result<NewServer, StartError> {
    let programs = programs().ok_or(StartError::Missing { package: PACKAGE })?;
    // It refuses to run as root.
    let user = User::named_if_root("postgres")?;
    let folder = Folder::new("postgres", user.as_ref())?;
    let data = folder.path().join("data").display().to_string();
    let arguments = [
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--pgdata",
        &data,
    ];
    let arguments = arguments.map(str::to_owned);
    NewServer::make(&programs.join("initdb"), &arguments, &folder, user.as_ref())?;
    let port = free_port()?;
    let mut plan = Plan {
        name: "PostgreSQL",
        program: programs.join("postgres"),
        arguments: vec!["-D".to_owned(), data],
        settings: Vec::new(),
        argument: |name, value| vec!["-c".to_owned(), format!("{name}={value}")],
        port,
        url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        asking: (
            programs.join("pg_isready"),
            vec![
                "--quiet".to_owned(),
                "--host=127.0.0.1".to_owned(),
                format!("--port={port}"),
            ],
        ),
        stop: StopSignal::Interrupt,
    };
    // `fsync` stays on.
    plan.set("listen_addresses", "127.0.0.1");
    plan.set("port", &port.to_string());
    plan.set(
        "unix_socket_directories",
        &folder.path().display().to_string(),
    );
    plan.set("max_connections", MAX_CONNECTIONS);
    Ok(NewServer { plan, folder, user })
}

/// The folder of the newest version that has a server.
pub(crate) fn programs() -> Option<PathBuf> {
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
