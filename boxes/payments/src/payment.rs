//! The payment of one order. It has the order's id.

use boxes::prelude::*;
use schemars::JsonSchema;

/// Above this amount a payment is declined, in cents.
pub const LIMIT_CENTS: u64 = 1_000_000;

/// What can happen to a payment.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[event(topic = "payments.payment")]
pub enum PaymentEvent {
    /// The amount was taken.
    Captured {
        /// How much, in cents.
        amount_cents: u64,
    },
    /// The amount is above the limit: nothing was taken.
    Declined {
        /// How much it was, in cents.
        amount_cents: u64,
    },
}

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// How much, in cents.
    pub amount_cents: u64,
    /// Whether it was taken.
    pub captured: bool,
}

impl Aggregate for Payment {
    type Event = PaymentEvent;

    fn apply(&mut self, event: &PaymentEvent) {
        (self.amount_cents, self.captured) = match *event {
            PaymentEvent::Captured { amount_cents } => (amount_cents, true),
            PaymentEvent::Declined { amount_cents } => (amount_cents, false),
        };
    }
}

impl Payment {
    /// Takes the amount, or declines it if it is above [`LIMIT_CENTS`].
    #[must_use]
    pub const fn charge(amount_cents: u64) -> PaymentEvent {
        if amount_cents > LIMIT_CENTS {
            PaymentEvent::Declined { amount_cents }
        } else {
            PaymentEvent::Captured { amount_cents }
        }
    }
}

/// What a line costs, in cents: its discount is taken off, and half a cent is rounded up.
#[must_use]
pub fn line_cents(unit_price_cents: u64, quantity: u32, discount_percent: u8) -> u64 {
    let percent = 100_u64.saturating_sub(u64::from(discount_percent));
    unit_price_cents
        .saturating_mul(u64::from(quantity))
        .saturating_mul(percent)
        .saturating_add(50)
        / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cent_is_rounded_up_on_each_line() {
        assert_eq!(line_cents(1, 1, 50), 1);
        assert_eq!(line_cents(1, 1, 51), 0);
        assert_eq!(line_cents(1_050, 3, 5), 2_993);
        assert_eq!(line_cents(1_000, 2, 0), 2_000);
        assert_eq!(line_cents(1_000, 2, 100), 0);
    }

    #[test]
    fn the_limit_itself_is_captured() {
        assert_eq!(
            Payment::charge(LIMIT_CENTS),
            PaymentEvent::Captured {
                amount_cents: LIMIT_CENTS
            }
        );
        assert_eq!(
            Payment::charge(LIMIT_CENTS + 1),
            PaymentEvent::Declined {
                amount_cents: LIMIT_CENTS + 1
            }
        );
    }
}
