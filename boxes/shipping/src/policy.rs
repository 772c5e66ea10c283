//! What this box does when something happened to an order.

use boxes::prelude::*;

use crate::shipment::{Shipment, ShipmentEvent};
use crate::upstream::Order;

pub(crate) async fn on_order(n: Notification<Order>, app: App) -> Result<(), Error> {
    let Order::Paid { shipper } = n.event;
    app.create(
        Id::<Shipment>::new(n.originator_id),
        ShipmentEvent::Shipped { shipper },
    )
    .await?;
    Ok(())
}
