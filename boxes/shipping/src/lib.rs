//! Shipping: which orders went out, and with whom.
//!
//! It follows orders: once an order is paid, it is shipped.

mod policy;
mod routes;
pub mod shipment;
mod upstream;

use boxes::prelude::*;

/// The box.
pub fn context() -> BoundedContext {
    BoundedContext::new("shipping")
        .aggregate::<shipment::Shipment>()
        .follow("orders", policy::on_order)
        .routes(routes::routes)
        .open_api(include_str!("openapi.json"))
}
