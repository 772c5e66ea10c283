//! The orders of the Northwind sample database.
//!
//! Where the files are from and under which licence is said in `northwind/README.md`.

use std::collections::HashMap;

use boxes::prelude::*;
use inventory::product::Listing;
use orders::order::{Line, Order, Request};

const PRODUCTS: &str = include_str!("../northwind/products.csv");
const ORDERS: &str = include_str!("../northwind/orders.csv");
const ORDER_LINES: &str = include_str!("../northwind/order_lines.csv");

/// An order as it is sent to `POST /orders/orders`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NorthwindOrder {
    /// Its id, made from its number: sent again, it is the same order.
    pub id: Id<Order>,
    /// What is ordered.
    #[serde(flatten)]
    pub request: Request,
}

/// The products and the orders, in the order in which they are replayed.
#[derive(Debug, Clone)]
pub struct Northwind {
    /// The 77 products.
    pub products: Vec<Listing>,
    /// The 830 orders, by date and number.
    pub orders: Vec<NorthwindOrder>,
}

#[derive(Deserialize)]
struct ProductRow {
    product_id: u32,
    name: String,
    units_in_stock: u32,
    reorder_level: u32,
    discontinued: bool,
}

#[derive(Deserialize)]
struct OrderRow {
    order_id: u32,
    customer_id: String,
    shipper_id: u32,
    freight_cents: u64,
}

#[derive(Deserialize)]
struct LineRow {
    order_id: u32,
    product_id: u32,
    unit_price_cents: u64,
    quantity: u32,
    discount_percent: u8,
}

impl Northwind {
    /// Reads the files that are built into the program.
    ///
    /// # Errors
    ///
    /// The reader's, which names the row, if a file does not have the form that it should have.
    pub fn load() -> Result<Self, csv::Error> {
        let mut lines_by_order = HashMap::<u32, Vec<Line>>::new();
        for row in rows::<LineRow>(ORDER_LINES) {
            let LineRow {
                order_id,
                product_id,
                unit_price_cents,
                quantity,
                discount_percent,
            } = row?;
            let line = Line {
                product: product_id,
                quantity,
                unit_price_cents,
                discount_percent,
            };
            lines_by_order.entry(order_id).or_default().push(line);
        }
        let orders = rows::<OrderRow>(ORDERS).map(|row| {
            row.map(|row| NorthwindOrder {
                id: Id::named(&format!("northwind/order/{}", row.order_id)),
                request: Request {
                    customer: row.customer_id,
                    lines: lines_by_order.remove(&row.order_id).unwrap_or_default(),
                    freight_cents: row.freight_cents,
                    shipper: row.shipper_id,
                },
            })
        });
        let orders = orders.collect::<Result<_, _>>()?;
        let products = rows::<ProductRow>(PRODUCTS).map(|row| {
            row.map(|row| Listing {
                product: row.product_id,
                name: row.name,
                units_in_stock: row.units_in_stock,
                reorder_level: row.reorder_level,
                discontinued: row.discontinued,
            })
        });
        Ok(Self {
            products: products.collect::<Result<_, _>>()?,
            orders,
        })
    }
}

fn rows<T: serde::de::DeserializeOwned>(
    csv: &'static str,
) -> impl Iterator<Item = Result<T, csv::Error>> {
    csv::Reader::from_reader(csv.as_bytes()).into_deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_hold_77_products_and_830_orders_with_2155_lines() {
        let northwind = Northwind::load().unwrap();
        assert_eq!(
            (northwind.products.len(), northwind.orders.len()),
            (77, 830)
        );
        assert_eq!(
            northwind
                .orders
                .iter()
                .map(|o| o.request.lines.len())
                .sum::<usize>(),
            2_155
        );
        assert!(
            northwind
                .orders
                .iter()
                .all(|o| Order::place(o.request.clone()).is_ok())
        );
    }
}
