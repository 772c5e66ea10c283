//! What this box reads of orders' language.

use boxes::prelude::*;

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "orders.order")]
pub(crate) enum Order {
    Paid { shipper: u32 },
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
