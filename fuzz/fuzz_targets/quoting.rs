//! Names and a text, between zero bytes, through a real database and back.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::drills::texts::any_quoting(bytes).unwrap_or_else(|found| panic!("{found}")));
