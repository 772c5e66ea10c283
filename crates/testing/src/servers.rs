//! What `cargo xtask test` starts and installs for tests: databases of servers, and other people's programs.
//!
//! Each is found by a variable of the environment. A test that needs one does not pass without it: it panics with a
//! sentence that says what to run.

use std::path::PathBuf;

use uuid::Uuid;

/// The variable that says where a PostgreSQL database for tests is: `postgres://user@host:port/database`.
pub const POSTGRES_VARIABLE: &str = "BOXES_TEST_POSTGRES_URL";

/// The variable that says where a MySQL or MariaDB database for tests is: `mysql://user@host:port/database`.
pub const MYSQL_VARIABLE: &str = "BOXES_TEST_MYSQL_URL";

/// The variable that says where Python is, with the packages of `tests/python/requirements-9.txt`.
pub const PYTHON_VARIABLE: &str = "BOXES_TEST_PYTHON";

/// The variable that says where Python is, with the packages of `tests/python/requirements-8.txt`.
pub const PYTHON_8_VARIABLE: &str = "BOXES_TEST_PYTHON_8";

/// The variable that says where nginx is.
pub const NGINX_VARIABLE: &str = "BOXES_TEST_NGINX";

/// The variable that says where Varnish is.
pub const VARNISH_VARIABLE: &str = "BOXES_TEST_VARNISH";

/// The variable that says where Chromium is.
pub const CHROMIUM_VARIABLE: &str = "BOXES_TEST_CHROMIUM";

/// The URL of a schema of its own in the PostgreSQL database for tests.
///
/// # Panics
///
/// If the variable [`POSTGRES_VARIABLE`] is not set: a test that needs a server does not pass without one.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the name of a test's schema has to be no other's, and nothing else"
)]
pub fn postgres_url() -> String {
    let url = variable(POSTGRES_VARIABLE, "a PostgreSQL server");
    format!("{url}?schema=test_{}", Uuid::new_v4().simple())
}

/// The URL of tables of its own in the MySQL or MariaDB database for tests.
///
/// # Panics
///
/// If the variable [`MYSQL_VARIABLE`] is not set: a test that needs a server does not pass without one.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the prefix of a test's tables has to be no other's, and nothing else"
)]
pub fn mysql_url() -> String {
    let url = variable(MYSQL_VARIABLE, "a MySQL or MariaDB server");
    format!("{url}?prefix=test_{}", Uuid::new_v4().simple())
}

/// The Python interpreter that has version 9 of the library `eventsourcing`, and packages that read what boxes write.
///
/// # Panics
///
/// If the variable [`PYTHON_VARIABLE`] is not set.
#[must_use]
pub fn python() -> PathBuf {
    variable(PYTHON_VARIABLE, "Python with packages").into()
}

/// The Python interpreter that has version 8 of the library `eventsourcing`.
///
/// # Panics
///
/// If the variable [`PYTHON_8_VARIABLE`] is not set.
#[must_use]
pub fn python_8() -> PathBuf {
    variable(PYTHON_8_VARIABLE, "Python with packages").into()
}

/// The program nginx.
///
/// # Panics
///
/// If the variable [`NGINX_VARIABLE`] is not set.
#[must_use]
pub fn nginx() -> PathBuf {
    variable(NGINX_VARIABLE, "nginx").into()
}

/// The program `varnishd`.
///
/// # Panics
///
/// If the variable [`VARNISH_VARIABLE`] is not set.
#[must_use]
pub fn varnish() -> PathBuf {
    variable(VARNISH_VARIABLE, "Varnish").into()
}

/// The program Chromium.
///
/// # Panics
///
/// If the variable [`CHROMIUM_VARIABLE`] is not set.
#[must_use]
pub fn chromium() -> PathBuf {
    variable(CHROMIUM_VARIABLE, "Chromium").into()
}

fn variable(name: &str, what: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("this test needs {what}, and {name} is not set: run `cargo xtask test`, which sees to it")
    })
}
