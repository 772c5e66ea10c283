//! For tests: given, when, then; the contract suites; a running box on port 0
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "in a test a panic is the message"
)]

mod browser;
mod given;
pub mod key_value_contract;
mod live_reading;
pub mod log_fixture;
mod notification_log_slices;
pub mod notification_log_suite;
#[cfg(feature = "evolution")]
mod recorded_file;
#[cfg(feature = "evolution")]
mod recorded_schemas;
#[cfg(feature = "evolution")]
mod recorded_upstreams;
mod recorder_appending;
pub mod recorder_contract;
mod recorder_deletion;
mod recorder_fixture;
mod recorder_reading;
mod recorder_recording;
mod recorder_sharing;
#[cfg(feature = "running")]
mod running;
mod servers;
#[cfg(feature = "evolution")]
mod stored_form;

pub use browser::{Browser, OpenPage, Screenshot};
pub use given::{Given, When, given};
pub use live_reading::{LiveReading, LogFlaw};
#[cfg(feature = "evolution")]
pub use recorded_file::UPDATE_VARIABLE;
#[cfg(feature = "evolution")]
pub use recorded_schemas::RecordedSchemas;
#[cfg(feature = "evolution")]
pub use recorded_upstreams::RecordedUpstreams;
#[cfg(feature = "running")]
pub use running::RunningBoxes;
pub use servers::{
    CHROMIUM_VARIABLE, MYSQL_VARIABLE, NGINX_VARIABLE, POSTGRES_VARIABLE, PYTHON_8_VARIABLE,
    PYTHON_VARIABLE, VARNISH_VARIABLE, chromium, mysql_url, nginx, postgres_url, python, python_8,
    varnish,
};
