//! What PostgreSQL says of failures, and what it means.

use crate::server_error;

/// What has to be mended before the log can be opened.
pub(crate) fn to_mend(error: &sqlx::Error) -> Option<&'static str> {
    match state(error)?.as_str() {
        "28P01" | "28000" => {
            Some("the PostgreSQL server refuses the user or the password: mend the URL")
        }
        "3D000" => Some("the PostgreSQL server has no database of this name: create it"),
        "42501" => Some(
            "the user may not make or use the box's schema: create it for the user, or grant CREATE on the database",
        ),
        _ => None,
    }
}

/// Whether the schema or its tables are not there.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    state(error).is_some_and(|state| matches!(state.as_str(), "42P01" | "3F000"))
}

/// Whether the connection is of no use any more, so that another one may do.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    server_error::is_broken(error)
        || state(error).is_some_and(|state| {
            state.starts_with("08") || state.starts_with("57P") || state == "25P03"
        })
}

/// Whether the same may succeed a moment later.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    is_connection_lost(error) || state(error).is_some_and(|state| state == "53300")
}

/// Whether another transaction was first, and this one is rolled back: a serialization failure, a deadlock.
pub(crate) fn is_race(error: &sqlx::Error) -> bool {
    state(error).is_some_and(|state| matches!(state.as_str(), "40001" | "40P01"))
}

/// Whether there is a row of this key already.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    state(error).is_some_and(|state| state == "23505")
}

/// Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The kind of failure, in words that name no address and no text of the driver.
pub(crate) fn kind(error: &sqlx::Error) -> &'static str {
    let Some(state) = state(error) else {
        return server_error::kind(error);
    };
    match state.as_str() {
        "40001" | "40P01" => "another transaction was in the way",
        "55P03" => "another writer holds the log's lock, or somebody locks its tables",
        "57014" => "it took longer than the server may take",
        "53100" => "the server's disk is full",
        "53200" => "the server has no memory left",
        "53300" => "the server takes no more connections",
        "23505" => "the tables hold what this program can't have written",
        "25006" => "the server takes no writes: it is a standby, or read-only",
        "26000" | "42P05" => {
            "a pooler gives each transaction another session: say `pooler=transaction` in the URL"
        }
        "42P01" | "3F000" => "the tables of the box are gone",
        "42501" => "the user may not do this",
        other if other.starts_with("28") => "the server refuses the user",
        other if other.starts_with("57P") || other == "25P03" => {
            "the server ended the connection, or is starting or stopping"
        }
        _ => "PostgreSQL failed",
    }
}
