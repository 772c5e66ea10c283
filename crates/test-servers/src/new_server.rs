//! A server that is not yet started.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::server::Plan;
use crate::user::{User, as_user};
use crate::{PoolMode, Server, StartError, mariadb, pgbouncer, postgres};

/// A server whose data are made: it takes files and settings, and is started.
#[derive(Debug)]
pub struct NewServer {
    pub(crate) plan: Plan,
    pub(crate) folder: Folder,
    pub(crate) user: Option<User>,
}

impl NewServer {
    /// A PostgreSQL server of the newest version that is installed, with the user `postgres` whom it trusts.
    ///
    /// # Errors
    ///
    /// [`StartError::Missing`] if there is none, [`StartError::Failed`] if its data can't be made.
    pub fn postgres() -> Result<Self, StartError> {
        postgres::prepare()
    }

    /// A MariaDB server, which stands for MySQL as well, with the user `root` without a password and the database `boxes`.
    ///
    /// # Errors
    ///
    /// [`StartError::Missing`] if there is none, [`StartError::Failed`] if its data can't be made.
    pub fn mariadb() -> Result<Self, StartError> {
        mariadb::prepare()
    }

    /// A `PgBouncer` in front of the PostgreSQL server at this port of the loopback address, which trusts the user `postgres`.
    ///
    /// # Errors
    ///
    /// [`StartError::Missing`] if there is none, [`StartError::Failed`] if its files can't be written.
    pub fn pgbouncer(server_port: u16, mode: PoolMode) -> Result<Self, StartError> {
        pgbouncer::prepare(server_port, mode)
    }

    /// Writes a file into its folder that the server may read, and nobody else, and says where.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] if it can't be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, StartError> {
        self.folder.write(name, content, self.user.as_ref())
    }

    /// Its folder: it may write there, and the folder goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same with a setting, by the name that its configuration has for it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.plan.set(name, value);
        self
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] with what it said if it does not answer.
    pub fn start(self) -> Result<Server, StartError> {
        Server::start(self.plan, self.folder, self.user)
    }

    /// Makes the data with a program that comes with the server.
    pub(crate) fn make(
        program: &Path,
        arguments: &[String],
        folder: &Folder,
        user: Option<&User>,
    ) -> Result<(), StartError> {
        let made = as_user(program, folder.path(), user)
            .args(arguments)
            .output()
            .map_err(|error| {
                StartError::Failed(format!("{} can't be started: {error}", program.display()))
            })?;
        if made.status.success() {
            return Ok(());
        }
        Err(StartError::Failed(format!(
            "{} failed ({}):\n{}",
            program.display(),
            made.status,
            String::from_utf8_lossy(&made.stderr)
        )))
    }
}

pub(crate) fn free_port() -> Result<u16, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| Ok(listener.local_addr()?.port()))
        .map_err(|error| StartError::Failed(format!("there is no free port: {error}")))
}
