//! libFuzzer on the target `request`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| boxes_fuzz::run("request", data));
