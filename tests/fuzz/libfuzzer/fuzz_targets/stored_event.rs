//! libFuzzer on the target `stored_event`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| boxes_fuzz::run("stored_event", data));
