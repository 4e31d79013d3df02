//! Handshakes: whatever the request path takes for one, the screen keeps back what follows it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::websockets(data));
