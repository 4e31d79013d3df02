//! Requests: a stream of them is read alike however its bytes arrive, and written anew says the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::requests(data));
