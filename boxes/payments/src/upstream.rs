//! What this box reads of orders' language.

use boxes::prelude::*;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.order")]
pub(crate) enum Order {
    Reserved {
        lines: Vec<Line>,
        freight_cents: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) quantity: u32,
    pub(crate) unit_price_cents: u64,
    pub(crate) discount_percent: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxes_testing::RecordedUpstreams;

    #[test]
    fn what_was_ever_published_is_read_as_it_was() {
        RecordedUpstreams::of_this_package()
            .follows::<Order>("../orders/tests/schemas")
            .check();
    }
}
