//! How a pooler shares connections.

/// For how long a client of a pooler has a connection of the server for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as it is connected.
    Session,
    /// For one transaction.
    Transaction,
}
