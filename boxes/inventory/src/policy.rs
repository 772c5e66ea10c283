//! What this box does when something happened to an order.

use std::collections::BTreeMap;

use boxes::prelude::*;

use crate::product::Product;
use crate::reservation::{Reservation, ReservationEvent, Units};
use crate::upstream::{Line, Order};

pub(crate) async fn on_order(n: Notification<Order>, app: App) -> Result<(), Error> {
    let order = Id::<Order>::new(n.originator_id).to_string();
    match n.event {
        Order::Placed { lines } => reserve(&app, order, units_by_product(&lines)).await,
        Order::Cancelled {} => release(&app, &order).await,
    }
}

/// Sets all units aside, or none: several products and the reservation in one transaction.
async fn reserve(app: &App, order: String, units: Vec<Units>) -> Result<(), Error> {
    let reservation = Reservation::id(&order);
    let mut short = Vec::new();
    for &Units { product, quantity } in &units {
        match app.get(Product::id(product)).await {
            Ok(p) if p.has(quantity) => {}
            Ok(_) | Err(Error::NotFound { .. }) => short.push(product),
            Err(error) => return Err(error),
        }
    }
    if !short.is_empty() {
        for &product in &short {
            match app.update(Product::id(product), Product::restock).await {
                // A product that is not sold here can't be restocked either.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        app.create(reservation, ReservationEvent::Rejected { order, short })
            .await?;
        return Ok(());
    }
    for &Units { product, quantity } in &units {
        app.update(Product::id(product), |p: &Product| p.reserve(quantity))
            .await?;
    }
    for unit in &units {
        app.update(Product::id(unit.product), Product::restock_if_low)
            .await?;
    }
    app.create(reservation, ReservationEvent::Reserved { order, units })
        .await?;
    Ok(())
}

async fn release(app: &App, order: &str) -> Result<(), Error> {
    let reservation = Reservation::id(order);
    let Reservation { units } = app.get(reservation).await?;
    for Units { product, quantity } in units {
        app.update(Product::id(product), |p: &Product| p.release(quantity))
            .await?;
    }
    app.update(reservation, Reservation::release).await?;
    Ok(())
}

/// What an order asks for of each product, by number: a product may be on several lines.
fn units_by_product(lines: &[Line]) -> Vec<Units> {
    let mut by_product = BTreeMap::<u32, u64>::new();
    for &Line { product, quantity } in lines {
        *by_product.entry(product).or_default() += u64::from(quantity);
    }
    by_product
        .into_iter()
        .map(|(product, quantity)| Units { product, quantity })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_product_count_together() {
        let line = |product, quantity| Line { product, quantity };
        let units = units_by_product(&[line(2, 5), line(1, 1), line(2, 6)]);
        assert_eq!(
            units,
            [
                Units {
                    product: 1,
                    quantity: 1
                },
                Units {
                    product: 2,
                    quantity: 11
                }
            ]
        );
    }
}
