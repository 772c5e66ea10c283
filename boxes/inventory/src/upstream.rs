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
    use boxes::mapper::{Envelope, Mapper};

    #[test]
    fn an_order_is_cancelled_in_whichever_version_orders_has_told_it() {
        let mapper = Mapper::default();
        let stored = mapper.to_stored(&Order::Cancelled {}, &Envelope::default());
        let mut stored = stored.unwrap();
        for (version, state) in [
            (1, r#"{"reason":"the payment of 20038 cents was declined"}"#),
            (2, r#"{"declined_cents":20038}"#),
        ] {
            stored.schema_version = version;
            stored.state = state.into();
            assert_eq!(mapper.to_event(&stored).unwrap(), Some(Order::Cancelled {}));
        }
    }
}
