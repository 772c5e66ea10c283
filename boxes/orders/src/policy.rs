//! What this box does when something happened elsewhere.

use boxes::prelude::*;

use crate::order::Order;
use crate::upstream::{Payment, Reservation, Shipment};

pub(crate) async fn on_reservation(n: Notification<Reservation>, app: App) -> Result<(), Error> {
    match n.event {
        Reservation::Reserved { order } => app.update(order, Order::reserve).await?,
        Reservation::Rejected { order, short } => {
            app.update(order, |o: &Order| o.reject(&short)).await?
        }
    };
    Ok(())
}

pub(crate) async fn on_payment(n: Notification<Payment>, app: App) -> Result<(), Error> {
    let order = Id::<Order>::new(n.originator_id);
    match n.event {
        Payment::Captured { amount_cents } => {
            app.update(order, |o: &Order| o.pay(amount_cents)).await?
        }
        Payment::Declined { amount_cents } => {
            app.update(order, |o: &Order| o.cancel(amount_cents))
                .await?
        }
    };
    Ok(())
}

pub(crate) async fn on_shipment(n: Notification<Shipment>, app: App) -> Result<(), Error> {
    let Shipment::Shipped {} = n.event;
    app.update(Id::<Order>::new(n.originator_id), Order::ship)
        .await?;
    Ok(())
}
