//! An order, from placed to its end.

use boxes::prelude::*;
use schemars::JsonSchema;
use thiserror::Error;

use crate::older_versions::cancelled_v1_to_v2;

/// The most that one line may ask for, in units.
pub const MAX_QUANTITY: u32 = 1_000_000;

/// The most that one unit, or the freight, may cost, in cents.
pub const MAX_CENTS: u64 = 1_000_000_000;

/// The most lines of one order.
pub const MAX_LINES: usize = 1_000;

/// So much of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The product's number.
    #[serde(deserialize_with = "whole_number")]
    pub product: u32,
    /// How many units, from 1.
    #[serde(deserialize_with = "whole_number")]
    pub quantity: u32,
    /// The price of a unit, in cents.
    #[serde(deserialize_with = "whole_number")]
    pub unit_price_cents: u64,
    /// The discount on the line, in whole percent, 0 to 100.
    #[serde(default, deserialize_with = "whole_number")]
    pub discount_percent: u8,
}

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Who orders.
    pub customer: String,
    /// What, at least one line.
    pub lines: Vec<Line>,
    /// What the freight costs, in cents.
    pub freight_cents: u64,
    /// The number of the shipper that is to bring it.
    pub shipper: u32,
}

/// What can happen to an order.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[event(topic = "orders.order")]
pub enum OrderEvent {
    /// A customer placed it.
    Placed(Request),
    /// Its units are set aside: it is to be paid.
    Reserved {
        /// What is set aside.
        lines: Vec<Line>,
        /// What the freight costs, in cents.
        freight_cents: u64,
    },
    /// It can't be had: the end.
    Rejected {
        /// The numbers of the products of which there are not enough.
        short: Vec<u32>,
    },
    /// It is paid: it is to be shipped.
    Paid {
        /// What was captured, in cents.
        amount_cents: u64,
        /// The number of the shipper that is to bring it.
        shipper: u32,
    },
    /// Its payment was declined: the end, and its units are free again.
    #[event(version = 2, upcast(cancelled_v1_to_v2))]
    Cancelled {
        /// What was not paid, in cents.
        declined_cents: u64,
    },
    /// It is on its way: the end.
    Shipped,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its units.
    #[default]
    Placed,
    /// Waits to be paid.
    Reserved,
    /// Ended, because there was not enough.
    Rejected,
    /// Waits to be shipped.
    Paid,
    /// Ended, because it was not paid.
    Cancelled,
    /// Ended well.
    Shipped,
}

/// An order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// What was asked for.
    pub request: Option<Request>,
    /// How far it has come.
    pub status: Status,
}

/// Why an order refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody orders.
    #[error("an order needs a customer")]
    NoCustomer,
    /// Nothing is ordered, or too much at once.
    #[error("an order has 1 to {MAX_LINES} lines, not {0}")]
    LineCount(usize),
    /// A quantity is out of bounds.
    #[error("the quantity of product {product} has to be 1 to {MAX_QUANTITY}, not {quantity}")]
    Quantity {
        /// The product's number.
        product: u32,
        /// What was asked for.
        quantity: u32,
    },
    /// A discount is out of bounds.
    #[error("the discount on product {product} has to be 0 to 100 percent, not {percent}")]
    Discount {
        /// The product's number.
        product: u32,
        /// What was asked for.
        percent: u8,
    },
    /// A price is out of bounds.
    #[error("a price or freight has to be at most {MAX_CENTS} cents, not {0}")]
    Price(u64),
    /// The order is not where the command could be taken.
    #[error("an order that is {status:?} can't become {wanted:?}")]
    OutOfOrder {
        /// How far it has come.
        status: Status,
        /// What was asked for.
        wanted: Status,
    },
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        self.status = match event {
            OrderEvent::Placed(request) => {
                self.request = Some(request.clone());
                Status::Placed
            }
            OrderEvent::Reserved { .. } => Status::Reserved,
            OrderEvent::Rejected { .. } => Status::Rejected,
            OrderEvent::Paid { .. } => Status::Paid,
            OrderEvent::Cancelled { .. } => Status::Cancelled,
            OrderEvent::Shipped => Status::Shipped,
        };
    }
}

impl Order {
    /// A customer places it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the request is not one that could ever be met.
    pub fn place(request: Request) -> Result<OrderEvent, Refusal> {
        if request.customer.trim().is_empty() {
            return Err(Refusal::NoCustomer);
        }
        if request.lines.is_empty() || request.lines.len() > MAX_LINES {
            return Err(Refusal::LineCount(request.lines.len()));
        }
        for &Line {
            product,
            quantity,
            unit_price_cents,
            discount_percent,
        } in &request.lines
        {
            if quantity == 0 || quantity > MAX_QUANTITY {
                return Err(Refusal::Quantity { product, quantity });
            }
            if discount_percent > 100 {
                return Err(Refusal::Discount {
                    product,
                    percent: discount_percent,
                });
            }
            if unit_price_cents > MAX_CENTS {
                return Err(Refusal::Price(unit_price_cents));
            }
        }
        if request.freight_cents > MAX_CENTS {
            return Err(Refusal::Price(request.freight_cents));
        }
        Ok(OrderEvent::Placed(request))
    }

    /// Inventory has set its units aside.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfOrder`] unless it waits for them.
    pub fn reserve(&self) -> Result<OrderEvent, Refusal> {
        let request = self.request_at(Status::Placed, Status::Reserved)?;
        Ok(OrderEvent::Reserved {
            lines: request.lines.clone(),
            freight_cents: request.freight_cents,
        })
    }

