//! libFuzzer on the target `request`.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| boxes_fuzz::run("request", data));

// Half of the changes are those of the suite, which know the words of the target.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2) {
        boxes_fuzz::change("request", data, size, max_size, seed)
    } else {
        fuzzer_mutate(data, size, max_size)
    }
});
