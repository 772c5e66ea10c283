//! Inventory: how many units of each product there are, and for which orders they are set aside.
//!
//! It follows orders: units are reserved when one is placed, all of them or none, and released when one is
//! cancelled. What runs low is restocked.

mod policy;
pub mod product;
pub mod reservation;
mod routes;
mod upstream;

use boxes::prelude::*;

/// The box.
pub fn context() -> BoundedContext {
    BoundedContext::new("inventory")
        .aggregate::<product::Product>()
        .aggregate::<reservation::Reservation>()
        .follow("orders", policy::on_order)
        .routes(routes::routes)
        .open_api(include_str!("openapi.json"))
}
