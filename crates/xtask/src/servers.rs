//! What tests find beside them: databases, a proxy, and other people's clients.

use crate::apt;
use crate::server::Server;
use crate::{mariadb, postgres, python, tools};

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
        let programs = vec![
            (
                "BOXES_TEST_PYTHON",
                python::environment("9")?.display().to_string(),
            ),
            (
                "BOXES_TEST_PYTHON_8",
                python::environment("8")?.display().to_string(),
            ),
            ("BOXES_TEST_NGINX", nginx()?),
        ];
        Ok(Self {
            postgres: postgres::start()?,
            mariadb: mariadb::start()?,
            programs,
        })
    }

    /// What tests are told in their environment; `boxes_testing::servers` has the same names.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.programs.clone();
        variables.push((
            "BOXES_TEST_POSTGRES_URL",
            format!(
                "postgres://postgres@127.0.0.1:{}/postgres",
                self.postgres.port()
            ),
        ));
        variables.push((
            "BOXES_TEST_MYSQL_URL",
            format!(
                "mysql://root@127.0.0.1:{}/{}",
                self.mariadb.port(),
                mariadb::DATABASE
            ),
        ));
        variables
    }
}

fn nginx() -> Result<String, String> {
    let found = tools::find("nginx").or_else(|_| {
        apt::install("nginx-light")?;
        tools::find("nginx")
    })?;
    Ok(found.display().to_string())
}
