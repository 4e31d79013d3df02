//! The header rules: one credential field leaves, ours, and nothing that a server could take for one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::headers(data));
