//! Where the four boxes are.

use std::sync::Arc;

use boxes::http::{RemoteNotificationLog, RemoteOptions};
use boxes::notification_log::{LogError, NotificationLog};

/// Where the four boxes are: one address for all of them in one process, or one each.
#[derive(Debug, Clone)]
pub struct Endpoints {
    by_box: [(&'static str, String); 4],
}

impl Endpoints {
    /// The boxes.
    pub const NAMES: [&'static str; 4] = ["orders", "inventory", "payments", "shipping"];

    /// All boxes in one process at `base`, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn monolith(base: &str) -> Self {
        Self::services(|_| base.to_owned())
    }

    /// Each box where `base` says.
    #[must_use]
    pub fn services(base: impl Fn(&str) -> String) -> Self {
        Self {
            by_box: Self::NAMES.map(|name| (name, base(name).trim_end_matches('/').to_owned())),
        }
    }

    /// The URL of `path` in the box `name`: `url("orders", "orders")` is where orders are placed.
    #[must_use]
    pub fn url(&self, name: &str, path: &str) -> String {
        let base = self
            .by_box
            .iter()
            .find(|(n, _)| *n == name)
            .map_or("", |(_, base)| base);
        format!("{base}/{name}/{path}")
    }

    /// The notification log of the box `name`, read over HTTP.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the address is none.
    pub fn log(&self, name: &str) -> Result<Arc<dyn NotificationLog>, LogError> {
        Ok(Arc::new(RemoteNotificationLog::new(
            &self.url(name, "notifications"),
            RemoteOptions::default(),
        )?))
    }
}
