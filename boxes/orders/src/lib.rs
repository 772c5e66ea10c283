//! Orders: what a customer wants, and what became of it.
//!
//! An order is placed here; inventory reserves its units or rejects it, payments captures or declines its
//! amount, shipping ships it. This box follows all three, and records how the order goes on, so that each of
//! them has to follow this box alone.
//!
//! Reading order: [`order`] decides; `upstream` says what this box reads of the others; `policy` what it does
//! then; `routes` what can be asked over HTTP, which `openapi.json` tells to programs. `older_versions` leads from what was
//! stored before to what is now.

mod older_versions;
pub mod order;
mod policy;
mod routes;
mod upstream;

use boxes::prelude::*;

/// The box.
pub fn context() -> BoundedContext {
    BoundedContext::new("orders")
        .aggregate::<order::Order>()
        .follow("inventory", policy::on_reservation)
        .follow("payments", policy::on_payment)
        .follow("shipping", policy::on_shipment)
        .routes(routes::routes)
        .open_api(include_str!("openapi.json"))
}
