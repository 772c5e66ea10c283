//! What a mapper writes it reads back as what it was; what it could not read back it refuses on write.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use boxes_domain::Event;
use boxes_mapper::{Envelope, Mapper};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "t.measured", crate = "boxes_domain")]
enum Measured {
    Exactly { double: f64, single: f32 },
}

fn formats() -> [Mapper; 2] {
    [Mapper::default(), Mapper::default().message_pack()]
}

fn reads_back(measured: &Measured) {
    for mapper in formats() {
        let stored = mapper.to_stored(measured, &Envelope::default()).unwrap();
        let read: Measured = mapper.to_own_event(&stored).unwrap();
        assert_eq!(read, *measured, "{}", stored.encoding);
    }
}

#[test]
fn a_float_keeps_its_last_bit() {
    reads_back(&Measured::Exactly {
        double: 0.999_999_999_999_999_9,
        single: 0.1,
    });
}

proptest! {
    #[test]
    fn every_float_is_read_back_as_it_was(double: f64, uniform in 0.0..1.0f64, single: f32) {
        reads_back(&Measured::Exactly { double, single });
        reads_back(&Measured::Exactly { double: uniform, single });
    }
}
