//! The shipment of one order. It has the order's id.

use boxes::prelude::*;
use schemars::JsonSchema;

/// What can happen to a shipment.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[event(topic = "shipping.shipment")]
pub enum ShipmentEvent {
    /// It went out.
    Shipped {
        /// The number of the shipper that brings it.
        shipper: u32,
    },
}

/// A shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shipment {
    /// The number of the shipper that brings it.
    pub shipper: u32,
}

impl Aggregate for Shipment {
    type Event = ShipmentEvent;

    fn apply(&mut self, event: &ShipmentEvent) {
        let ShipmentEvent::Shipped { shipper } = event;
        self.shipper = *shipper;
    }
}
