//! What became of all orders, counted from the notification logs of the four boxes.

use std::collections::{BTreeMap, HashMap};

use boxes::domain::Id;
use boxes::http::RemoteError;
use boxes::mapper::{Mapper, MapperError};
use boxes::notification_log::{LogError, NotificationLogReader};
use boxes::recorder::Notification as LoggedNotification;
use inventory::product::ProductEvent;
use inventory::reservation::ReservationEvent;
use orders::order::{Order, OrderEvent, Status};
use payments::payment::PaymentEvent;
use shipping::shipment::ShipmentEvent;
use thiserror::Error;

use crate::{BoxName, Endpoints};

/// What became of all orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Orders that ended as shipped.
    pub shipped: u64,
    /// Orders that ended as rejected.
    pub rejected: u64,
    /// Orders that ended as cancelled.
    pub cancelled: u64,
    /// Orders that have not ended.
    pub open: u64,
    /// What payments captured, in cents.
    pub captured_cents: u64,
    /// Units of the orders that ended as shipped.
    pub units_shipped: u64,
    /// How often a product was restocked.
    pub restocks: u64,
    /// Units that can be reserved now.
    pub units_available: u64,
}

impl Totals {
    /// What comes out when the 830 orders are replayed one at a time.
    pub const EXPECTED: Self = Self {
        shipped: 506,
        rejected: 319,
        cancelled: 5,
        open: 0,
        captured_cents: 56_151_680,
        units_shipped: 23_499,
        restocks: 256,
        units_available: 5_220,
    };

