//! The units that are set aside for one order.

use boxes::prelude::*;
use schemars::JsonSchema;
use thiserror::Error;

/// So many units of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Units {
    /// The product's number.
    pub product: u32,
    /// How many.
    pub quantity: u64,
}

/// What can happen to a reservation.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[event(topic = "inventory.reservation")]
pub enum ReservationEvent {
    /// All units of the order are set aside.
    Reserved {
        /// For which order: its id in the box orders.
        order: String,
        /// Which.
        units: Vec<Units>,
    },
    /// There were not enough: none is set aside.
    Rejected {
        /// Of which order: its id in the box orders.
        order: String,
        /// The numbers of the products of which there were not enough.
        short: Vec<u32>,
    },
    /// The units are free again.
    Released,
}

/// A reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reservation {
    /// What is set aside.
    pub units: Vec<Units>,
}

/// Why a reservation refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("nothing is set aside for this order")]
pub struct NothingReserved;

impl Aggregate for Reservation {
    type Event = ReservationEvent;

    fn apply(&mut self, event: &ReservationEvent) {
        self.units = match event {
            ReservationEvent::Reserved { units, .. } => units.clone(),
            ReservationEvent::Rejected { .. } | ReservationEvent::Released => Vec::new(),
        };
    }
}

impl Reservation {
    /// The id of the reservation for an order.
    ///
    /// Not the order's own id: customers may choose that, and could choose the id of a product, whose events are
    /// in this box as well.
    #[must_use]
    pub fn id(order: &str) -> Id<Self> {
        Id::named(&format!("inventory/reservation/{order}"))
    }

    /// The units are free again.
    ///
    /// # Errors
    ///
    /// [`NothingReserved`] if none are set aside.
    pub fn release(&self) -> Result<ReservationEvent, NothingReserved> {
        if self.units.is_empty() {
            Err(NothingReserved)
        } else {
            Ok(ReservationEvent::Released)
        }
    }
}
