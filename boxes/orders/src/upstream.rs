//! What this box reads of the others' languages.
//!
//! A payment and a shipment have the id of the order that they are for; a reservation names it.

use boxes::prelude::*;

use crate::order::Order;

/// What inventory says of the units of an order.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "inventory.reservation")]
pub(crate) enum Reservation {
    Reserved { order: Id<Order> },
    Rejected { order: Id<Order>, short: Vec<u32> },
}

/// What payments says of the amount of an order.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "payments.payment")]
pub(crate) enum Payment {
    Captured { amount_cents: u64 },
    Declined { amount_cents: u64 },
}

/// What shipping says of an order.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "shipping.shipment")]
pub(crate) enum Shipment {
    Shipped {},
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxes_testing::RecordedUpstreams;

    #[test]
    fn what_was_ever_published_is_read_as_it_was() {
        RecordedUpstreams::of_this_package()
            .follows::<Reservation>("../inventory/tests/schemas")
            .follows::<Payment>("../payments/tests/schemas")
            .follows::<Shipment>("../shipping/tests/schemas")
            .check();
    }
}
