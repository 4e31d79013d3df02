//! The scrubber: however a body is cut, what the naive scrubber leaves is left of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::scrubber(data));
