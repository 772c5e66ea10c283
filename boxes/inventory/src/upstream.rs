//! What this box reads of orders' language.

use boxes::prelude::*;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.order")]
pub(crate) enum Order {
    Placed { lines: Vec<Line> },
    Cancelled {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) product: u32,
    pub(crate) quantity: u32,
}
