#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| okmsd::fuzzing::member(data));
