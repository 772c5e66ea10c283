//! Boxes as processes.
mod config;
mod layers;
mod options;
mod secret;
mod setting;
mod store;
mod telemetry;

pub use config::{Config, ConfigError, Delivery};
pub use options::ServeOptions;
pub use secret::{Access, MAX_TOKEN_BYTES, MIN_TOKEN_BYTES, Token, TokenError, Tokens};
pub use setting::{SETTINGS, Setting, Shape};
pub use store::{ParseStoreError, Store};
pub use telemetry::{LogFormat, ParseLogFormatError, init_telemetry};
