//! What this box has ever stored stays readable.

use boxes_testing::RecordedSchemas;
use shipping::shipment::ShipmentEvent;

#[test]
fn what_is_stored_stays_readable() {
    let examples = [ShipmentEvent::Shipped { shipper: 3 }];
    RecordedSchemas::of_this_package().event(examples).check();
}
