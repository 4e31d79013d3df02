//! Responses: an answer is read alike however its bytes arrive, and ends in the same place.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::responses(data));
