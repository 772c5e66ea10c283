//! libFuzzer on the target `link`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| boxes_fuzz::run("link", data));
