//! Payments: what an order costs, and whether it was captured.
//!
//! It follows orders: once an order's units are reserved, its amount is captured or declined.

pub mod payment;
mod policy;
mod routes;
mod upstream;

use boxes::prelude::*;

/// The box.
pub fn context() -> BoundedContext {
    BoundedContext::new("payments")
        .aggregate::<payment::Payment>()
        .follow("orders", policy::on_order)
        .routes(routes::routes)
        .open_api(include_str!("openapi.json"))
}
