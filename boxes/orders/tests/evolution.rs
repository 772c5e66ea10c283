//! What this box has ever stored stays readable.

use boxes_testing::RecordedSchemas;
use orders::order::{Line, OrderEvent, Request};

fn lines() -> Vec<Line> {
    let line = |product, discount_percent| Line {
        product,
        quantity: 12,
        unit_price_cents: 1_400,
        discount_percent,
    };
    vec![line(11, 0), line(42, 15)]
}

fn examples() -> [OrderEvent; 6] {
    let request = Request {
        customer: "VINET".to_owned(),
        lines: lines(),
        freight_cents: 3_238,
        shipper: 3,
    };
    [
        OrderEvent::Placed(request),
        OrderEvent::Reserved {
            lines: lines(),
            freight_cents: 3_238,
        },
        OrderEvent::Rejected {
            short: vec![11, 42],
        },
        OrderEvent::Paid {
            amount_cents: 20_038,
            shipper: 3,
        },
        OrderEvent::Cancelled {
            declined_cents: 20_038,
        },
        OrderEvent::Shipped,
    ]
}

#[test]
fn what_is_stored_stays_readable() {
    RecordedSchemas::of_this_package().event(examples()).check();
}

#[test]
fn an_order_that_was_cancelled_before_amounts_were_told_apart_from_sentences_has_its_amount() {
    let schemas = RecordedSchemas::of_this_package();
    let [cancelled] = &schemas.examples::<OrderEvent>("orders.order.cancelled", 1)[..] else {
        panic!("one example is recorded")
    };
    let declined_cents = 20_038;
    assert_eq!(*cancelled, OrderEvent::Cancelled { declined_cents });
}
