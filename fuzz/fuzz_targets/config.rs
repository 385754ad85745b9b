//! Any bytes as `sites.toml`: read, or told where it is wrong.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::drills::texts::any_project(bytes).unwrap_or_else(|found| panic!("{found}")));
