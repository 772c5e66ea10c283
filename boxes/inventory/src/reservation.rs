//! The units that are set aside for one order. It has the order's id.

use boxes::prelude::*;
use thiserror::Error;

/// So many units of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// The product's number.
    pub product: u32,
    /// How many.
    pub quantity: u64,
}

/// What can happen to a reservation.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "inventory.reservation")]
pub enum ReservationEvent {
    /// All units of the order are set aside.
    Reserved {
        /// Which.
        units: Vec<Units>,
    },
    /// There were not enough: none is set aside.
    Rejected {
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
            ReservationEvent::Reserved { units } => units.clone(),
            ReservationEvent::Rejected { .. } | ReservationEvent::Released => Vec::new(),
        };
    }
}

impl Reservation {
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
