#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meshward_fuzz::review(data));
