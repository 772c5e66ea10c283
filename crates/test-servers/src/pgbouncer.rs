//! `PgBouncer`, which lends the connections of a PostgreSQL server.

use crate::folder::Folder;
use crate::new_server::{NewServer, free_port};
use crate::postgres::programs;
use crate::program::find_program;
use crate::server::{Plan, StopSignal};
use crate::user::User;
use crate::{PoolMode, StartError};

const PACKAGE: &str = "pgbouncer";

/// Where packages have it.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// How many connections of the server it has: few, so that clients share them.
const POOL_SIZE: u32 = 4;

/// In front of the server that listens at this port of the loopback address, whose user `postgres` is trusted.
pub(crate) fn prepare(server_port: u16, mode: PoolMode) -> Result<NewServer, StartError> {
    let program =
        find_program("pgbouncer", &FOLDERS).ok_or(StartError::Missing { package: PACKAGE })?;
    let programs = programs().ok_or(StartError::Missing {
        package: "postgresql",
    })?;
    // It refuses to run as root.
    let user = User::named_if_root("nobody")?;
    let folder = Folder::new("pgbouncer", user.as_ref())?;
    let port = free_port()?;
    let users = folder.write("users.txt", b"\"postgres\" \"\"\n", user.as_ref())?;
    let (mode, pool_size) = match mode {
        PoolMode::Session => ("session", 100),
        PoolMode::Transaction => ("transaction", POOL_SIZE),
    };
    // What it does with parameters that it does not know is left as it is by default: it refuses them.
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={server_port}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n\
         auth_file = {}\npool_mode = {mode}\ndefault_pool_size = {pool_size}\nmax_client_conn = 500\n",
        users.display()
    );
    let settings = folder.write("pgbouncer.ini", settings.as_bytes(), user.as_ref())?;
    let plan = Plan {
        name: "PgBouncer",
        program,
        arguments: vec![settings.display().to_string()],
        settings: Vec::new(),
        argument: |_, _| Vec::new(),
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
        stop: StopSignal::Terminate,
    };
    Ok(NewServer { plan, folder, user })
}
