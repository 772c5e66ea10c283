//! What this box reads of orders' language.

use boxes::prelude::*;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.order")]
pub(crate) enum Order {
    Paid { shipper: u32 },
}
