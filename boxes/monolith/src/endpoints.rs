//! Where the four boxes are.

use std::sync::Arc;

use boxes::http::{RemoteError, RemoteNotificationLog, RemoteOptions};
use boxes::mapper::Mapper;
use boxes::notification_log::NotificationLog;
use reqwest::Url;

/// One of the four boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxName {
    /// What customers want.
    Orders,
    /// What there is.
    Inventory,
    /// What is paid.
    Payments,
    /// What went out.
    Shipping,
}

impl BoxName {
    /// All four, in the order in which they are declared.
    pub const ALL: [Self; 4] = [
        Self::Orders,
        Self::Inventory,
        Self::Payments,
        Self::Shipping,
    ];

    /// The name as it stands in paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Payments => "payments",
            Self::Shipping => "shipping",
        }
    }
}

/// Where the four boxes are: one address for all of them in one process, or one each.
#[derive(Debug, Clone)]
pub struct Endpoints {
    orders: Url,
    inventory: Url,
    payments: Url,
    shipping: Url,
    mapper: Mapper,
}

/// An address is no URL. The message says what is wrong with it.
pub type InvalidUrl = <Url as std::str::FromStr>::Err;

impl Endpoints {
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
    pub fn services(base: impl Fn(BoxName) -> String) -> Result<Self, InvalidUrl> {
        Ok(Self {
            orders: base(BoxName::Orders).parse()?,
            inventory: base(BoxName::Inventory).parse()?,
            payments: base(BoxName::Payments).parse()?,
            shipping: base(BoxName::Shipping).parse()?,
            mapper: Mapper::default(),
        })
    }

    /// The same, whose logs are read with these keys.
    #[must_use]
    pub fn read_by(mut self, mapper: Mapper) -> Self {
        self.mapper = mapper;
        self
    }

    /// What makes events of what stands in the logs.
    #[must_use]
    pub const fn mapper(&self) -> &Mapper {
        &self.mapper
    }

    /// The URL of `path` in a box: `url(BoxName::Orders, "orders")` is where orders are placed.
    #[must_use]
    pub fn url(&self, name: BoxName, path: &str) -> Url {
        let mut url = match name {
            BoxName::Orders => &self.orders,
            BoxName::Inventory => &self.inventory,
            BoxName::Payments => &self.payments,
            BoxName::Shipping => &self.shipping,
        }
        .clone();
        url.set_path(&format!("/{}/{path}", name.as_str()));
        url
    }

    /// The notification log of a box, read over HTTP.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] if the address is none of a log.
    pub fn log(&self, name: BoxName) -> Result<Arc<dyn NotificationLog>, RemoteError> {
        let url = self.url(name, "notifications");
        Ok(Arc::new(RemoteNotificationLog::new(
            url,
            RemoteOptions::default(),
        )?))
    }
}
