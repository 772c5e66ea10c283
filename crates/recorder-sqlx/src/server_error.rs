//! What the driver of a server says when the server itself says nothing.

/// The time that was given is over, and nobody has answered.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Whether the connection broke.
pub(crate) const fn is_broken(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed
    )
}

/// The kind of failure, in words that name no address and no text of the driver.
pub(crate) fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            "the server did not answer in time"
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => {
            "the connection to the server is lost, or can't be made"
        }
        sqlx::Error::Tls(_) => "the server can't be reached by TLS as configured",
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            "a row is not what this program writes"
        }
        _ => "the database driver failed",
    }
}
