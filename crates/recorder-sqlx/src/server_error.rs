//! What a server says, or its driver when the server says nothing, in words of the port.

use boxes_recorder::RecorderError;

use crate::server::Server;

/// Turns what went wrong while `doing` into an error of the port: the store can't be used now.
///
/// The text names what was done and the kind of failure; SQL, addresses and driver texts are left to the source, which is
/// for the log and not for those who asked.
pub(crate) fn unavailable<S: Server>(doing: &'static str) -> impl Fn(sqlx::Error) -> RecorderError {
    move |error| {
        let reason = format!("{doing}: {}", S::kind(&error));
        if is_unreadable(&error) {
            tracing::error!(%error, "{reason}");
            return RecorderError::Broken { reason };
        }
        RecorderError::unavailable(reason, error)
    }
}

/// The same while opening, when what the configuration or an administrator has to mend is told from what passes.
pub(crate) fn while_opening<S: Server>(error: sqlx::Error) -> RecorderError {
    let reason = match S::to_mend(&error) {
        Some(reason) => reason.to_owned(),
        None if is_disbelief(&error) => format!(
            "the certificate of the {} server can't be believed by TLS as configured: \
             name its authority in the URL (`{}=FILE`), and the server as its certificate does",
            S::NAME,
            S::AUTHORITY_PARAMETER
        ),
        None => return unavailable::<S>("opening the database")(error),
    };
    RecorderError::Mismatch { reason }
}

/// The time that was given is over, and nobody has answered.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Whether the connection broke.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => !is_disbelief(error),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether TLS was refused here: what the server shows is not what was asked for. Trying again changes nothing.
fn is_disbelief(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // The driver hands on what its TLS says as a failure of the connection, with data that are not valid.
        sqlx::Error::Io(io) => io.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether a row is not what this program writes: trying again changes nothing.
const fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
    )
}

/// The kind of failure where the server itself says nothing.
pub(crate) fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            "the server did not answer in time"
        }
        error if is_disbelief(error) => {
            "the certificate of the server can't be believed by TLS as configured"
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => {
            "the connection to the server is lost, or can't be made"
        }
        error if is_unreadable(error) => "a row is not what this program writes",
        _ => "the database driver failed",
    }
}
