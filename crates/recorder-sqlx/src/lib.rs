//! Recorders on SQL databases: SQLite
