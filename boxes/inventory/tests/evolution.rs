//! What this box has ever stored stays readable.

use boxes_testing::RecordedSchemas;
use inventory::product::{Listing, ProductEvent};
use inventory::reservation::{ReservationEvent, Units};

#[test]
fn what_is_stored_stays_readable() {
    let listing = Listing {
        product: 11,
        name: "Queso Cabrales".to_owned(),
        units_in_stock: 22,
        reorder_level: 30,
        discontinued: false,
    };
    let quantity = 12;
    let products = [
        ProductEvent::Added(listing),
        ProductEvent::Reserved { quantity },
        ProductEvent::Restocked { quantity },
        ProductEvent::Released { quantity },
    ];
    let order = "0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f".to_owned();
    let product = 11;
    let reservations = [
        ReservationEvent::Reserved {
            order: order.clone(),
            units: vec![Units { product, quantity }],
        },
        ReservationEvent::Rejected {
            order,
            short: vec![product],
        },
        ReservationEvent::Released,
    ];
    RecordedSchemas::of_this_package()
        .event(products)
        .event(reservations)
        .check();
}
