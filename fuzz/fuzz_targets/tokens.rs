//! Callers' tokens: whoever is known has brought the whole token.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::tokens(data));
