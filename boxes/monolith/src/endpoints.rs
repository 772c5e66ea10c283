//! Where the four boxes are.

use std::sync::Arc;

use boxes::http::{RemoteError, RemoteNotificationLog, RemoteOptions};
use boxes::notification_log::NotificationLog;
use reqwest::Url;

/// Where the four boxes are: one address for all of them in one process, or one each.
#[derive(Debug, Clone)]
pub struct Endpoints {
    bases: Vec<(&'static str, Url)>,
}

/// An address is no URL. The message says what is wrong with it.
pub type InvalidUrl = <Url as std::str::FromStr>::Err;

impl Endpoints {
    /// The boxes.
    pub const NAMES: [&'static str; 4] = ["orders", "inventory", "payments", "shipping"];

    /// All boxes in one process at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if it is none.
    pub fn monolith(base: &str) -> Result<Self, InvalidUrl> {
        Self::services(|_| base.to_owned())
    }

    /// Each box where `base` says.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] if one of them is none.
    pub fn services(base: impl Fn(&str) -> String) -> Result<Self, InvalidUrl> {
        let mut bases = Vec::new();
        for name in Self::NAMES {
            bases.push((name, base(name).parse()?));
        }
        Ok(Self { bases })
    }

    /// The URL of `path` in the box `name`: `url("orders", "orders")` is where orders are placed.
    ///
    /// # Panics
    ///
    /// Never for one of [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn url(&self, name: &str, path: &str) -> Url {
        let base = self.bases.iter().find(|(n, _)| *n == name);
        let mut url = base.map_or_else(
            || unreachable!("there is no box `{name}`"),
            |(_, url)| url.clone(),
        );
        url.set_path(&format!("/{name}/{path}"));
        url
    }

    /// The notification log of the box `name`, read over HTTP.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] if the address is none of a log.
    pub fn log(&self, name: &str) -> Result<Arc<dyn NotificationLog>, RemoteError> {
        Ok(Arc::new(RemoteNotificationLog::new(
            self.url(name, "notifications"),
            RemoteOptions::default(),
        )?))
    }
}
