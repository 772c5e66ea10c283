//! Where the four boxes are.

use std::sync::Arc;

use boxes::http::{RemoteError, RemoteNotificationLog, RemoteOptions};
use boxes::mapper::Mapper;
use boxes::notification_log::NotificationLog;
use boxes::service::Running;
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
    mappers: [Mapper; 4],
}

/// An address is no URL. The message says what is wrong with it.
pub type InvalidUrl = <Url as std::str::FromStr>::Err;

impl Endpoints {
    /// The boxes of this process, each read with its own mapper.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] never: it has addresses of its own.
    pub fn of(running: &Running) -> Result<Self, InvalidUrl> {
        let mapper = |name: BoxName| {
            let app = running.app(name.as_str());
            app.map(|app| app.mapper().clone()).unwrap_or_default()
        };
        Ok(Self::monolith(running.base_url())?.read_by(mapper))
    }

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
            mappers: BoxName::ALL.map(mapper_of(|_| Mapper::default())),
        })
    }

    /// The same, where the log of each box is read with a mapper of its own: with its keys.
    #[must_use]
    pub fn read_by(mut self, mapper: impl Fn(BoxName) -> Mapper) -> Self {
        self.mappers = BoxName::ALL.map(mapper_of(mapper));
        self
    }

    /// What makes events of what is in the log of a box.
    #[must_use]
    pub fn mapper(&self, name: BoxName) -> &Mapper {
        let [orders, inventory, payments, shipping] = &self.mappers;
        match name {
            BoxName::Orders => orders,
            BoxName::Inventory => inventory,
            BoxName::Payments => payments,
            BoxName::Shipping => shipping,
        }
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

/// What is encrypted is bound to the box that did it.
fn mapper_of(mapper: impl Fn(BoxName) -> Mapper) -> impl Fn(BoxName) -> Mapper {
    move |name| mapper(name).of_box(name.as_str())
}
