//! Any bytes as a CSV file: what the drill's own parser reads, or refused where that refuses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::drills::files::any_csv(bytes).unwrap_or_else(|found| panic!("{found}")));
