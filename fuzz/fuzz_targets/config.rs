//! The config parser: any text is a config or a list of problems, and no problem's text holds a value.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidekey::fuzzing::config(data));
