//! What tests of several boxes share: boxes as processes that can be killed, and their logs side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

mod archive;
mod authority;
mod caching_proxy;
mod fault_proxy;
mod logs;
mod mirror;
mod process;
mod services;
mod started;
mod wait;

pub use archive::{Entries, Entry, serve_archive, write_entries};
pub use authority::Authority;
pub use caching_proxy::CachingProxy;
pub use fault_proxy::{Fault, FaultProxy};
pub use logs::{Story, stories};
pub use mirror::{Copied, Counted, copied, count, follower, mirror_box, source_box, start};
pub use process::BoxProcess;
pub use services::FourServices;
pub use started::StartedProgram;
pub use wait::{DEADLINE, until};