    /// Inventory has not enough of some products.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfOrder`] unless it waits for them.
    pub fn reject(&self, short: &[u32]) -> Result<OrderEvent, Refusal> {
        self.request_at(Status::Placed, Status::Rejected)?;
        Ok(OrderEvent::Rejected {
            short: short.to_vec(),
        })
    }

    /// Payments has captured its amount.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfOrder`] unless it waits to be paid.
    pub fn pay(&self, amount_cents: u64) -> Result<OrderEvent, Refusal> {
        let request = self.request_at(Status::Reserved, Status::Paid)?;
        Ok(OrderEvent::Paid {
            amount_cents,
            shipper: request.shipper,
        })
    }

    /// Payments has declined its amount.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfOrder`] unless it waits to be paid.
    pub fn cancel(&self, declined_cents: u64) -> Result<OrderEvent, Refusal> {
        self.request_at(Status::Reserved, Status::Cancelled)?;
        Ok(OrderEvent::Cancelled { declined_cents })
    }

    /// Shipping has sent it.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfOrder`] unless it waits to be shipped.
    pub fn ship(&self) -> Result<OrderEvent, Refusal> {
        self.request_at(Status::Paid, Status::Shipped)?;
        Ok(OrderEvent::Shipped)
    }

    fn request_at(&self, status: Status, wanted: Status) -> Result<&Request, Refusal> {
        match &self.request {
            Some(request) if self.status == status => Ok(request),
            _ => Err(Refusal::OutOfOrder {
                status: self.status,
                wanted,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxes_testing::given;

    fn request() -> Request {
        let line = Line {
            product: 11,
            quantity: 12,
            unit_price_cents: 1_400,
            discount_percent: 0,
        };
        Request {
            customer: "VINET".to_owned(),
            lines: vec![line],
            freight_cents: 3_238,
            shipper: 3,
        }
    }

    fn reserved() -> OrderEvent {
        OrderEvent::Reserved {
            lines: request().lines,
            freight_cents: 3_238,
        }
    }

    fn paid() -> OrderEvent {
        OrderEvent::Paid {
            amount_cents: 20_038,
            shipper: 3,
        }
    }

    #[test]
    fn an_order_goes_from_placed_to_shipped_and_tells_the_next_box_what_it_needs() {
        given::<Order>([])
            .when(|_| Order::place(request()))
            .then([OrderEvent::Placed(request())]);
        given::<Order>([OrderEvent::Placed(request())])
            .when(Order::reserve)
            .then([reserved()]);
        given::<Order>([OrderEvent::Placed(request()), reserved()])
            .when(|o| o.pay(20_038))
            .then([paid()]);
        given::<Order>([OrderEvent::Placed(request()), reserved(), paid()])
            .when(Order::ship)
            .then([OrderEvent::Shipped]);
    }

    #[test]
    fn an_order_that_has_ended_takes_no_command() {
        let rejected = OrderEvent::Rejected { short: vec![11] };
        let refusal = |wanted| Refusal::OutOfOrder {
            status: Status::Rejected,
            wanted,
        };
        let ended = given::<Order>([OrderEvent::Placed(request()), rejected]);
        ended
            .clone()
            .when(Order::reserve)
            .rejects(&refusal(Status::Reserved));
        ended
            .clone()
            .when(|o| o.reject(&[11]))
            .rejects(&refusal(Status::Rejected));
        ended
            .clone()
            .when(|o| o.pay(1))
            .rejects(&refusal(Status::Paid));
        ended
            .clone()
            .when(|o| o.cancel(20_038))
            .rejects(&refusal(Status::Cancelled));
        ended.when(Order::ship).rejects(&refusal(Status::Shipped));
    }

    #[test]
    fn only_a_reserved_order_is_cancelled() {
        let cancelled = OrderEvent::Cancelled {
            declined_cents: 20_038,
        };
        given::<Order>([OrderEvent::Placed(request()), reserved()])
            .when(|o| o.cancel(20_038))
            .then([cancelled]);
        let refusal = Refusal::OutOfOrder {
            status: Status::Placed,
            wanted: Status::Cancelled,
        };
        given::<Order>([OrderEvent::Placed(request())])
            .when(|o| o.cancel(20_038))
            .rejects(&refusal);
    }

    #[test]
    fn a_request_that_could_never_be_met_is_refused_with_what_is_wrong() {
        let refused = |change: fn(&mut Request), refusal: Refusal| {
            let mut request = request();
            change(&mut request);
            given::<Order>([])
                .when(|_| Order::place(request))
                .rejects(&refusal);
        };
        refused(|r| r.customer = " ".to_owned(), Refusal::NoCustomer);
        refused(|r| r.lines.clear(), Refusal::LineCount(0));
        refused(
            |r| r.lines[0].quantity = 0,
            Refusal::Quantity {
                product: 11,
                quantity: 0,
            },
        );
        refused(
            |r| r.lines[0].quantity = MAX_QUANTITY + 1,
            Refusal::Quantity {
                product: 11,
                quantity: MAX_QUANTITY + 1,
            },
        );
        refused(
            |r| r.lines[0].discount_percent = 101,
            Refusal::Discount {
                product: 11,
                percent: 101,
            },
        );
        refused(
            |r| r.lines[0].unit_price_cents = u64::MAX,
            Refusal::Price(u64::MAX),
        );
        refused(
            |r| r.freight_cents = MAX_CENTS + 1,
            Refusal::Price(MAX_CENTS + 1),
        );
    }
}
