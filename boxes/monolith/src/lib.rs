//! The four example boxes in one program, and real orders to try them with.
//!
//! This is the one place that sees all boxes. They do not see each other: what is declared here is only which
//! ones there are.
//!
//! Reading order: [`contexts`] are the boxes; `northwind` the orders; `replay` places them over HTTP; `totals`
//! counts from the logs what became of them; `demo` does all of that in front of a person.

pub mod demo;
mod endpoints;
pub mod northwind;
mod program;
pub mod replay;
pub mod totals;

pub use endpoints::{BoxName, Endpoints, InvalidUrl};
pub use program::run;

use boxes::prelude::BoundedContext;

/// All four boxes.
pub fn contexts() -> [BoundedContext; 4] {
    [
        orders::context(),
        inventory::context(),
        payments::context(),
        shipping::context(),
    ]
}
