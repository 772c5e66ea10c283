//! What servers, networks and full disks do to a recorder: on PostgreSQL and on MariaDB, by the same tests.
//!
//! `database` is what the two have other than each other; `network` loses commits and answers; `hosts` are several; `faults`, `outcome` and `races` need no server of their own,
//! `crash`, `disk_full` and `tls` do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the message"
)]

mod crash;
mod database;
mod disk_full;
mod events;
mod faults;
mod hosts;
mod network;
mod outcome;
mod races;
mod schema_steps;
mod tls;
