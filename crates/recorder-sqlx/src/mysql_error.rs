//! What MySQL and MariaDB say of failures, and what it means.

use sqlx::mysql::MySqlDatabaseError;

use crate::server_error;

/// What has to be mended before the log can be opened.
pub(crate) fn to_mend(error: &sqlx::Error) -> Option<&'static str> {
    match number(error)? {
        1045 => Some("the MySQL server refuses the user or the password: mend the URL"),
        1044 => Some("the MySQL server lets the user not into this database: grant it"),
        1049 => Some("the MySQL server has no database of this name: create it"),
        1142 => Some(
            "the user may not make or use the box's tables: grant CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE and DELETE on the database",
        ),
        _ => None,
    }
}

/// Whether the tables are not there.
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    number(error) == Some(1146)
}

/// Whether the column or the index that was to be made is there already.
pub(crate) fn is_there_already(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1060 | 1061))
}

/// Whether there is a row of this key already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    number(error) == Some(1062)
}

/// Whether the connection is of no use any more, so that another one may do.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    server_error::is_broken(error)
        // Shutting down; killed; ended for standing still (MySQL, MariaDB).
        || number(error).is_some_and(|number| matches!(number, 1053 | 1927 | 4031))
}

/// Whether the same may succeed a moment later.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    // A lock that was not had in time and a crowd are answered by doing it again.
    is_connection_lost(error) || number(error).is_some_and(|number| matches!(number, 1205 | 1040))
}

/// Whether another transaction was first, and this one is rolled back: a deadlock; on a cluster, a transaction of another server.
pub(crate) fn is_race(error: &sqlx::Error) -> bool {
    number(error) == Some(1213)
}

/// Source: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>.
fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?;
    Some(error.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// The kind of failure, in words that name no address and no text of the driver.
pub(crate) fn kind(error: &sqlx::Error) -> &'static str {
    let Some(number) = number(error) else {
        return server_error::kind(error);
    };
    match number {
        1969 | 3024 => "it took longer than the server may take",
        1205 => "another writer holds the log's lock, or somebody locks its tables",
        1213 => "another transaction was in the way",
        1021 | 1114 => "the server's disk is full",
        1037 | 1038 | 1041 => "the server has no memory left",
        1040 => "the server takes no more connections",
        1062 => "the tables hold what this program can't have written",
        1290 | 1836 => "the server takes no writes: it is a replica, or read-only",
        1146 => "the tables of the box are gone",
        1044 | 1142 => "the user may not do this",
        1045 => "the server refuses the user",
        1053 | 1927 | 4031 => "the server ended the connection, or is stopping",
        _ => "MySQL failed",
    }
}
