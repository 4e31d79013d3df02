//! The request screen: a stream of requests is read alike however its bytes arrive.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::requests(data));
