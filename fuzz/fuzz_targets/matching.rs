//! Matching: a target and a `Host` mean one upstream and one path, or nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::matching(data));
