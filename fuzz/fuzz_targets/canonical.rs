//! HMAC's canonical text: what is signed is what the vendor's gateway rebuilds from the request.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::canonical(data));
