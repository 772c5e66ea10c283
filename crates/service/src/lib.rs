//! Boxes as processes: configuration, start, health, metrics, shutdown.
//!
//! Reading order: a [`BoundedContext`] declares a box; [`run`] makes a program of several, and [`Program`] is
//! the same with a name and a version. Behind that: `setting` is the one table of all that a service can be
//! told, [`ServeOptions`] are its command line, `layers` puts flags over variables over the file, and
//! [`Config`] is what comes out; `plan` fits the declared boxes to it; [`Service`] starts them, with `routes`
//! and `logs` for what is served, `auth` before it (with `scope`, `secret` and `tokens`; `known_host` and `cross_site` where there are no tokens), `rate_limit` (with `forwarded`) and `cors` before that, and
//! `server`, `connection`, `slow_client` and `certificate` beneath it; [`Running`] stops them.
//!
//! What a route sees: [`Json`] and [`Path`] out of a request, [`Problem`] as its error; `error_pages` turns all
//! other errors into problems, too. What programs see: `descriptions` and `async_api`. What an operator sees: `index`, `health`, `metrics`, and the log that
//! [`init_telemetry`] sets up.

mod access;
mod async_api;
mod auth;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod backup_program;
mod by_name;
mod certificate;
mod clients_file;
mod coded_body;
mod command;
mod command_line;
mod config;
mod connection;
mod context;
mod cors;
mod cross_site;
mod database_url;
mod declared;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod delete_program;
mod descriptions;
mod encryption;
mod error_pages;
mod expected_panic;
mod extract;
mod final_answer;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod followed_log;
mod followed_topics;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod forget_program;
mod forwarded;
mod garbage_program;
mod greeting;
mod health;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod import;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod import_program;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod import_report;
mod index;
mod json_schema;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod key_store_options;
mod known_host;
mod layers;
mod log_copy;
mod log_keys;
mod logs;
mod metrics;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod move_keys_program;
mod observed_log;
mod one_host;
mod open_files;
mod operation;
mod options;
mod output;
mod plan;
mod problem;
mod program;
mod progress_bar;
mod python_time;
mod rate_limit;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod reencrypt;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod reencrypt_program;
mod refused_head;
mod remote_data_keys;
mod remote_seals;
mod remote_values;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod repair_program;
mod request_progress;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rewrap_program;
mod routes;
#[cfg(test)]
mod routes_are_described;
mod running;
mod scope;
mod seal_mark;
mod seal_routes;
mod sealing;
mod seats;
mod secret;
mod secret_file;
mod server;
mod service;
mod setting;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod skip_program;
mod slow_client;
mod start_error;
mod state;
mod state_schema;
mod stop_signal;
mod store;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "some commands are for these databases alone")
)]
mod store_options;
mod subject_keys;
mod suggestion;
mod telemetry;
mod tokens;
mod topics;
mod topics_program;
mod unread_bodies;
mod upstream_address;
mod value_routes;
mod verify_program;
mod whole_number;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use backup_program::{BackupArguments, BackupOptions};
pub use certificate::{CertificateError, TlsFiles};
pub use command::BoxCommand;
pub use command_line::parse_command_line;
pub use config::{Config, ConfigError, Delivery, StateFormat};
pub use context::BoundedContext;
pub use cors::{CorsOrigin, ParseCorsOriginError};
pub use database_url::DatabaseUrl;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use delete_program::{DeleteArguments, DeleteOptions};
pub use extract::{Json, Path};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use forget_program::{ForgetArguments, ForgetOptions};
pub use forwarded::{Network, ParseNetworkError};
pub use garbage_program::{GarbageArguments, GarbageOptions};
pub use greeting::Greeting;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use import_program::{ImportArguments, ImportOptions};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use key_store_options::KeyStoreOptions;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use move_keys_program::{MoveKeysArguments, MoveKeysOptions};
pub use operation::Operation;
pub use options::ServeOptions;
pub use output::print_line;
pub use problem::Problem;
pub use program::{Failure, Program, Result, run, serve};
pub use rate_limit::RateLimit;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use reencrypt_program::{ReencryptArguments, ReencryptOptions};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use repair_program::{
    NewEpochArguments, NewEpochOptions, SetPositionArguments, SetPositionOptions,
};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use rewrap_program::{RewrapKeysArguments, RewrapKeysOptions};
pub use running::{Running, Stopped};
pub use scope::{ParseScopesError, Scope, Scopes};
pub use sealing::Sealing;
pub use secret::{MAX_TOKEN_BYTES, MIN_TOKEN_BYTES, Token, TokenError};
pub use service::Service;
pub use setting::{SETTINGS, Setting, Shape};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use skip_program::{SkipArguments, SkipOptions};
pub use start_error::StartError;
pub use stop_signal::StopSignal;
pub use store::{ParseStoreError, Store};
pub use store_options::StoreOptions;
pub use telemetry::{LogFormat, ParseLogFormatError, init_telemetry};
pub use tokens::{Grant, Tokens};
pub use topics::{FollowedTopics, LogTopics};
pub use topics_program::TopicsOptions;
pub use upstream_address::{NoUpstreamAddress, UpstreamAddress};
pub use verify_program::{VerifyArguments, VerifyOptions};
pub use whole_number::whole_number;
