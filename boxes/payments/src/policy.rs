//! What this box does when something happened to an order.

use boxes::prelude::*;

use crate::payment::{Payment, line_cents};
use crate::upstream::{Line, Order};

pub(crate) async fn on_order(n: Notification<Order>, app: App) -> Result<(), Error> {
    let Order::Reserved {
        lines,
        freight_cents,
    } = n.event;
    let cents = |l: &Line| line_cents(l.unit_price_cents, l.quantity, l.discount_percent);
    let amount_cents = lines
        .iter()
        .map(cents)
        .fold(freight_cents, u64::saturating_add);
    app.create(
        Id::<Payment>::new(n.originator_id),
        Payment::charge(amount_cents),
    )
    .await?;
    Ok(())
}