    /// Each figure with its name.
    #[must_use]
    pub const fn figures(&self) -> [(&'static str, u64); 8] {
        [
            ("orders shipped", self.shipped),
            ("orders rejected", self.rejected),
            ("orders cancelled", self.cancelled),
            ("orders still open", self.open),
            ("cents captured", self.captured_cents),
            ("units shipped", self.units_shipped),
            ("restocks", self.restocks),
            ("units available", self.units_available),
        ]
    }
}

/// Why the logs can't be counted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TallyError {
    /// The address of a box is none.
    #[error(transparent)]
    Endpoint(#[from] RemoteError),
    /// A log can't be read.
    #[error("a notification log can't be read")]
    Log(#[from] LogError),
    /// An event is none that this program knows.
    #[error("an event of a notification log can't be understood")]
    Event(#[from] MapperError),
}

/// Everything that the four logs say of orders and units, and whether it fits together.
#[derive(Debug, Default)]
pub struct Tally {
    totals: Totals,
    orders: HashMap<u128, OrderTally>,
    available: BTreeMap<u128, i128>,
    units_in: i128,
    wrong: Vec<String>,
}

#[derive(Debug, Default)]
struct OrderTally {
    status: Option<Status>,
    units: u64,
    captured_cents: Option<u64>,
    n_placed: u32,
    n_ends: u32,
    n_reservations: u32,
    n_payments: u32,
    n_shipments: u32,
}

impl Tally {
    /// Reads the four logs from their beginning to their end.
    ///
    /// # Errors
    ///
    /// [`TallyError`] if a log can't be read, or holds what is none of these boxes' events.
    pub async fn read(endpoints: &Endpoints) -> Result<Self, TallyError> {
        let mut tally = Self::default();
        for name in BoxName::ALL {
            let mut reader = NotificationLogReader::new(endpoints.log(name)?, None);
            loop {
                let batch = reader.next_batch().await?;
                if batch.is_empty() {
                    break;
                }
                for notification in &batch {
                    tally.count(endpoints.mapper(name), notification)?;
                }
            }
        }
        tally.finish();
        Ok(tally)
    }

    /// The figures.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// How many orders the logs tell of.
    #[must_use]
    pub fn n_orders(&self) -> usize {
        self.orders.len()
    }

    /// What must hold however the orders were interleaved, and does not: each as a sentence.
    ///
    /// Every order has ended, once; each was reserved or rejected once, paid or declined at most once, shipped
    /// at most once; no product was ever below zero; units in = units shipped + available; captured = the sum
    /// over shipped orders.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.wrong
    }

    fn count(
        &mut self,
        mapper: &Mapper,
        notification: &LoggedNotification,
    ) -> Result<(), MapperError> {
        let stored = &notification.event;
        let id = stored.originator_id.as_u128();
        if let Some(event) = mapper.to_event::<OrderEvent>(stored)? {
            self.count_order(id, &event);
        } else if let Some(event) = mapper.to_event::<ProductEvent>(stored)? {
            self.count_product(id, &event);
        } else if let Some(event) = mapper.to_event::<ReservationEvent>(stored)? {
            if let ReservationEvent::Reserved { order, .. }
            | ReservationEvent::Rejected { order, .. } = event
            {
                match order.parse::<Id<Order>>() {
                    Ok(order) => {
                        self.orders
                            .entry(order.uuid().as_u128())
                            .or_default()
                            .n_reservations += 1;
                    }
                    Err(error) => self
                        .wrong
                        .push(format!("a reservation is for no order: {error}")),
                }
            }
        } else if let Some(event) = mapper.to_event::<PaymentEvent>(stored)? {
            let order = self.orders.entry(id).or_default();
            order.n_payments += 1;
            if let PaymentEvent::Captured { amount_cents } = event {
                order.captured_cents = Some(amount_cents);
                self.totals.captured_cents += amount_cents;
            }
        } else if mapper.to_event::<ShipmentEvent>(stored)?.is_some() {
            self.orders.entry(id).or_default().n_shipments += 1;
        }
        Ok(())
    }

    fn count_order(&mut self, id: u128, event: &OrderEvent) {
        let order = self.orders.entry(id).or_default();
        let status = match event {
            OrderEvent::Placed(request) => {
                order.n_placed += 1;
                order.units = request.lines.iter().map(|l| u64::from(l.quantity)).sum();
                Status::Placed
            }
            OrderEvent::Reserved { .. } => Status::Reserved,
            OrderEvent::Paid { .. } => Status::Paid,
            OrderEvent::Rejected { .. } => Status::Rejected,
            OrderEvent::Cancelled { .. } => Status::Cancelled,
            OrderEvent::Shipped => Status::Shipped,
        };
        order.n_ends += u32::from(matches!(
            status,
            Status::Rejected | Status::Cancelled | Status::Shipped
        ));
        order.status = Some(status);
    }

    fn count_product(&mut self, id: u128, event: &ProductEvent) {
        let available = self.available.entry(id).or_default();
        match event {
            ProductEvent::Added(listing) => {
                *available += i128::from(listing.units_in_stock);
                self.units_in += i128::from(listing.units_in_stock);
            }
            ProductEvent::Reserved { quantity } => *available -= i128::from(*quantity),
            ProductEvent::Released { quantity } => *available += i128::from(*quantity),
            ProductEvent::Restocked { quantity } => {
                *available += i128::from(*quantity);
                self.units_in += i128::from(*quantity);
                self.totals.restocks += 1;
            }
        }
        if *available < 0 {
            self.wrong
                .push(format!("the product {id:032x} has {available} units"));
        }
    }

    fn finish(&mut self) {
        let totals = &mut self.totals;
        let mut captured_for_shipped = 0;
        for (id, order) in &self.orders {
            match order.status {
                Some(Status::Shipped) => {
                    totals.shipped += 1;
                    totals.units_shipped += order.units;
                    captured_for_shipped += order.captured_cents.unwrap_or_default();
                }
                Some(Status::Rejected) => totals.rejected += 1,
                Some(Status::Cancelled) => totals.cancelled += 1,
                _ => totals.open += 1,
            }
            let OrderTally {
                n_placed,
                n_ends,
                n_reservations,
                n_payments,
                n_shipments,
                ..
            } = *order;
            let was_paid = !matches!(order.status, Some(Status::Rejected));
            let expected = (
                1,
                1,
                1,
                u32::from(was_paid),
                u32::from(order.status == Some(Status::Shipped)),
            );
            if (n_placed, n_ends, n_reservations, n_payments, n_shipments) != expected {
                self.wrong.push(format!(
                    "the order {id:032x} is not once what it should be: {order:?}"
                ));
            }
        }
        let available: i128 = self.available.values().sum();
        totals.units_available = u64::try_from(available).unwrap_or_default();
        if self.units_in != i128::from(totals.units_shipped) + available {
            self.wrong.push(format!(
                "{} units came in, {} were shipped and {available} are available",
                self.units_in, totals.units_shipped
            ));
        }
        if totals.captured_cents != captured_for_shipped {
            self.wrong.push(format!(
                "{} cents were captured, {captured_for_shipped} of them for shipped orders",
                totals.captured_cents
            ));
        }
    }
}
