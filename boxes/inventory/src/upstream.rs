//! What this box reads of orders' language.

use boxes::prelude::*;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.order")]
pub(crate) enum Order {
    Placed {
        lines: Vec<Line>,
    },
    /// In both versions; of neither is anything read but that it happened.
    #[event(version = 2, upcast(std::convert::identity))]
    Cancelled {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) product: u32,
    pub(crate) quantity: u32,
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
