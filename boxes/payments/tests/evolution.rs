//! What this box has ever stored stays readable.

use boxes_testing::RecordedSchemas;
use payments::payment::PaymentEvent;

#[test]
fn what_is_stored_stays_readable() {
    let amount_cents = 20_038;
    let examples = [
        PaymentEvent::Captured { amount_cents },
        PaymentEvent::Declined { amount_cents },
    ];
    RecordedSchemas::of_this_package().event(examples).check();
}
