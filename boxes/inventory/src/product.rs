//! The units of one product.

use boxes::prelude::*;
use schemars::JsonSchema;
use thiserror::Error;

/// How many units come when a product is restocked.
pub const RESTOCK_UNITS: u64 = 100;

/// What can happen to a product.
#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[event(topic = "inventory.product")]
pub enum ProductEvent {
    /// It is sold from now on.
    Added(Listing),
    /// Units were set aside for an order.
    Reserved {
        /// How many.
        quantity: u64,
    },
    /// Units came in.
    Restocked {
        /// How many.
        quantity: u64,
    },
    /// Units that were set aside are free again.
    Released {
        /// How many.
        quantity: u64,
    },
}

/// A product as it is added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Its number.
    #[serde(deserialize_with = "whole_number")]
    pub product: u32,
    /// Its name.
    pub name: String,
    /// How many units there are.
    #[serde(deserialize_with = "whole_number")]
    pub units_in_stock: u32,
    /// At or below how many available units it is restocked.
    #[serde(deserialize_with = "whole_number")]
    pub reorder_level: u32,
    /// Whether it is not made any more: then it is never restocked.
    #[serde(default)]
    pub discontinued: bool,
}

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Product {
    /// As it was added.
    #[serde(flatten)]
    pub listing: Listing,
    /// How many units can be reserved.
    pub available: u64,
}

/// Why a product refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A product needs a name.
    #[error("product {0} needs a name")]
    NoName(u32),
    /// There are not enough units.
    #[error("of product {product} {available} units are available, not {wanted}")]
    Short {
        /// Its number.
        product: u32,
        /// How many there are.
        available: u64,
        /// How many were wanted.
        wanted: u64,
    },
}

impl Aggregate for Product {
    type Event = ProductEvent;

    fn apply(&mut self, event: &ProductEvent) {
        match event {
            ProductEvent::Added(listing) => {
                self.listing = listing.clone();
                self.available = u64::from(listing.units_in_stock);
            }
            ProductEvent::Reserved { quantity } => {
                self.available = self.available.saturating_sub(*quantity);
            }
            ProductEvent::Restocked { quantity } | ProductEvent::Released { quantity } => {
                self.available = self.available.saturating_add(*quantity);
            }
        }
    }
}

impl Product {
    /// The id of the product with this number.
    #[must_use]
    pub fn id(number: u32) -> Id<Self> {
        Id::named(&format!("inventory/product/{number}"))
    }

    /// It is sold from now on.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoName`] if it has none.
    pub fn add(listing: Listing) -> Result<ProductEvent, Refusal> {
        if listing.name.trim().is_empty() {
            return Err(Refusal::NoName(listing.product));
        }
        Ok(ProductEvent::Added(listing))
    }

    /// Whether so many units can be reserved.
    #[must_use]
    pub const fn has(&self, quantity: u64) -> bool {
        self.available >= quantity
    }

    /// Sets units aside.
    ///
    /// # Errors
    ///
    /// [`Refusal::Short`] if there are not enough.
    pub fn reserve(&self, quantity: u64) -> Result<ProductEvent, Refusal> {
        if !self.has(quantity) {
            return Err(Refusal::Short {
                product: self.listing.product,
                available: self.available,
                wanted: quantity,
            });
        }
        Ok(ProductEvent::Reserved { quantity })
    }

    /// Gets new units, if it has come down to its reorder level.
    #[must_use]
    pub fn restock_if_low(&self) -> Option<ProductEvent> {
        if self.available > u64::from(self.listing.reorder_level) {
            None
        } else {
            self.restock()
        }
    }

    /// Gets new units, unless it is not made any more.
    #[must_use]
    pub fn restock(&self) -> Option<ProductEvent> {
        (!self.listing.discontinued).then_some(ProductEvent::Restocked {
            quantity: RESTOCK_UNITS,
        })
    }

    /// Units that were set aside are free again.
    #[must_use]
    pub const fn release(&self, quantity: u64) -> ProductEvent {
        ProductEvent::Released { quantity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxes_testing::{Given, given};

    fn chai(units_in_stock: u32, discontinued: bool) -> Given<Product> {
        let name = "Chai".to_owned();
        given([ProductEvent::Added(Listing {
            product: 1,
            name,
            units_in_stock,
            reorder_level: 10,
            discontinued,
        })])
    }

    #[test]
    fn no_more_is_reserved_than_is_available() {
        chai(39, false)
            .when(|p| p.reserve(39))
            .then([ProductEvent::Reserved { quantity: 39 }]);
        chai(39, false)
            .when(|p| p.reserve(40))
            .rejects(&Refusal::Short {
                product: 1,
                available: 39,
                wanted: 40,
            });
    }

    #[test]
    fn a_product_is_restocked_at_its_reorder_level_unless_it_is_discontinued() {
        chai(11, false).when(Product::restock_if_low).then([]);
        chai(10, false)
            .when(Product::restock_if_low)
            .then([ProductEvent::Restocked { quantity: 100 }]);
        chai(10, true).when(Product::restock_if_low).then([]);
        chai(10, true).when(Product::restock).then([]);
    }

    #[test]
    fn units_come_back_when_they_are_released() {
        let listing = Listing {
            product: 1,
            name: "Chai".to_owned(),
            units_in_stock: 5,
            ..Listing::default()
        };
        let history = [
            ProductEvent::Added(listing),
            ProductEvent::Reserved { quantity: 5 },
            ProductEvent::Released { quantity: 5 },
        ];
        assert_eq!(given::<Product>(history).state().available, 5);
    }
}
