//! HTTP/2 requests: what is let through could have come by HTTP/1.1, and would have meant the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::http2(data));
