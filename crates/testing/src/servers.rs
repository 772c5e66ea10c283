//! Databases of servers, for tests.

use uuid::Uuid;

/// The variable that says where a PostgreSQL database for tests is: `postgres://user@host:port/database`.
pub const POSTGRES_VARIABLE: &str = "BOXES_TEST_POSTGRES_URL";

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
    let Ok(url) = std::env::var(POSTGRES_VARIABLE) else {
        panic!(
            "this test needs a PostgreSQL server, and {POSTGRES_VARIABLE} is not set: run `cargo xtask test`, which starts one"
        );
    };
    format!("{url}?schema=test_{}", Uuid::new_v4().simple())
}
