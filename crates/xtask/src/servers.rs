//! What tests find beside them: databases, a proxy, a browser, and other people's clients.

use boxes_test_servers::{NewServer, Server, StartError};

use crate::apt;
use crate::{python, tools};

/// Servers that run as long as this value lives, and programs that the tests start.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: Server,
    mariadb: Server,
    /// Variables with the paths of programs.
    programs: Vec<(&'static str, String)>,
}

impl Servers {
    /// Starts them; installs what is missing where that is allowed (as root, with apt).
    pub(crate) fn start() -> Result<Self, String> {
        // Commands of the documents, which the suite runs.
        for program in ["curl", "openssl"] {
            installed(program, program)?;
        }
        let programs = vec![
            (
                "BOXES_TEST_PYTHON",
                python::environment("9")?.display().to_string(),
            ),
            (
                "BOXES_TEST_PYTHON_8",
                python::environment("8")?.display().to_string(),
            ),
            ("BOXES_TEST_NGINX", installed("nginx", "nginx-light")?),
            ("BOXES_TEST_VARNISH", installed("varnishd", "varnish")?),
            ("BOXES_TEST_PGBOUNCER", installed("pgbouncer", "pgbouncer")?),
            ("BOXES_TEST_CHROMIUM", installed("chromium", "chromium")?),
        ];
        Ok(Self {
            postgres: start(NewServer::postgres)?,
            mariadb: start(NewServer::mariadb)?,
            programs,
        })
    }

    /// What tests are told in their environment; `boxes_testing::servers` has the same names.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.programs.clone();
        for (variable, server) in [
            ("BOXES_TEST_POSTGRES_URL", &self.postgres),
            ("BOXES_TEST_MYSQL_URL", &self.mariadb),
        ] {
            variables.push((variable, server.url().to_owned()));
        }
        variables
    }
}

/// Starts a server; installs its package if it is missing and may be installed.
fn start(new: fn() -> Result<NewServer, StartError>) -> Result<Server, String> {
    let new = match new() {
        Err(StartError::Missing { package }) => {
            apt::install(package)?;
            new()
        }
        new => new,
    };
    new.and_then(NewServer::start)
        .map_err(|error| error.to_string())
}

/// Where the program is; installed with this package if it is missing.
fn installed(program: &str, package: &str) -> Result<String, String> {
    let found = tools::find(program).or_else(|_| {
        apt::install(package)?;
        tools::find(program)
    })?;
    Ok(found.display().to_string())
}
