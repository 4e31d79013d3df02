//! Rules and paths: what matches is what a plain reading of the pattern says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::rules(data));
